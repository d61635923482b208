"""The products of attention in windows as one step with its own way back, for a CPU.

Written out layer by layer, the same sums copy queries, keys and values into orders that small products take slowly, and
scale and convert in passes of their own. Here each is copied once, the scale is part of adding the bias, and gradients
are written where the projection wants them (benchmarks/vision_train.py).

Letters: B batch, n windows of a map, N tokens of a window, h heads, d channels of a head, C = h * d.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

_MANY_TOKENS = 32
"""From so many on, torch's gradient of a softmax is faster in bfloat16 than in float32 and converted."""


def attend(
    projected: Float[Tensor, "B n N C3"], bias: Float[Tensor, "#n h N N"], num_heads: int
) -> Float[Tensor, "B n N C"]:
    """softmax(q k^T / sqrt(d) + bias) v of every window and head.

    Args:
        projected: queries, keys and values of the tokens, side by side; each head after head.
        bias: of windows and heads.
        num_heads: h.

    Returns:
        What the heads found, side by side. Weights and their sums are in float32 whatever the dtype of `projected`.
    """
    heads: Tensor = _Attend.apply(projected, bias, num_heads)
    return heads


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, projected: Tensor, bias: Tensor, num_heads: int) -> Tensor:
        batch, windows, tokens, _ = projected.shape
        parts = projected.view(batch, windows, tokens, 3, num_heads, -1)
        q, k, v = (_by_head(parts[:, :, :, part]) for part in range(3))  # (B n h, N, d)
        scores = (q @ k.transpose(1, 2)).view(batch, windows, num_heads, tokens, tokens)
        wide = torch.promote_types(bias.dtype, torch.float32)
        scores = torch.add(bias.to(wide), scores, alpha=q.shape[2] ** -0.5)
        weights = scores.softmax(dim=-1).to(q.dtype)
        ctx.save_for_backward(q, k, v, weights)
        ctx.bias_shape = bias.shape
        heads = (weights.view(-1, tokens, tokens) @ v).view(batch, windows, num_heads, tokens, -1)
        return heads.transpose(2, 3).flatten(3)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, weights = ctx.saved_tensors
        batch, windows, num_heads, tokens, _ = weights.shape
        scale = q.shape[2] ** -0.5
        of_heads = _by_head(grads[0].view(batch, windows, tokens, num_heads, -1))
        of_parts = q.new_empty(batch, windows, tokens, 3, num_heads, q.shape[2])
        weights = weights.view(-1, tokens, tokens)
        of_scores = _softmax_back(of_heads @ v.transpose(1, 2), weights)  # of those that the scale is already in
        of_bias = None
        if ctx.needs_input_grad[1]:
            of_bias = of_scores.view(batch, windows, num_heads, tokens, tokens).sum_to_size(ctx.bias_shape)
        of_scores = of_scores.to(q.dtype)
        products = (
            (of_scores @ k).mul_(scale),
            (of_scores.transpose(1, 2) @ q).mul_(scale),
            weights.transpose(1, 2) @ of_heads,
        )
        for part, product in enumerate(products):
            by_head = of_parts[:, :, :, part].transpose(2, 3)  # (B, n, h, N, d)
            by_head.copy_(product.view(by_head.shape))
        return of_parts.flatten(3), of_bias, None


def _by_head(part: Float[Tensor, "B n N h d"]) -> Float[Tensor, "Bnh N d"]:
    """The tokens of each window and head together."""
    return part.transpose(2, 3).contiguous().view(-1, part.shape[2], part.shape[4])


def _softmax_back(grad: Float[Tensor, "Bnh N N"], weights: Float[Tensor, "Bnh N N"]) -> Float[Tensor, "Bnh N N"]:
    """The gradient by the scores, of that by the weights."""
    if weights.shape[2] < _MANY_TOKENS:
        wide = torch.promote_types(weights.dtype, torch.float32)
        grad, weights = grad.to(wide), weights.to(wide)
    back: Tensor = torch._softmax_backward_data(grad, weights, -1, weights.dtype)
    return back

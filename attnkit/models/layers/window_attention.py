"""Attention inside the windows of a map, with a bias for every relative position (Liu et al. 2021, section 3.2).

Letters: B batch, H W tokens of the map, C channels, h heads, d = C / h, M side of a window, n windows of a map,
N = M * M tokens of a window.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attnkit.models.kernels.linear import Linear
from attnkit.models.layers.dropout import Dropout
from attnkit.models.layers.relative_bias import read_bias
from attnkit.models.layers.windows import Shift, from_windows, shift_mask, to_windows


class WindowAttention(nn.Module):
    """(S)W-MSA: softmax(q k^T / sqrt(d) + bias) v inside each window; the caller says by how much they are shifted."""

    def __init__(self, embed_dim: int, num_heads: int, window_size: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        if embed_dim % num_heads:
            raise ValueError(f"attention: {embed_dim} channels do not divide into {num_heads} heads")
        self.num_heads = num_heads
        self.window_size = window_size
        self.qkv = Linear(embed_dim, 3 * embed_dim)
        self.out = Linear(embed_dim, embed_dim)
        self.bias_table = nn.Parameter(torch.empty((2 * window_size - 1) ** 2, num_heads))
        nn.init.trunc_normal_(self.bias_table, std=0.02)
        self.dropout = Dropout(dropout)

    def forward(self, x: Float[Tensor, "B H W C"], shift: Shift = (0, 0)) -> Float[Tensor, "B H W C"]:
        """Attend from each token to those of its window."""
        return self.forward_with_weights(x, shift)[0]

    def forward_with_weights(
        self, x: Float[Tensor, "B H W C"], shift: Shift = (0, 0)
    ) -> tuple[Float[Tensor, "B H W C"], Float[Tensor, "B n h N N"]]:
        """The same output, and what each token looked at, by windows of the padded and rolled map."""
        _, height, width, _ = x.shape
        if not x.is_meta and torch.is_autocast_enabled(x.device.type):  # autocast knows no such device
            x = x.to(torch.get_autocast_dtype(x.device.type))  # the product would do it, after more has been moved
        windows = to_windows(x, self.window_size, shift)  # (B, n, N, C)
        q, k, v = split_heads(self.qkv(windows), self.num_heads)
        weights = (q @ k.transpose(-2, -1) + self._bias(height, width, shift)).softmax(dim=-1)
        heads = self.dropout(weights.to(v.dtype)) @ v  # (B, n, h, N, d)
        windows = self.out(heads.transpose(2, 3).flatten(3))  # (B, n, N, C)
        return from_windows(windows, height, width, self.window_size, shift), weights

    def _bias(self, height: int, width: int, shift: Shift) -> Float[Tensor, "#n h N N"]:
        """What is added to the scores."""
        bias = read_bias(self.bias_table, self.window_size).unsqueeze(0)
        if not any(shift):
            return bias
        return bias + shift_mask(height, width, self.window_size, shift, bias.device).unsqueeze(1)


def split_heads(projected: Float[Tensor, "B n N C3"], num_heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """Scaled queries, keys and values by heads, each (B, n, h, N, d)."""
    if torch.compiler.is_compiling():
        q, k, v = by_heads(projected, num_heads)
        return q * q.shape[-1] ** -0.5, k, v
    heads: tuple[Tensor, Tensor, Tensor] = _Split.apply(projected, num_heads)
    return heads


def by_heads(projected: Float[Tensor, "B n N C3"], num_heads: int) -> Float[Tensor, "3 B n h N d"]:
    """Queries, keys and values by heads, as a view."""
    return projected.unflatten(3, (3, num_heads, -1)).permute(3, 0, 1, 4, 2, 5)


class _Split(torch.autograd.Function):
    """One copy of each, forth and back: products want their operands whole, and autograd would stack the gradients."""

    @staticmethod
    def forward(ctx: Any, projected: Tensor, num_heads: int) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = by_heads(projected, num_heads)
        ctx.scale = q.shape[-1] ** -0.5
        return _whole(q).mul_(ctx.scale), _whole(k), _whole(v)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        batch, count, heads, tokens, width = grads[0].shape
        grad = grads[0].new_empty(batch, count, tokens, 3 * heads * width)
        parts = by_heads(grad, heads)
        parts[0] = grads[0] * ctx.scale
        parts[1], parts[2] = grads[1:]
        return grad, None


def _whole(x: Tensor) -> Tensor:
    return x.clone(memory_format=torch.contiguous_format)

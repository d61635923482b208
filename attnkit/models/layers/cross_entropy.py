"""Cross entropy of a linear classifier over a large vocabulary, without ever holding all its logits.

Letters: N tokens, C channels, V vocabulary, epsilon the label smoothing.
The logits of a batch, and their gradient, are by far the largest tensors of a small translation model; writing them to
memory costs more than computing them. So they are made, used and forgotten for some rows at a time, and the gradient is
computed on the way.
"""

from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

SmoothingForm = Literal["paper", "torch"]


def smoothed_targets(epsilon: float, vocab_size: int, form: SmoothingForm) -> tuple[float, float]:
    """The target probability of the truth, and that of every other token.

    paper: 1 - epsilon and epsilon / (K - 1), as tensor2tensor, fairseq and the lecture have it.
    torch: 1 - epsilon + epsilon / K and epsilon / K, as Szegedy et al. 2016 and torch have it.
    """
    if form == "paper":
        return 1.0 - epsilon, epsilon / (vocab_size - 1)
    return 1.0 - epsilon + epsilon / vocab_size, epsilon / vocab_size


def linear_cross_entropy(
    hidden: Float[Tensor, "N C"],
    weight: Float[Tensor, "V C"],
    targets: Int[Tensor, "N"],
    *,
    label_smoothing: float = 0.0,
    form: SmoothingForm = "paper",
    chunk_elements: int = 1 << 22,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Smoothed cross entropy and plain negative log-likelihood of `softmax(hidden weight^T)`, each summed over N.

    Under autocast the products are done in its dtype; sums are in float32.

    Args:
        hidden: the last hidden state of each token.
        weight: a row per word of the vocabulary.
        targets: the true token of each row.
        label_smoothing: epsilon.
        form: how epsilon is shared out, see `smoothed_targets`.
        chunk_elements: logits at once, 8 MB in bfloat16, which stay in the cache of a CPU.

    Returns:
        (smoothed, with a gradient; plain, without one), in nats.
    """
    if not torch.is_grad_enabled():
        hidden, weight = hidden.detach(), weight.detach()  # or the gradient would be computed for nothing
    device = hidden.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
    on_truth, elsewhere = smoothed_targets(label_smoothing, len(weight), form)
    loss, nll = _LinearCrossEntropy.apply(hidden, weight, targets, on_truth, elsewhere, dtype, chunk_elements)
    return loss, nll


class _LinearCrossEntropy(torch.autograd.Function):
    """loss = sum_n lse_n - (q - e) z_n,truth - e sum_v z_nv, with q on the truth and e elsewhere.

    Its gradient by z is p - e - (q - e) [v = truth]. The constant and the truth are taken off after the products, by
    vectors, so that the matrix p is never written a second time.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        targets: Tensor,
        on_truth: float,
        elsewhere: float,
        dtype: torch.dtype,
        chunk_elements: int,
    ) -> tuple[Tensor, Tensor]:
        needs_grad = hidden.requires_grad or weight.requires_grad
        matrix = weight.detach().to(dtype)  # (V, C)
        weight_sum = matrix.sum(dim=0, dtype=torch.float32)  # (C,)
        extra = on_truth - elsewhere
        loss = hidden.new_zeros((), dtype=torch.float32)
        nll = hidden.new_zeros((), dtype=torch.float32)
        grad_hidden = torch.empty_like(hidden, dtype=torch.float32) if needs_grad else None
        grad_weight = torch.zeros_like(weight, dtype=torch.float32) if needs_grad else None
        rows = max(16, chunk_elements // len(weight))
        for first in range(0, len(hidden), rows):
            chunk = hidden.detach()[first : first + rows].to(dtype)  # (n, C)
            truth = targets[first : first + rows]  # (n,)
            logits = chunk @ matrix.t()  # (n, V)
            probs = logits.softmax(dim=-1)
            # the largest probability is at least 1/V, so its logarithm is safe where that of the truth may not be
            log_sum = logits.amax(dim=-1).float() - probs.amax(dim=-1).float().log()  # (n,)
            truth_rows = matrix[truth].float()  # (n, C)
            truth_logits = (chunk.float() * truth_rows).sum(dim=-1)
            logit_sums = chunk.float() @ weight_sum
            loss += (log_sum - extra * truth_logits - elsewhere * logit_sums).sum()
            nll += (log_sum - truth_logits).sum()
            if grad_hidden is None or grad_weight is None:
                continue
            grad_hidden[first : first + rows] = probs @ matrix
            grad_hidden[first : first + rows] -= elsewhere * weight_sum + extra * truth_rows
            grad_weight += probs.t() @ chunk
            grad_weight -= elsewhere * chunk.sum(dim=0, dtype=torch.float32)
            grad_weight.index_add_(0, truth, chunk.float(), alpha=-extra)
        ctx.mark_non_differentiable(nll)
        ctx.save_for_backward(grad_hidden, grad_weight)
        ctx.dtypes = hidden.dtype, weight.dtype
        return loss, nll

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        grad_hidden, grad_weight = ctx.saved_tensors
        hidden_dtype, weight_dtype = ctx.dtypes
        scale = grads[0]
        return (grad_hidden * scale).to(hidden_dtype), (grad_weight * scale).to(weight_dtype), *[None] * 5

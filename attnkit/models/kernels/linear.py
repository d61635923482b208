"""A linear layer that is fast on a CPU, forward and backward.

torch hands float32 products to MKL, which on AMD processors reaches half of what oneDNN does. So they are given to
oneDNN here, which comes with torch: the same sums in another order, up to twice as fast (benchmarks/linear_cpu.py). In
bfloat16 torch asks oneDNN itself, but writes the bias into the outputs first; where there are many rows it is added
inside the product here, and threads share the rows of a gradient of narrow weights. Everywhere else this is torch's own
layer.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

_FEW_ROWS = {torch.float32: 64, torch.bfloat16: 4096}
"""Under so many rows, arranging the weights costs more than the product in float32, and in bfloat16 torch's own layer
does as well."""
_SMALL = 128
"""Where inputs and outputs are fewer, gradients of the weights are faster by torch's product in float32: it does not
rearrange what it multiplies."""
_NARROW = 256
"""Where inputs or outputs are fewer, threads share the rows of such a gradient in bfloat16."""
_ROWS_OF_A_THREAD = 2048
"""At least, where they do."""


def onednn_has(*operators: str, dtype: torch.dtype) -> bool:
    """Whether oneDNN is here and multiplies in `dtype`. Its operators are not public: a torch may come without."""
    return (
        torch.backends.mkldnn.is_available()
        and all(hasattr(torch.ops.mkldnn, name) for name in operators)
        and (dtype == torch.float32 or (dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()))
    )


_HAS_ONEDNN = onednn_has("_linear_pointwise", dtype=torch.float32)
_HAS_BFLOAT16 = onednn_has("_linear_pointwise", dtype=torch.bfloat16)


class Linear(nn.Linear):
    """W x + b, as torch.nn.Linear has it."""

    def forward(self, x: Float[Tensor, "*B inputs"]) -> Float[Tensor, "*B outputs"]:
        """Multiply, in autocast's dtype where it is on."""
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        if not _suits_onednn(x, dtype):
            return F.linear(x, self.weight, self.bias)
        product: Tensor = _Product.apply(x, self.weight, self.bias, dtype)
        return product


def _suits_onednn(x: Tensor, dtype: torch.dtype) -> bool:
    return (
        not torch.compiler.is_compiling()  # first: what follows asks for sizes, which a compiler may not know yet
        and _HAS_ONEDNN
        and x.device.type == "cpu"
        and (dtype == torch.float32 or (dtype == torch.bfloat16 and _HAS_BFLOAT16))
        and x.numel() >= _FEW_ROWS[dtype] * x.shape[-1]
    )


class _Product(torch.autograd.Function):
    """x W^T + b, in float32 or in bfloat16; gradients leave it in either, and autograd converts them."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, dtype: torch.dtype) -> Tensor:
        x, weight = x.to(dtype), weight.to(dtype)
        ctx.save_for_backward(x, weight)
        return _multiply(x, weight, None if bias is None else bias.to(dtype))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # create_graph: oneDNN's operator would pass on zeros
            raise RuntimeError("linear layer: its gradient has no gradient on a CPU; expected create_graph=False")
        x, weight = ctx.saved_tensors
        grad = grads[0].reshape(-1, len(weight))  # (rows, outputs)
        of_x = _multiply_back(grad, weight).view(x.shape) if ctx.needs_input_grad[0] else None
        of_weight = _multiply_rows(grad, x.reshape(-1, x.shape[-1])) if ctx.needs_input_grad[1] else None
        of_bias = grad.sum(dim=0) if ctx.needs_input_grad[2] else None
        return of_x, of_weight, of_bias, None


def _multiply(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return product


def _multiply_back(grad: Float[Tensor, "rows outputs"], weight: Float[Tensor, "outputs inputs"]) -> Tensor:
    """The gradient by x, grad W: (rows, inputs)."""
    return grad @ weight if grad.dtype == torch.bfloat16 else _multiply(grad, weight.t(), None)


def _multiply_rows(grad: Float[Tensor, "rows outputs"], x: Float[Tensor, "rows inputs"]) -> Tensor:
    """grad^T x, (outputs, inputs), by whichever way is fastest for these sizes (benchmarks/linear_cpu.py).

    oneDNN is faster if the narrower one comes first: x^T grad is the same, transposed.
    """
    outputs, inputs = grad.shape[1], x.shape[1]
    if grad.dtype == torch.bfloat16:
        if min(outputs, inputs) >= _NARROW:
            return grad.t() @ x
        return _share_rows(x, grad).t().contiguous() if inputs < outputs else _share_rows(grad, x)
    if max(outputs, inputs) < _SMALL:
        return grad.t() @ x
    if inputs < outputs and 2 * inputs <= len(x):  # with few rows, transposing the gradient takes longer
        return _multiply(x.t(), grad.t(), None).t().contiguous()
    return _multiply(grad.t(), x.t(), None)


def _share_rows(a: Float[Tensor, "rows A"], b: Float[Tensor, "rows B"]) -> Float[Tensor, "A B"]:
    """a^T b, the sum in float32 of what threads make of their own rows, for there is little of A or B to deal out."""
    threads = min(torch.get_num_threads(), len(a) // _ROWS_OF_A_THREAD)
    each = len(a) // threads
    of_a, of_b = (x[: threads * each].view(threads, each, -1) for x in (a, b))
    product = torch.bmm(of_a.transpose(1, 2), of_b).sum(dim=0, dtype=torch.float32)
    return product if threads * each == len(a) else product + a[threads * each :].t() @ b[threads * each :]

"""Linear layers of a finished model on a CPU, with the weights in the order in which oneDNN multiplies fastest.

torch hands float32 products to MKL, which on AMD processors stays at half of what they can do, and which rearranges the
weights in every call. oneDNN, which comes with torch as well, takes them rearranged once and for all.
"""

from typing import Literal

import torch
from torch import Tensor, nn

_POINTWISE = {"none": ("none", ""), "relu": ("relu", ""), "gelu": ("gelu", "none"), "gelu_tanh": ("gelu", "tanh")}
"""oneDNN's names of an activation and of the way to compute it."""

Activation = Literal["none", "relu", "gelu", "gelu_tanh"]


class PackedLinear(nn.Linear):
    """A linear layer for inference. Its weights must not change any more: `weight` stays what it was, for reading."""

    def __init__(self, linear: nn.Linear, *, dtype: torch.dtype | None = None, activation: Activation = "none") -> None:
        """Pack the weights of a layer.

        Args:
            linear: the layer, whose weights are shared.
            dtype: in which to multiply, float32 or bfloat16; by default that of the weights. Outputs have it too.
            activation: applied to the outputs while they are still in the processor's registers.
        """
        super().__init__(linear.in_features, linear.out_features, bias=linear.bias is not None, device="meta")
        self.weight, self.bias = linear.weight, linear.bias
        self._dtype = dtype or linear.weight.dtype
        self._activation = activation
        self._packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach().to(self._dtype).contiguous())
        self._packed_bias = None if linear.bias is None else linear.bias.detach().to(self._dtype)

    def forward(self, x: Tensor) -> Tensor:
        """The activation of W x + b, the same to rounding as that of the layer it was made of."""
        name, way = _POINTWISE[self._activation]
        return torch.ops.mkldnn._linear_pointwise(x.to(self._dtype), self._packed, self._packed_bias, name, [], way)


def can_be_packed(weight: Tensor, dtype: torch.dtype = torch.float32) -> bool:
    """Whether oneDNN is here for these weights, in `dtype`. The operators are not public: a torch may come without."""
    names = ("_reorder_linear_weight", "_linear_pointwise")
    return (
        weight.device.type == "cpu"
        and weight.dtype == torch.float32
        and torch.backends.mkldnn.is_available()
        and all(hasattr(torch.ops.mkldnn, name) for name in names)
        and (dtype == torch.float32 or (dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()))
    )


def pack_linears(module: nn.Module, *, dtype: torch.dtype = torch.float32) -> None:
    """Replace every linear layer inside `module`, where that can be done, by one that multiplies in `dtype`."""
    for name, child in module.named_children():
        if isinstance(child, nn.Linear) and type(child) is not PackedLinear and can_be_packed(child.weight, dtype):
            setattr(module, name, PackedLinear(child, dtype=dtype))
        else:
            pack_linears(child, dtype=dtype)


def forget_unpacked(module: nn.Module) -> None:
    """Let go of the weights that the packed layers inside `module` were made of; their shapes remain for reading."""
    for layer in module.modules():
        if isinstance(layer, PackedLinear):
            layer.weight = nn.Parameter(layer.weight.to("meta"), requires_grad=False)

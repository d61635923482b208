"""Linear layers of a finished model on a CPU, with the weights in the order in which oneDNN multiplies fastest.

torch hands float32 products to MKL, which on AMD processors stays at half of what they can do, and which rearranges the
weights in every call. oneDNN, which comes with torch as well, takes them rearranged once and for all.
"""

import torch
from torch import Tensor, nn


class PackedLinear(nn.Linear):
    """A linear layer for inference. Its weights must not change any more: `weight` stays what it was, for reading."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear.in_features, linear.out_features, bias=linear.bias is not None, device="meta")
        self.weight, self.bias = linear.weight, linear.bias
        self._packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach().contiguous())

    def forward(self, x: Tensor) -> Tensor:
        """W x + b, the same to rounding as that of the layer it was made of."""
        return torch.ops.mkldnn._linear_pointwise(x, self._packed, self.bias, "none", [], "")


def can_be_packed(weight: Tensor) -> bool:
    """Whether this weight is one that oneDNN is here for. The operators are not public: a torch may come without."""
    names = ("_reorder_linear_weight", "_linear_pointwise")
    return (
        weight.device.type == "cpu"
        and weight.dtype == torch.float32
        and torch.backends.mkldnn.is_available()
        and all(hasattr(torch.ops.mkldnn, name) for name in names)
    )


def pack_linears(module: nn.Module) -> None:
    """Replace every linear layer inside `module`, where that can be done."""
    for name, child in module.named_children():
        if type(child) is nn.Linear and can_be_packed(child.weight):
            setattr(module, name, PackedLinear(child))
        else:
            pack_linears(child)

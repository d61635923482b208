"""The feed-forward network of a finished model on a CPU: packed weights, the activation inside the first product."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attnkit.models.kernels.packed_linear import PackedLinear, can_be_packed
from attnkit.models.layers.mlp import Mlp


class PackedMlp(nn.Module):
    """An Mlp for inference: no dropout, and weights that must not change any more."""

    def __init__(self, mlp: Mlp, *, dtype: torch.dtype) -> None:
        super().__init__()
        self.up = PackedLinear(mlp.up, dtype=dtype, activation=mlp.activation)
        self.down = PackedLinear(mlp.down, dtype=dtype)

    def forward(self, x: Float[Tensor, "B *N C"]) -> Float[Tensor, "B *N C"]:
        """What the Mlp that it was made of gives, to rounding."""
        return self.down(self.up(x))


def pack_mlps(module: nn.Module, *, dtype: torch.dtype = torch.float32) -> None:
    """Replace every Mlp inside `module`, where that can be done, by one that multiplies in `dtype`."""
    for name, child in module.named_children():
        if type(child) is Mlp and can_be_packed(child.up.weight, dtype):
            setattr(module, name, PackedMlp(child, dtype=dtype))
        else:
            pack_mlps(child, dtype=dtype)

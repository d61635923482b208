"""Convolutions of a finished model on a CPU: weights in oneDNN's order, norm and ReLU inside the convolution."""

from collections.abc import Sequence
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attnkit.models.kernels.enlarged_conv import EnlargedConv
from attnkit.models.kernels.packed_linear import can_be_packed
from attnkit.models.layers.conv_norm import ConvNorm


class PackedConv(nn.Module):
    """A convolution for inference that keeps the size of the map; channels lie next to each other in memory."""

    def __init__(
        self, weight: Float[Tensor, "D C k k"], bias: Float[Tensor, "D"] | None, *, dtype: torch.dtype, relu: bool
    ) -> None:
        super().__init__()
        self.dtype = dtype
        self._padding = [weight.shape[2] // 2] * 2
        self._activation = "relu" if relu else "none"
        weight = weight.detach().to(dtype, memory_format=torch.channels_last)
        some_size = [1, weight.shape[1], 64, 64]  # the order hardly depends on it
        self._packed = torch.ops.mkldnn._reorder_convolution_weight(weight, self._padding, [1, 1], [1, 1], 1, some_size)
        self._packed_bias = None if bias is None else bias.detach().to(dtype)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        """The same to rounding as the convolution that it was made of."""
        x = x.to(self.dtype).contiguous(memory_format=torch.channels_last)
        return torch.ops.mkldnn._convolution_pointwise(
            x, self._packed, self._packed_bias, self._padding, [1, 1], [1, 1], 1, self._activation, [], ""
        )


class PackedConvNorm(nn.Module):
    """A ConvNorm for inference. It may know what channels its maps have: then each is convolved at its own size."""

    def __init__(self, layer: ConvNorm, *, dtype: torch.dtype, coarser: Sequence[int] = ()) -> None:
        """Pack the weights of a layer.

        Args:
            layer: its norm becomes a scale of the weights and a bias, as in evaluation.
            dtype: in which to multiply, float32 or bfloat16; outputs have it too.
            coarser: channels of each of the coarser maps that `forward` gets.
        """
        super().__init__()
        weight, bias = folded(layer.conv, layer.norm)
        own, *others = weight.split([weight.shape[1] - sum(coarser), *coarser], dim=1)
        self.conv = PackedConv(own, bias, dtype=dtype, relu=not coarser)
        self.others = nn.ModuleList(EnlargedConv(other, dtype=dtype) for other in others)

    def forward(self, x: Float[Tensor, "B C H W"], *coarser: Float[Tensor, "B _C _h _w"]) -> Float[Tensor, "B D H W"]:
        """What the layer that it was made of gives, to rounding."""
        out: Tensor = self.conv(x)
        for layer, other in zip(self.others, coarser, strict=True):
            cast("EnlargedConv", layer).add_to(out.permute(0, 2, 3, 1), other.permute(0, 2, 3, 1))
        return out.relu_() if coarser else out


def pack_conv_norms(module: nn.Module, *, dtype: torch.dtype) -> None:
    """Replace every ConvNorm inside `module` by a packed one, one after the other: few weights are there twice."""
    for name, child in module.named_children():
        if isinstance(child, ConvNorm):
            module.add_module(name, PackedConvNorm(child, dtype=dtype))
        else:
            pack_conv_norms(child, dtype=dtype)


def can_pack_convs(weight: Tensor, dtype: torch.dtype) -> bool:
    """Whether oneDNN's operators for convolutions are here too, which are no more public than those for matrices."""
    names = ("_reorder_convolution_weight", "_convolution_pointwise")
    return can_be_packed(weight, dtype) and all(hasattr(torch.ops.mkldnn, name) for name in names)


def folded(conv: nn.Conv2d, norm: nn.Module) -> tuple[Float[Tensor, "D C k k"], Float[Tensor, "D"]]:
    """Weight and bias of a convolution that does what a convolution and a batch norm in evaluation do."""
    assert isinstance(norm, nn.modules.batchnorm._BatchNorm)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    shift = norm.bias - norm.running_mean * scale
    if conv.bias is not None:
        shift = shift + conv.bias * scale
    return (conv.weight * scale[:, None, None, None]).detach(), shift.detach()

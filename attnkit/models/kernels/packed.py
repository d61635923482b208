"""Layers of a finished model on a CPU, with the weights in the order in which oneDNN multiplies fastest.

torch hands float32 products to MKL, which on AMD processors stays at half of what they can do, and which rearranges the
weights in every call. oneDNN, which comes with torch as well, takes them rearranged once and for all. The weights of a
packed layer must not change any more.

Letters: B images, C channels before and D behind, h w cells of a map, H W of an enlarged one.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from attnkit.models.kernels.linear import onednn_has
from attnkit.models.layers.conv_norm import ConvNorm
from attnkit.models.layers.mlp import Mlp

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
    """Whether oneDNN can multiply by these weights in `dtype`, rearranged."""
    is_plain = weight.device.type == "cpu" and weight.dtype == torch.float32
    return is_plain and onednn_has("_reorder_linear_weight", "_linear_pointwise", dtype=dtype)


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


class PackedPatches(nn.Module):
    """A convolution whose stride is its kernel, with packed weights; pixels that fill no patch are left out."""

    def __init__(self, convolution: nn.Conv2d, *, dtype: torch.dtype) -> None:
        super().__init__()
        if convolution.stride != convolution.kernel_size:
            raise ValueError(
                f"patches: a stride of {convolution.stride} with a kernel of {convolution.kernel_size}; "
                "expected patches that do not overlap"
            )
        self.patch_size = cast("tuple[int, int]", convolution.kernel_size)
        out_channels, inputs = convolution.out_channels, convolution.weight[0].numel()
        linear = nn.Linear(inputs, out_channels, bias=convolution.bias is not None, device="meta")
        linear.weight = nn.Parameter(convolution.weight.detach().flatten(1), requires_grad=False)
        if convolution.bias is not None:
            linear.bias = nn.Parameter(convolution.bias.detach(), requires_grad=False)
        self.dtype = dtype
        self.linear = PackedLinear(linear, dtype=dtype)

    def forward(self, images: Float[Tensor, "B channels height width"]) -> Float[Tensor, "B C H W"]:
        """What the convolution gives; the channels lie next to each other in memory."""
        high, wide = self.patch_size
        height, width = images.shape[2] // high, images.shape[3] // wide
        images = images[:, :, : height * high, : width * wide].to(self.dtype)
        patches = images.unflatten(3, (width, wide)).unflatten(2, (height, high))  # (B, channels, H, high, W, wide)
        return self.linear(patches.permute(0, 2, 4, 1, 3, 5).flatten(3)).permute(0, 3, 1, 2)


_BLOCK = 64
"""Rows or columns that are enlarged at once: many enough for a fast product, few enough for a narrow one."""

Blocks = list[tuple[slice, slice, Tensor]]


class EnlargedConv(nn.Module):
    """A 3x3 convolution of an enlarged map, computed mostly at the size that the map had before.

    A convolution is the sum over its nine taps of a matrix on the channels and a shift of the map. Enlarging treats all
    channels alike, so each matrix may come before it, where the map has 4, 16 or 64 times fewer cells. What remains,
    enlarging, shifting and adding, is done for the columns and then for the rows; it needs no product over channels.
    The sum is the same to rounding: UperNet's fusion of maps, two thirds of its arithmetic, becomes two and a half
    times cheaper.
    """

    def __init__(self, weight: Float[Tensor, "D C 3 3"], *, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype, self.channels = dtype, weight.shape[0]
        self.rows = nn.ModuleList(_pack_taps(weight[:, :, row], dtype) for row in range(3))

    def add_to(self, out: Float[Tensor, "B H W D"], x: Float[Tensor, "B h w C"]) -> None:
        """Add the convolution of x, enlarged to H x W, to `out`, which is contiguous, in the dtype of the weights."""
        batch, height, width, channels = out.shape
        out = out.view(batch, height, width * channels)
        for made, used, matrix in _blocks(x.shape[1], height, self.dtype):
            rows = self._widen(x[:, used], width)  # (B, 3 rows, W D)
            out[:, made].baddbmm_(matrix.expand(batch, -1, -1), rows)

    def _widen(self, x: Float[Tensor, "B h w C"], width: int) -> Float[Tensor, "B h3 WD"]:
        """Three rows for each row of the map, one for each row of taps, in which columns are enlarged and added."""
        batch, height, low_width, _ = x.shape
        wide = x.new_empty(batch * height, 3, width, self.channels, dtype=self.dtype)
        for tap, product in enumerate(self.rows):
            taps = product(x).view(batch * height, low_width, 3, self.channels)
            for made, used, matrix in _blocks(low_width, width, self.dtype):
                wide[:, tap, made] = torch.matmul(matrix, taps[:, used].flatten(1, 2))
        return wide.view(batch, 3 * height, width * self.channels)


def _pack_taps(weight: Float[Tensor, "D C 3"], dtype: torch.dtype) -> PackedLinear:
    """The matrices of three taps side by side in the outputs."""
    rows = weight.permute(2, 0, 1).flatten(0, 1)  # (3 D, C)
    linear = nn.Linear(rows.shape[1], rows.shape[0], bias=False, device="meta")
    linear.weight = nn.Parameter(rows, requires_grad=False)
    packed = PackedLinear(linear, dtype=dtype)
    forget_unpacked(packed)
    return packed


@lru_cache(maxsize=64)
def _blocks(size: int, enlarged: int, dtype: torch.dtype) -> Blocks:
    """How a row of `size` cells becomes one of `enlarged` cells that is shifted for each of three taps.

    Returns:
        Block by block which cells it makes, of which others, and the matrix between: (made, used x taps).
    """
    with torch.inference_mode(False):
        cells = torch.eye(size, device="cpu")[None]
        matrix = F.interpolate(cells, size=enlarged, mode="linear", align_corners=False)[0].t()  # (enlarged, size)
        padded = F.pad(matrix, (0, 0, 1, 1))  # beyond the edges the map is zero
        taps = torch.stack([padded[tap : tap + enlarged] for tap in range(3)], dim=2)  # (enlarged, size, 3)
        return [_block(taps[start : start + _BLOCK], start, dtype=dtype) for start in range(0, enlarged, _BLOCK)]


def _block(matrix: Float[Tensor, "made size 3"], start: int, *, dtype: torch.dtype) -> tuple[slice, slice, Tensor]:
    used = matrix.ne(0).any(dim=2).any(dim=0).nonzero()
    first, end = int(used.min()), int(used.max()) + 1
    made = slice(start, start + len(matrix))
    return made, slice(first, end), matrix[:, first:end].flatten(1).to(dtype)


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
    """Whether it can convolve by such weights too."""
    names = ("_reorder_convolution_weight", "_convolution_pointwise")
    return can_be_packed(weight, dtype) and onednn_has(*names, dtype=dtype)


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

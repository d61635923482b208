import itertools

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attnkit.models.kernels.enlarged_conv import EnlargedConv
from attnkit.models.kernels.packed_conv import (
    PackedConv,
    PackedConvNorm,
    can_pack_convs,
    folded,
    pack_conv_norms,
)
from attnkit.models.layers.conv_norm import ConvNorm

pytestmark = pytest.mark.skipif(
    not can_pack_convs(torch.empty(1), torch.float32), reason="this torch has no oneDNN, or not its operators"
)


def some(*shape: int, seed: int = 2) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def shaken(in_channels: int, out_channels: int, *, kernel_size: int = 3) -> ConvNorm:
    torch.manual_seed(1)
    layer = ConvNorm(in_channels, out_channels, kernel_size=kernel_size).eval()
    layer.norm.running_mean.normal_()
    layer.norm.running_var.uniform_(0.5, 2.0)
    nn.init.normal_(layer.norm.weight)
    nn.init.normal_(layer.norm.bias)
    return layer.requires_grad_(False)


SIZES = [(1, 1), (2, 3), (7, 5), (13, 11)]


@pytest.mark.parametrize(("size", "enlarged"), list(itertools.combinations_with_replacement(SIZES, 2)), ids=str)
def test_an_enlarged_map(size: tuple[int, int], enlarged: tuple[int, int]) -> None:
    """Sizes whose ratio is no whole number are like all others."""
    weight, x, out = some(3, 2, 3, 3), some(2, 2, *size), some(2, *enlarged, 3, seed=3)
    plain = F.conv2d(F.interpolate(x, size=enlarged, mode="bilinear", align_corners=False), weight, padding=1)
    expected = out + plain.permute(0, 2, 3, 1)
    EnlargedConv(weight, dtype=torch.float32).add_to(out, x.permute(0, 2, 3, 1))
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)


def test_maps_of_more_than_one_block() -> None:
    """150 columns and 131 rows: three blocks each, of which the last is not full."""
    weight, x, out = some(3, 2, 3, 3), some(1, 2, 33, 75), torch.zeros(1, 131, 150, 3)
    plain = F.conv2d(F.interpolate(x, size=(131, 150), mode="bilinear", align_corners=False), weight, padding=1)
    EnlargedConv(weight, dtype=torch.float32).add_to(out, x.permute(0, 2, 3, 1))
    torch.testing.assert_close(out, plain.permute(0, 2, 3, 1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kernel_size", [1, 3])
@pytest.mark.parametrize("relu", [False, True])
def test_a_convolution(kernel_size: int, relu: bool) -> None:
    weight, bias, x = some(3, 2, kernel_size, kernel_size), some(3), some(2, 2, 5, 7)
    expected = F.conv2d(x, weight, bias, padding=kernel_size // 2)
    found = PackedConv(weight, bias, dtype=torch.float32, relu=relu)(x)
    torch.testing.assert_close(found, expected.relu() if relu else expected, rtol=1e-4, atol=1e-5)
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_the_norm_becomes_part_of_the_weights() -> None:
    layer, x = shaken(2, 3), some(2, 2, 5, 7)
    weight, bias = folded(layer.conv, layer.norm)
    torch.testing.assert_close(F.conv2d(x, weight, bias, padding=1).relu(), layer(x), rtol=1e-4, atol=1e-5)
    conv = nn.Conv2d(2, 3, 3, padding=1).requires_grad_(False)
    weight, bias = folded(conv, layer.norm)
    torch.testing.assert_close(F.conv2d(x, weight, bias, padding=1), layer.norm(conv(x)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.15)], ids=str)
def test_a_layer_of_one_map_and_of_several(dtype: torch.dtype, tolerance: float) -> None:
    maps = [some(2, 2, 9, 7), some(2, 5, 4, 4), some(2, 3, 1, 2)]
    layer = shaken(10, 11)
    found = PackedConvNorm(layer, dtype=dtype, coarser=[5, 3])(*maps)
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), layer(*maps), rtol=tolerance, atol=tolerance)
    single = PackedConvNorm(shaken(2, 11), dtype=dtype)(maps[0])
    torch.testing.assert_close(single.float(), shaken(2, 11)(maps[0]), rtol=tolerance, atol=tolerance)


def test_every_layer_inside_is_replaced() -> None:
    model = nn.Sequential(shaken(2, 3), nn.ModuleDict({"inside": shaken(3, 2)}))
    pack_conv_norms(model, dtype=torch.float32)
    assert not any(isinstance(module, ConvNorm) for module in model.modules())
    assert sum(isinstance(module, PackedConvNorm) for module in model.modules()) == 2
    assert sum(parameter.numel() for parameter in model.parameters()) == 0


def test_an_operator_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attnkit.models.kernels.packed_conv.can_be_packed", lambda *_: False)
    assert not can_pack_convs(torch.empty(1), torch.float32)

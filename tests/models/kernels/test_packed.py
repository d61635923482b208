"""Packed layers give what the layers give that they were made of."""

import itertools
import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attnkit.models.decoder_state import DecoderState
from attnkit.models.kernels.packed import (
    EnlargedConv,
    PackedConv,
    PackedConvNorm,
    PackedLinear,
    PackedMlp,
    PackedPatches,
    can_be_packed,
    can_pack_convs,
    folded,
    pack_conv_norms,
    pack_linears,
    pack_mlps,
)
from attnkit.models.layers.conv_norm import ConvNorm
from attnkit.models.layers.mlp import Mlp
from tests.models.cases import BOS, TRANSFORMERS, TransformerCase

needs_onednn = pytest.mark.skipif(not can_be_packed(torch.zeros(2, 3)), reason="this torch has no oneDNN")


@needs_onednn
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(7,), (1, 7), (11, 7), (2, 5, 7)])
@torch.no_grad()
def test_multiplies_like_the_layer_it_was_made_of(bias: bool, shape: tuple[int, ...]) -> None:
    torch.manual_seed(3)
    linear = nn.Linear(7, 13, bias=bias)
    x = torch.randn(shape)
    torch.testing.assert_close(PackedLinear(linear)(x), linear(x))


@needs_onednn
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("activation", ["none", "relu", "gelu", "gelu_tanh"])
@torch.no_grad()
def test_other_numbers_and_an_activation(dtype: torch.dtype, bias: bool, activation: str) -> None:
    torch.manual_seed(3)
    linear = nn.Linear(7, 13, bias=bias)
    x = torch.randn(2, 5, 7)
    after = {
        "none": lambda y: y,
        "relu": F.relu,
        "gelu": F.gelu,
        "gelu_tanh": lambda y: F.gelu(y, approximate="tanh"),
    }[activation]
    found = PackedLinear(linear, dtype=dtype, activation=activation)(x)
    assert found.dtype == dtype
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    torch.testing.assert_close(found.float(), after(linear(x)), rtol=tolerance, atol=tolerance)


@needs_onednn
@torch.no_grad()
def test_the_two_gelus_are_not_the_same() -> None:
    linear = nn.Linear(1, 1)
    linear.weight.data.fill_(1.0)
    linear.bias.data.zero_()
    exact, by_tanh = (
        PackedLinear(linear, activation=activation)(torch.tensor([[-2.2]])).item()
        for activation in ("gelu", "gelu_tanh")
    )
    assert exact == pytest.approx(-2.2 * 0.5 * math.erfc(2.2 / math.sqrt(2)), abs=1e-6)
    assert abs(exact - by_tanh) > 1e-4


@needs_onednn
@torch.no_grad()
def test_patches_are_what_a_convolution_sees() -> None:
    """Sides that differ, and pixels that fill no patch."""
    torch.manual_seed(3)
    for bias in (True, False):
        convolution = nn.Conv2d(2, 7, (3, 5), stride=(3, 5), bias=bias)
        x = torch.randn(2, 2, 11, 17)
        torch.testing.assert_close(PackedPatches(convolution, dtype=torch.float32)(x), convolution(x))
        found = PackedPatches(convolution, dtype=torch.bfloat16)(x)
        torch.testing.assert_close(found.float(), convolution(x), rtol=2e-2, atol=2e-2)


def test_patches_must_not_overlap() -> None:
    with pytest.raises(ValueError, match=r"^patches: a stride of \(2, 2\) with a kernel of \(3, 3\); expected patches"):
        PackedPatches(nn.Conv2d(3, 5, 3, stride=2), dtype=torch.float32)


@needs_onednn
@pytest.mark.parametrize("activation", ["relu", "gelu", "gelu_tanh"])
@torch.no_grad()
def test_a_packed_mlp_says_the_same(activation: str) -> None:
    torch.manual_seed(3)
    module = nn.Sequential(Mlp(7, 13, activation=activation, dropout=0.5)).eval()
    x = torch.randn(2, 5, 7)
    expected = module(x)
    names = list(module.state_dict())
    pack_mlps(module)
    assert isinstance(module[0], PackedMlp)
    assert list(module.state_dict()) == names
    torch.testing.assert_close(module(x), expected)


@needs_onednn
def test_keeps_the_names_and_the_weights() -> None:
    module = nn.Sequential(nn.Linear(3, 5), nn.Sequential(nn.Linear(5, 2, bias=False)), nn.LayerNorm(2))
    before = dict(module.state_dict())
    pack_linears(module)
    assert isinstance(module[0], PackedLinear)
    assert isinstance(module[1][0], PackedLinear)
    after = module.state_dict()
    assert list(after) == list(before)
    assert all(after[name].data_ptr() == tensor.data_ptr() for name, tensor in before.items())


def test_other_numbers_are_left_alone() -> None:
    module = nn.Sequential(nn.Linear(3, 5, dtype=torch.float64))
    pack_linears(module)
    assert type(module[0]) is nn.Linear


@pytest.mark.parametrize("case", TRANSFORMERS, ids=lambda case: case.name)
@torch.no_grad()
def test_a_packed_transformer_decodes_the_same(case: TransformerCase) -> None:
    model, src = case.build(), case.batch()[0]
    names = list(model.state_dict())

    def two_steps() -> list[torch.Tensor]:
        state = DecoderState(model, src)
        return [state.step(torch.full((len(src), 1), token)) for token in (BOS, 5)]

    before = two_steps()
    model.pack()
    model.pack()  # again does nothing
    torch.testing.assert_close(two_steps(), before, rtol=1e-4, atol=1e-5)
    assert list(model.state_dict()) == names


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
    monkeypatch.setattr("attnkit.models.kernels.packed.can_be_packed", lambda *_: False)
    assert not can_pack_convs(torch.empty(1), torch.float32)

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from attnkit.models.decoder_state import DecoderState
from attnkit.models.kernels.packed_linear import PackedLinear, can_be_packed, pack_linears
from attnkit.models.kernels.packed_mlp import PackedMlp, pack_mlps
from attnkit.models.kernels.packed_patches import PackedPatches
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

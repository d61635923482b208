import pytest
import torch
from torch import nn

from attnkit.models.layers.packed_linear import PackedLinear, can_be_packed, pack_linears
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
        state = model.start_decoding(src)
        return [state.step(torch.full((len(src), 1), token)) for token in (BOS, 5)]

    before = two_steps()
    model.pack()
    model.pack()  # again does nothing
    torch.testing.assert_close(two_steps(), before, rtol=1e-4, atol=1e-5)
    assert list(model.state_dict()) == names

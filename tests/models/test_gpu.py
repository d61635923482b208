"""On a GPU attention, dropout and masks go other ways than on a CPU; the results are the same."""

import pytest
import torch
from torch import Tensor

from attnkit.models.decoder_state import DecoderState
from attnkit.models.layers.cross_entropy import linear_cross_entropy
from attnkit.models.layers.dropout import Dropout
from tests.models.cases import BOS, CASES, TRANSFORMERS, Case, TransformerCase

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")]

GPU = "cuda"


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual.cpu(), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@torch.no_grad()
def test_outputs(case: Case) -> None:
    model, batch = case.build(), case.batch()
    expected = case.outputs(model, batch)
    outputs = case.outputs(model.to(GPU), tuple(x.to(GPU) for x in batch))
    for example in range(len(expected)):
        close(case.real(outputs, example), case.real(expected, example))


@pytest.mark.parametrize("case", TRANSFORMERS, ids=lambda case: case.name)
@torch.no_grad()
def test_decoding_and_maps(case: TransformerCase) -> None:
    model, (src, tgt_in) = case.build(), case.batch()
    maps = model.attention_maps(src, tgt_in)["cross"][-1]
    state = DecoderState(model, src)
    expected = [state.step(torch.full((len(src), 1), token)) for token in (BOS, 17, 18)]
    model, src, tgt_in = model.to(GPU), src.to(GPU), tgt_in.to(GPU)
    close(model.attention_maps(src, tgt_in)["cross"][-1], maps)
    state = DecoderState(model, src)
    for token, logits in zip((BOS, 17, 18), expected, strict=True):
        close(state.step(torch.full((len(src), 1), token, device=GPU)), logits)
    with torch.autocast(GPU, dtype=torch.bfloat16):
        assert (model.attention_maps(src, tgt_in)["cross"][-1].cpu() - maps).abs().max() < 0.05


def test_cross_entropy() -> None:
    hidden, weight, targets = torch.randn(53, 7), torch.randn(31, 7), torch.randint(0, 31, (53,))

    def run(device: str) -> tuple[Tensor, ...]:
        inputs = [tensor.to(device).requires_grad_() for tensor in (hidden, weight)]
        loss, nll = linear_cross_entropy(*inputs, targets.to(device), label_smoothing=0.1)
        return loss.detach(), nll, *torch.autograd.grad(loss, inputs)

    for there, here in zip(run(GPU), run("cpu"), strict=True):
        close(there, here)


def test_dropout() -> None:
    y = Dropout(0.25)(torch.ones(997, 401, device=GPU))
    assert y.mean().item() == pytest.approx(1.0, abs=0.005)
    assert {round(value, 4) for value in y.unique().tolist()} == {0.0, 1.3333}

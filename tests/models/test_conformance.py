"""What holds for every model; the rows stand in cases.py."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from attnkit.engine.checkpoint import load_weights, named_weights, save_weights
from tests.models.cases import CASES, PUBLISHED, Case

every_model = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


@every_model
def test_shape_and_finite(case: Case) -> None:
    outputs = case.outputs(case.build(), case.batch())
    assert outputs.shape == case.output_shape()
    assert outputs.dtype == torch.float32
    assert outputs.isfinite().all()


@every_model
def test_every_parameter_gets_a_gradient(case: Case) -> None:
    model = case.build()
    outputs = case.outputs(model, case.batch())
    (outputs * torch.randn(outputs.shape, generator=torch.Generator().manual_seed(3))).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 1e-6, name


@every_model
@torch.no_grad()
def test_a_row_of_a_batch_is_a_batch_of_one(case: Case) -> None:
    model = case.build()
    together = case.outputs(model, case.batch())
    for example, single in enumerate(case.singles()):
        close(case.real(together, example), case.outputs(model, single)[0])


@every_model
@torch.no_grad()
def test_examples_do_not_mix(case: Case) -> None:
    """Of a reversed batch, the outputs are reversed."""
    model = case.build()
    there, back = case.outputs(model, case.batch()), case.outputs(model, tuple(x.flip(0) for x in case.batch())).flip(0)
    for example in range(len(there)):
        close(case.real(back, example), case.real(there, example))


@every_model
@torch.no_grad()
def test_outputs_depend_on_every_input(case: Case) -> None:
    """Or the tests above would pass for a constant."""
    model, batch = case.build(), case.batch()
    there = case.outputs(model, batch)
    for place, x in enumerate(batch):
        others = (*batch[:place], x.flip(0), *batch[place + 1 :])
        assert not torch.allclose(case.outputs(model, others), there, atol=1e-3), place


@every_model
@torch.no_grad()
def test_saved_weights_make_the_same_model(case: Case, tmp_path: Path) -> None:
    model = case.build()
    for parameter in model.parameters():  # none has the value that it is born with
        parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(4)), alpha=0.1)
    save_weights(tmp_path / "model.safetensors", model, {"step": 7})
    loaded = case.build()
    assert not torch.equal(case.outputs(loaded, case.batch()), case.outputs(model, case.batch()))
    assert load_weights(tmp_path / "model.safetensors", loaded) == {"step": 7}
    assert torch.equal(case.outputs(loaded, case.batch()), case.outputs(model, case.batch()))


@every_model
def test_state_is_weights_alone(case: Case) -> None:
    """What is computed from the config is not stored, and a tied matrix is stored once; batch norms have statistics."""
    model = case.build()
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    learned = [*model.parameters(), *(statistic for norm in norms for statistic in norm.buffers())]
    assert sorted(tensor.data_ptr() for tensor in named_weights(model).values()) == sorted(
        tensor.data_ptr() for tensor in learned
    )


@every_model
def test_weights_depend_on_the_seed_alone(case: Case) -> None:
    one, other = case.build(), case.build()
    for (name, first), second in zip(one.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(first, second), name


@pytest.mark.parametrize(("build", "count"), [row[1:] for row in PUBLISHED], ids=[row[0] for row in PUBLISHED])
def test_published_parameter_count(build: Callable[[], nn.Module], count: int) -> None:
    with torch.device("meta"):
        model = build()
    assert sum(parameter.numel() for parameter in model.parameters()) == count

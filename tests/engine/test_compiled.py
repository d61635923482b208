"""torch.compile changes the speed and nothing else; where it cannot work, that is said in a line."""

import copy

import pytest
import torch
from torch._dynamo.exc import TorchDynamoException

from attnkit.engine.compiled import CompiledTask
from attnkit.errors import AttnkitError
from tests.engine.line_task import LineTask, make_points


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_same_loss_and_gradient():
    plain, points = LineTask(), make_points(5)
    task = copy.deepcopy(plain)
    compiled = CompiledTask(task)
    plain(points).total.backward()
    loss = compiled(points)
    loss.total.backward()
    torch.testing.assert_close(loss.terms["squares"], plain(points).terms["squares"])
    torch.testing.assert_close(task.model.weight.grad, plain.model.weight.grad)
    compiled.zero_grad(set_to_none=True)
    assert task.model.weight.grad is None


MESSAGE = (
    r"^train\.compile: torch\.compile failed: (.*); expected a working C\+\+ compiler on a CPU, or Triton on a "
    r"GPU; install one, or leave train\.compile out$"
)


def test_what_cannot_be_compiled(monkeypatch):
    compiled = CompiledTask(LineTask())

    def fail(batch):
        raise TorchDynamoException("no such luck\nand a long story")

    monkeypatch.setattr(compiled, "_forward", fail)
    with pytest.raises(AttnkitError, match=MESSAGE.replace("(.*)", "no such luck")):
        compiled(make_points(2))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_no_compiler(monkeypatch):
    torch._dynamo.reset()
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", ("no-such-compiler",))
    with pytest.raises(AttnkitError, match=MESSAGE):
        CompiledTask(LineTask(dropout=0.5))(make_points(3))

"""A step (accumulation, clipping, memory that runs out, numbers that are not finite), and the position in the data."""

import copy
import math
from itertools import islice

import pytest
import torch
from torch import nn
from torch._dynamo.exc import TorchDynamoException

from attnkit.engine.config import TrainConfig
from attnkit.engine.optimize import CompiledTask, TrainState, forever, optimize
from attnkit.engine.task import Loss
from attnkit.errors import AttnkitError, DataError, TrainingError
from tests.engine.line_task import LineTask, PointBatches, make_points

CPU = torch.device("cpu")


def descend(task, batches, *, lr=0.1, optimizer=None, warn=pytest.fail, **config):
    """Take steps, one for as many batches as there are; plain gradient descent."""
    config = {"accumulate": 1, "precision": "float32", **config}
    steps = len(batches) // config["accumulate"]
    optimizer = optimizer or torch.optim.SGD(task.parameters(), lr=0.0)
    return list(
        optimize(
            task,
            iter(batches),
            optimizer,
            lambda step: lr,
            TrainConfig(steps=steps, **config),
            TrainState(),
            device=CPU,
            warn=warn,
        )
    )


def weights(task):
    return torch.cat([p.detach().flatten() for p in task.parameters()])


def test_a_step_by_hand():
    task, points = LineTask(), make_points(3)
    before = weights(task)
    loss = task(points).total
    grads = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(task.parameters()))])
    (step,) = descend(task, [points], lr=0.1)
    torch.testing.assert_close(weights(task), before - 0.1 * grads)
    assert (step.step, step.count, step.lr) == (1, int(points.targets.sum()), 0.1)
    assert step.loss == pytest.approx(loss.item())
    assert step.terms == {"squares": step.loss}
    assert step.reported == {"nll": pytest.approx(step.loss / 2)}
    assert step.grad_norm == pytest.approx(float(grads.norm()))
    assert step.seconds > 0


def test_the_learning_rate_is_that_of_the_step():
    task = LineTask()
    optimizer = torch.optim.SGD(task.parameters(), lr=0.0)
    config = TrainConfig(steps=3, precision="float32")
    batches = iter([make_points(2)] * 3)
    state = TrainState()
    steps = optimize(task, batches, optimizer, lambda step: 0.01 * step, config, state, device=CPU, warn=pytest.fail)
    assert [step.lr for step in steps] == pytest.approx([0.01, 0.02, 0.03])
    assert state.step == 3


def test_four_batches_of_two_are_one_of_eight():
    points = make_points(8)
    quarters = [points.part(first, first + 2) for first in range(0, 8, 2)]
    assert len({int(quarter.targets.sum()) for quarter in quarters}) > 1, "the parts must differ in targets"
    whole, parts = LineTask(), LineTask()
    of_whole = descend(whole, [points] * 3, accumulate=1)
    of_parts = descend(parts, quarters * 3, accumulate=4)
    torch.testing.assert_close(weights(parts), weights(whole), rtol=1e-5, atol=1e-6)
    for one, four in zip(of_whole, of_parts, strict=True):
        assert four.count == one.count
        assert [four.loss, four.reported["nll"], four.grad_norm] == pytest.approx(
            [one.loss, one.reported["nll"], one.grad_norm], rel=1e-5
        )

    # What the mean of the means would have done is something else.
    mean_of_means = LineTask()
    for _ in range(3):
        parameters = list(mean_of_means.parameters())
        total = torch.stack([mean_of_means(quarter).total for quarter in quarters]).mean()
        for p, gradient in zip(parameters, torch.autograd.grad(total, parameters), strict=True):
            p.data -= 0.1 * gradient
    assert (weights(mean_of_means) - weights(whole)).abs().max() > 1e-3


def test_clipping():
    points = make_points(4)
    free, clipped, loose = LineTask(), LineTask(), LineTask()
    before = weights(free)
    (step,) = descend(free, [points])
    limit = step.grad_norm / 4
    (short,) = descend(clipped, [points], clip_norm=limit)
    descend(loose, [points], clip_norm=step.grad_norm * 2)
    assert short.grad_norm == step.grad_norm, "the norm that is reported is that before clipping"
    torch.testing.assert_close(weights(clipped) - before, (weights(free) - before) / 4, rtol=1e-4, atol=1e-6)
    assert torch.equal(weights(loose), weights(free))


def test_randomness_depends_on_the_step_alone():
    batches = [make_points(4)] * 3
    one, other = LineTask(dropout=0.5), LineTask(dropout=0.5)
    expected = [step.loss for step in descend(one, batches)]
    torch.rand(7)
    assert [step.loss for step in descend(other, batches)] == expected
    assert len(set(expected)) == 3
    assert [step.loss for step in descend(LineTask(dropout=0.5), batches, seed=2)] != expected


class SmallMemory(LineTask):
    """Runs out of memory with more than `most` points, before or behind the forward pass."""

    def __init__(self, most, error=torch.OutOfMemoryError):
        super().__init__()
        self.most, self.error, self.sizes = most, error, []

    def forward(self, batch):
        self.sizes.append(len(batch))
        loss = super().forward(batch)
        if len(batch) > self.most:
            loss.total.backward()  # half-made gradients must not count
            raise self.error("Tried to allocate 20.00 MiB")
        return loss


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, MemoryError])
@pytest.mark.parametrize(("size", "most"), [(8, 4), (8, 2), (7, 2), (3, 1), (5, 1)])
def test_a_step_that_needs_too_much_memory_is_split(size, most, error):
    points = make_points(size)
    roomy, tight = LineTask(), SmallMemory(most, error)
    warnings = []
    (expected,) = descend(roomy, [points])
    (step,) = descend(tight, [points], warn=warnings.append)
    torch.testing.assert_close(weights(tight), weights(roomy), rtol=1e-5, atol=1e-6)
    assert (step.loss, step.grad_norm) == pytest.approx((expected.loss, expected.grad_norm), rel=1e-5)
    assert step.count == expected.count
    assert warnings[0] == (
        f"step 1: out of memory; trying again in 2 parts of at most {(size + 1) // 2} examples. "
        "The result is the same, but for batch norms; a smaller batch, with a larger train.accumulate, avoids this"
    )
    assert max(tight.sizes[-len(warnings) - 1 :]) <= most


def test_a_small_part_beside_a_large_one_is_no_reason_to_give_up():
    points = make_points(6)
    roomy, tight = LineTask(), SmallMemory(3)
    parts = [points.part(0, 1), points.part(1, 6)]
    descend(roomy, [points])
    descend(tight, parts, accumulate=2, warn=lambda message: None)
    torch.testing.assert_close(weights(tight), weights(roomy), rtol=1e-5, atol=1e-6)


def test_a_single_example_that_does_not_fit():
    task = SmallMemory(0)
    before = weights(task)
    with pytest.raises(
        TrainingError,
        match=r"^step 1: out of memory with a single example in a batch; expected it to fit; "
        r"take shorter or smaller inputs, or a smaller model$",
    ):
        descend(task, [make_points(4)], warn=lambda message: None)
    assert torch.equal(weights(task), before)


def test_other_errors_are_not_taken_for_memory():
    task = SmallMemory(2, ValueError)
    with pytest.raises(ValueError, match="Tried to allocate"):
        descend(task, [make_points(4)])
    with pytest.raises(RuntimeError, match="Tried to allocate"):
        descend(SmallMemory(2, RuntimeError), [make_points(4)])


class TwoTerms(LineTask):
    """Its second term becomes `poison` in the third step."""

    def __init__(self, poison=math.nan, *, reported=False):
        super().__init__()
        self.poison, self.calls, self.reported = poison, 0, reported

    def forward(self, batch):
        self.calls += 1
        loss = super().forward(batch)
        second = loss.total * (self.poison if self.calls == 3 else 0.5)
        if self.reported:
            return Loss(loss.terms, loss.count, {"second": second.detach()})
        return Loss({**loss.terms, "second": second}, loss.count)


def test_terms_are_summed_and_told_apart():
    first = descend(TwoTerms(), [make_points(4)])[0]
    assert first.terms["second"] == pytest.approx(first.terms["squares"] / 2)
    assert first.loss == pytest.approx(first.terms["squares"] * 1.5)


@pytest.mark.parametrize("reported", [False, True])
@pytest.mark.parametrize(("poison", "shown"), [(math.nan, "nan"), (math.inf, "inf")])
def test_a_loss_that_is_not_finite_stops_with_step_and_term(poison, shown, reported):
    task = TwoTerms(poison, reported=reported)
    reference = TwoTerms(poison, reported=reported)
    descend(reference, [make_points(4)] * 2)
    with pytest.raises(TrainingError) as caught:
        descend(task, [make_points(4)] * 5)
    assert str(caught.value) == (
        f"step 3: second is {shown}; expected a finite number; lower the learning rate, set "
        "train.clip_norm, or use --set train.precision=float32 (the last checkpoint is still good)"
    )
    assert torch.equal(weights(task), weights(reference)), "the weights are those of step 2"


class BrokenGradient(LineTask):
    """A finite loss whose gradient is not."""

    def forward(self, batch):
        loss = super().forward(batch)
        weight = self.model.weight
        flat = (weight - weight.detach()).abs().sqrt().sum()  # 0, but the slope of the root there is infinite
        return Loss({"squares": loss.total + flat}, loss.count)


def test_a_gradient_that_is_not_finite():
    task = BrokenGradient()
    before = weights(task)
    with pytest.raises(TrainingError, match=r"^step 1: the gradient's norm is nan; expected a finite number; lower"):
        descend(task, [make_points(4)])
    assert torch.equal(weights(task), before)


def test_parameters_that_are_frozen_or_unused_stay():
    task = LineTask()
    task.model.bias.requires_grad_(False)
    task.spare = nn.Parameter(torch.ones(2))
    before = copy.deepcopy(task.state_dict())
    descend(task, [make_points(4)] * 2, clip_norm=0.5)
    after = task.state_dict()
    assert torch.equal(after["model.bias"], before["model.bias"])
    assert torch.equal(after["spare"], before["spare"])
    assert not torch.equal(after["model.weight"], before["model.weight"])


def test_no_time_left_means_no_step():
    config = TrainConfig(steps=5, max_minutes=0.5, precision="float32")
    task = LineTask()
    steps = optimize(
        task,
        iter([make_points(2)] * 5),
        torch.optim.SGD(task.parameters(), lr=0.0),
        lambda step: 0.1,
        config,
        TrainState(seconds=30.0),
        device=CPU,
        warn=pytest.fail,
    )
    assert list(steps) == []


def test_each_group_has_its_share_of_the_learning_rate():
    task, points = LineTask(), make_points(3)
    model = task.model
    before = weights(task)
    grads = torch.cat([g.flatten() for g in torch.autograd.grad(task(points).total, [model.weight, model.bias])])
    optimizer = torch.optim.SGD(
        [{"params": [model.weight], "lr_scale": 0.25}, {"params": [model.bias], "lr_scale": 1.0}], lr=0.0
    )
    descend(task, [points], lr=0.1, optimizer=optimizer)
    scales = torch.tensor([0.025, 0.025, 0.025, 0.1])
    torch.testing.assert_close(weights(task), before - scales * grads)


def firsts(batches, count):
    return [batch.x[0, 0].item() for batch in islice(batches, count)]


def test_epoch_after_epoch():
    data, state = PointBatches(7, 3), TrainState()
    seen = firsts(forever(data, state), 7)
    assert (state.epoch, state.batch) == (2, 1)
    expected = [batch.x[0, 0].item() for epoch in range(3) for batch in data.batches(epoch)]
    assert seen == expected[:7]
    assert len(set(seen)) > 3, "every epoch has its own order"


@pytest.mark.parametrize("done", range(8))
def test_goes_on_in_the_middle_of_an_epoch(done):
    uninterrupted = firsts(forever(PointBatches(7, 3), TrainState()), 10)
    before = TrainState()
    assert firsts(forever(PointBatches(7, 3), before), done) == uninterrupted[:done]
    data, state = PointBatches(7, 3), TrainState(epoch=before.epoch, batch=before.batch)
    assert firsts(forever(data, state), 10 - done) == uninterrupted[done:]
    assert data.asked[0] == (before.epoch, before.batch), "what is done is not made again"


class NoBatches:
    def batches(self, epoch, start=0):
        return iter(())


def test_no_batch():
    with pytest.raises(
        DataError, match=r"^training data: no batch; expected at least one example that is not filtered out; "
    ):
        next(forever(NoBatches(), TrainState()))


def test_when_it_is_over():
    config = TrainConfig(steps=10, patience=2, max_minutes=1.5)
    assert not TrainState(step=9, worse=1, seconds=89.9).over(config)
    assert TrainState(step=10).over(config)
    assert TrainState(worse=2).over(config)
    assert TrainState(seconds=90.0).over(config)
    assert TrainState(seconds=60.0).seconds_left(config) == 30.0
    assert TrainState(seconds=1e9).seconds_left(TrainConfig(steps=1)) == math.inf


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_compiled_to_the_same_loss_and_gradient():
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


NOT_COMPILED = (
    r"^train\.compile: torch\.compile failed: (.*); expected a working C\+\+ compiler on a CPU, or Triton on a "
    r"GPU; install one, or leave train\.compile out$"
)


def test_what_cannot_be_compiled(monkeypatch):
    compiled = CompiledTask(LineTask())

    def fail(batch):
        raise TorchDynamoException("no such luck\nand a long story")

    monkeypatch.setattr(compiled, "_forward", fail)
    with pytest.raises(AttnkitError, match=NOT_COMPILED.replace("(.*)", "no such luck")):
        compiled(make_points(2))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_compiled_without_a_compiler(monkeypatch):
    torch._dynamo.reset()
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", ("no-such-compiler",))
    with pytest.raises(AttnkitError, match=NOT_COMPILED):
        CompiledTask(LineTask(dropout=0.5))(make_points(3))

"""The mathematics of training: `optimize` yields once per optimizer step. When to score and save stands in loop.py."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from attnkit.engine.config import TrainConfig
from attnkit.engine.distributed import SINGLE, Ranks, Totals
from attnkit.engine.memory import is_out_of_memory
from attnkit.engine.precision import autocast
from attnkit.engine.schedule import Schedule
from attnkit.engine.task import Batch, Loss, Task, TrainData
from attnkit.errors import AttnkitError, DataError, TrainingError


@dataclass
class TrainState:
    """Where a training stands. With the weights, the optimizer's memory and the average it is all that resuming needs:
    batches depend on (seed, epoch) and dropout on (seed, step), so there is no generator to store."""

    step: int = 0
    epoch: int = 0
    batch: int = 0
    """How many batches of the epoch are used."""
    best: float | None = None
    best_step: int = 0
    worse: int = 0
    """Validations since the best."""
    seconds: float = 0.0
    """Time in training, over all resumes."""

    def over(self, config: TrainConfig) -> bool:
        """Whether there is nothing left to do."""
        out_of_patience = config.patience is not None and self.worse >= config.patience
        return self.step >= config.steps or out_of_patience or self.seconds_left(config) <= 0

    def seconds_left(self, config: TrainConfig) -> float:
        """Of the time that the recipe allows."""
        return math.inf if config.max_minutes is None else 60 * config.max_minutes - self.seconds


@dataclass(frozen=True)
class Step:
    """What one optimizer step did.

    Attributes:
        step: its number; 1 is the first.
        loss: the sum of the terms, a mean over `count` targets.
        terms: each term of the loss.
        reported: what the task reports beside it.
        count: targets of the step.
        lr: learning rate.
        grad_norm: of all gradients together, before clipping.
        seconds: how long it took.
    """

    step: int
    loss: float
    terms: dict[str, float]
    reported: dict[str, float]
    count: int
    lr: float
    grad_norm: float
    seconds: float


def forever(data: TrainData[Batch], state: TrainState) -> Iterator[Batch]:
    """Batches from where `state` stands, epoch after epoch; the state moves along.

    Raises:
        DataError: an epoch without a batch.
    """
    while True:
        for batch in data.batches(state.epoch, start=state.batch):
            state.batch += 1
            yield batch
        if state.batch == 0:
            raise _no_batch()
        state.epoch += 1
        state.batch = 0


def forever_dealt(data: TrainData[Batch], state: TrainState, ranks: Ranks) -> Iterator[Batch]:
    """The batches of `forever` dealt out to all processes: each gets its own, and `state` moves in all alike,
    by a batch for each process.

    Raises:
        DataError: an epoch without a batch.
    """
    while True:
        epoch, batch = _ahead(data, state, ranks.rank)
        for own in data.batches(epoch, start=batch, every=ranks.count):
            last_epoch, last_batch = _ahead(data, state, ranks.count - 1)
            state.epoch, state.batch = last_epoch, last_batch + 1
            yield own


def _ahead(data: TrainData[Batch], state: TrainState, passed: int) -> tuple[int, int]:
    """The epoch and the number of the batch that comes after so many others from where `state` stands."""
    epoch, batch = state.epoch, state.batch + passed
    while batch >= (length := data.num_batches(epoch)):
        if not length:
            raise _no_batch()
        epoch, batch = epoch + 1, batch - length
    return epoch, batch


def _no_batch() -> DataError:
    return DataError(
        "training data: no batch; expected at least one example that is not filtered out; relax the filter"
    )


class CompiledTask:
    """The forward pass of a task, compiled at its first call and for each new kind of shape."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._forward = torch.compile(task)

    def __call__(self, batch: Any) -> Loss:
        """The loss of a batch.

        Raises:
            AttnkitError: it cannot be compiled here.
        """
        from torch._dynamo.exc import TorchDynamoException  # costs a second, so only those pay who compile
        from torch._inductor.exc import InductorError

        try:
            loss: Loss = self._forward(batch)
        except (TorchDynamoException, InductorError) as error:
            reason = str(error).strip().splitlines()[0]
            raise AttnkitError(
                f"train.compile: torch.compile failed: {reason}; expected a working C++ compiler on a CPU, or Triton "
                "on a GPU; install one, or leave train.compile out"
            ) from error
        return loss

    def zero_grad(self, *, set_to_none: bool) -> None:
        """Forget the gradients."""
        self._task.zero_grad(set_to_none=set_to_none)


def optimize(
    task: Task,
    batches: Iterator[Batch],
    optimizer: Optimizer,
    schedule: Schedule,
    config: TrainConfig,
    state: TrainState,
    *,
    device: torch.device,
    warn: Callable[[str], None],
    ranks: Ranks = SINGLE,
) -> Iterator[Step]:
    """Descend, and yield after each optimizer step, until the state is over.

    The gradient of a step is that of the mean over all its targets, however they are cut into batches and dealt out to
    the processes; `batches` are those of this one.

    Raises:
        TrainingError: a loss or gradient that is not finite, or a single example too large for the memory.
    """
    weights = [p for p in task.parameters() if p.requires_grad]
    forward = CompiledTask(task) if config.compile else task
    cuts = ranks.count == 1 or not any(isinstance(part, nn.SyncBatchNorm) for part in task.modules())
    while not state.over(config):
        started = time.perf_counter()
        parts = [next(batches) for _ in range(config.accumulate // ranks.count)]
        seed = _seed(config.seed, state.step + 1, ranks)
        own = _gradient(forward, parts, config, state.step + 1, seed=seed, device=device, warn=warn, cuts=cuts)
        totals = ranks.all_reduce(weights, task, own)
        terms, reported = totals.means()
        _check_finite(state.step + 1, {**terms, **reported})
        torch._foreach_div_([p.grad for p in weights if p.grad is not None], float(totals.count))
        norm = torch.nn.utils.clip_grad_norm_(weights, config.clip_norm or math.inf)
        _check_finite(state.step + 1, {"the gradient's norm": float(norm)})
        lr = schedule(state.step + 1)
        for group in optimizer.param_groups:
            group["lr"] = lr * group.get("lr_scale", 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)
        state.step += 1
        seconds = time.perf_counter() - started
        state.seconds += ranks.main_seconds(seconds)
        yield Step(state.step, sum(terms.values()), terms, reported, totals.count, lr, float(norm), seconds)


def _gradient(
    forward: Task | CompiledTask,
    parts: Sequence[Batch],
    config: TrainConfig,
    step: int,
    *,
    seed: int,
    device: torch.device,
    warn: Callable[[str], None],
    cuts: bool,
) -> Totals:
    """Sum the gradients of all targets of a step; where memory runs out, begin again with every batch cut in half.

    `cuts` is false where batch norms go over all processes: each must come by them equally often.
    """
    while True:
        torch.manual_seed(seed)
        try:
            return _accumulate(forward, parts, config, device=device)
        except (RuntimeError, MemoryError, OSError) as error:
            if not is_out_of_memory(error):
                raise
            forward.zero_grad(set_to_none=True)
            if device.type == "cuda":
                torch.cuda.empty_cache()
            if not cuts:
                raise TrainingError(
                    f"step {step}: out of memory; expected room for {max(map(len, parts))} examples, which batch norm "
                    "sees together; take a smaller batch, with a larger train.accumulate"
                ) from error
            if all(len(part) < 2 for part in parts):
                raise TrainingError(
                    f"step {step}: out of memory with a single example in a batch; expected it to fit; "
                    "take shorter or smaller inputs, or a smaller model"
                ) from error
        parts = [half for part in parts for half in (part.halves() if len(part) > 1 else (part,))]
        warn(
            f"step {step}: out of memory; trying again in {len(parts)} parts of at most {max(map(len, parts))} "
            "examples. The result is the same, but for batch norms; a smaller batch, with a larger train.accumulate, "
            "avoids this"
        )


def _accumulate(
    forward: Task | CompiledTask, parts: Sequence[Batch], config: TrainConfig, *, device: torch.device
) -> Totals:
    """Backward on total * count of every part; the sums over all parts."""
    terms: dict[str, Tensor] = {}
    reported: dict[str, Tensor] = {}
    count = 0
    for part in parts:
        with autocast(config.precision, device):
            loss = forward(part.to(device))
        (loss.total * loss.count).backward()
        for sums, means in ((terms, loss.terms), (reported, loss.reported)):
            for name, mean in means.items():
                sums[name] = sums.get(name, torch.zeros((), device=device)) + mean.detach() * loss.count
        count += loss.count
    return Totals(
        {name: float(total) for name, total in terms.items()},
        {name: float(total) for name, total in reported.items()},
        count,
    )


def _seed(seed: int, step: int, ranks: Ranks) -> int:
    """A seed for each step, so that its randomness does not depend on what was drawn before it; a different one in
    each process, or their batches would lose the same values to dropout.
    """
    of_step = _mix(seed, step)
    return of_step if ranks.count == 1 else _mix(of_step, ranks.rank)


def _mix(seed: int, step: int) -> int:
    return (seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9) % (1 << 63)


def _check_finite(step: int, values: dict[str, float]) -> None:
    for name, value in values.items():
        if not math.isfinite(value):
            raise TrainingError(
                f"step {step}: {name} is {value}; expected a finite number; lower the learning rate, set "
                "train.clip_norm, or use --set train.precision=float32 (the last checkpoint is still good)"
            )

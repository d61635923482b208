"""Training in several processes: the same steps as in one, the same end for all."""

import json
import os
import re
import signal
import time
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

import pytest
import torch
from torch import nn

from attnkit.engine.checkpoint import load_tensors
from attnkit.engine.config import TrainConfig
from attnkit.engine.distributed import SINGLE, Ranks, Totals, wait_for_main
from attnkit.engine.log import open_log
from attnkit.engine.loop import Parts, fit
from attnkit.engine.optimize import TrainState, _seed, forever, forever_dealt
from attnkit.engine.processes import check_divisible, launch
from attnkit.errors import DataError, Interrupted, RecipeError, TrainingError
from attnkit.run_dir import RunDir, create_run
from tests.engine.line_task import LineTask, PointBatches, make_points

BATCHES = 5
"""In an epoch: an odd number, so that steps of two batches span epochs."""


@dataclass
class SharedPoints(PointBatches):
    """Points that can be dealt out. In process 1, the batch after `good` good ones does what `then` says."""

    good: int = 10**6
    then: str = ""
    made: int = field(default=0, init=False)

    def __post_init__(self):
        super().__init__(2 * BATCHES - 1, 2)

    def num_batches(self, epoch):
        return BATCHES

    def batches(self, epoch, start=0, every=1):
        for batch in islice(super().batches(epoch, start), 0, None, every):
            if torch.distributed.is_initialized() and torch.distributed.get_rank() == 1:
                self.made += 1
                if self.made > self.good:
                    self.misbehave()
            yield batch

    def misbehave(self):
        if self.then == "stop all":
            os.kill(os.getppid(), signal.SIGTERM)
            time.sleep(2)  # time to pass it on to all
        elif self.then == "stop":
            os.kill(os.getpid(), signal.SIGTERM)
        elif self.then == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.then == "data":
            raise DataError("photo.jpg: cannot be read; expected an image; fix it")
        elif self.then == "bug":
            raise ZeroDivisionError("a bug")


def settings(**changes):
    given = {"steps": 7, "schedule": {"name": "cosine", "lr": 0.05}, "precision": "float32", "accumulate": 2}
    given |= {"optimizer": {"name": "adamw"}, "ema_decay": 0.9, "clip_norm": 1.0}
    given |= {"log_every": 2, "validate_every": 3, "save_every": 4, "average_last": 1}
    return TrainConfig.model_validate(given | changes)


def train(run, config, *, resume=False, device, **data):
    """What a recipe does."""
    parts = Parts(LineTask(), SharedPoints(**data), [make_points(5, seed=6)], lambda step: 0.05 / step**0.5)
    if torch.distributed.is_initialized():  # each begins with other weights, so that those of the first must be sent
        parts.task.model.bias.data.fill_(torch.distributed.get_rank())
    fit(parts, config, run, open_log(run, config), device=torch.device(device), resume=resume)


def together(run, config, *, resume=False, **data):
    launch(partial(train, run, config, resume=resume, **data), 2, device="cpu")


def assert_same(run: RunDir, expected: RunDir):
    """The same weights, averages, position and numbers, to rounding."""
    for path in ("resume", "best", "model"):
        (tensors, facts), (other, other_facts) = (load_tensors(getattr(r, path)) for r in (run, expected))
        torch.testing.assert_close(tensors, other, rtol=1e-4, atol=1e-6)
        if path == "resume":
            assert {**facts, "seconds": 0, "best": 0} == {**other_facts, "seconds": 0, "best": 0}
    numbers, other = ([json.loads(line) for line in r.metrics.read_text().splitlines()] for r in (run, expected))
    assert len(numbers) == len(other)
    for line, other_line in zip(numbers, other, strict=True):
        assert line.pop("kind") == other_line.pop("kind")
        other_line.pop("targets_per_second", None)
        assert {key: line[key] for key in other_line} == pytest.approx(other_line, rel=1e-4, abs=1e-6)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A training in one process."""
    run = create_run(tmp_path_factory.mktemp("alone") / "run")
    train(run, settings(), device="cpu")
    return run


STOPPED = r"^stopped at step 5 of 7; everything is saved; go on with: attnkit train "
FOREVER = {"steps": 10**6, "log_every": 10**6, "validate_every": 10**6, "save_every": 10**6}


def train_often(folder, *, device):
    """All that two processes do here and live: they talk, then train one run after the other."""
    talk(folder, device=device)
    for name, config, options in (
        ("whole", settings(), {}),
        ("continued", settings(), {"resume": True}),
        ("timed", settings(**FOREVER, max_minutes=0.002), {}),
        ("stop", settings(save_every=100), {"good": 4, "then": "stop"}),
        ("stop all", settings(save_every=100), {"good": 4, "then": "stop all"}),
    ):
        wait_for_main()
        with (folder / f"{name}.err").open("a") as file:
            os.dup2(file.fileno(), 2)
        try:
            train(RunDir(folder / name), config, device=device, **options)
        except Interrupted as error:
            (folder / f"{name}.{torch.distributed.get_rank()}.error").write_text(str(error))
            if name == "stop all":
                raise


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The runs of two processes, which are started once, and what they wrote."""
    folder = tmp_path_factory.mktemp("both")
    for name in ("whole", "continued", "timed", "stop", "stop all"):
        create_run(folder / name)
    continued = RunDir(folder / "continued")
    train(continued, settings(steps=4), device="cpu")
    continued.model.unlink()
    kept = os.dup(2)
    with (folder / "all.err").open("a") as file:
        os.dup2(file.fileno(), 2)
    try:
        with pytest.raises(Interrupted, match=STOPPED):
            launch(partial(train_often, folder), 2, device="cpu")
    finally:
        os.dup2(kept, 2)
        os.close(kept)
    assert "Traceback" not in (folder / "all.err").read_text()
    return folder


@pytest.fixture
def run(tmp_path):
    return create_run(tmp_path / "run")


def test_two_processes_are_as_good_as_one(both, alone):
    assert_same(RunDir(both / "whole"), alone)
    said = (both / "whole.err").read_text()
    assert said.count("step 7  valid:") == 1, "the main process prints, and no other"
    assert "Traceback" not in said


@pytest.mark.parametrize("then", ["stop", "stop all"])
def test_stopped_in_two_goes_on_in_one(both, alone, then):
    run = RunDir(both / then)
    for rank in range(2):
        assert re.match(STOPPED, (both / f"{then}.{rank}.error").read_text())
    assert load_tensors(run.resume)[1]["step"] == 5
    assert "Traceback" not in (both / f"{then}.err").read_text()
    train(run, settings(), resume=True, device="cpu")
    assert_same(RunDirWithoutLog(run), RunDirWithoutLog(alone))


def test_stopped_in_one_goes_on_in_two(both, alone):
    assert_same(RunDirWithoutLog(RunDir(both / "continued")), RunDirWithoutLog(alone))


class RunDirWithoutLog:
    """A run whose numbers are not compared: one that was stopped sums its lines up otherwise."""

    def __init__(self, run):
        self.resume, self.model, self.best, self.metrics = run.resume, run.model, run.best, Path(os.devnull)


@pytest.mark.parametrize(
    ("then", "error", "message"),
    [
        ("data", DataError, r"^photo\.jpg: cannot be read; expected an image; fix it$"),
        ("die", TrainingError, r"^process 1: ended without a word \(exit code -9\); expected it to train; "),
        ("bug", RuntimeError, r"^process 1 of 2 failed:\nTraceback [\s\S]*ZeroDivisionError: a bug"),
    ],
)
def test_one_that_fails_ends_all(run, then, error, message, capfd):
    with pytest.raises(error, match=message):
        together(run, settings(), good=2, then=then)
    assert "Traceback" not in capfd.readouterr().err


def test_time_is_up_for_all_together(both):
    assert RunDir(both / "timed").finished


def talk(folder, *, device):
    """What processes tell each other, without a training around it; each writes what it heard."""
    rank = torch.distributed.get_rank()
    ranks = Ranks.here(lambda: False)
    if ranks.is_main:  # the others wait from their start
        ranks.barrier()
    norm = nn.BatchNorm1d(2)
    norm.running_mean.fill_(1.0 + 2 * rank)
    shared, lonely, unused = (nn.Parameter(torch.zeros(3)) for _ in range(3))
    shared.grad = torch.full((3,), 2.0 + rank)
    lonely.grad = torch.ones(3) if rank == 1 else None
    own = Totals({"all": 1.5, f"of {rank}": 2.5}, {"seen": 0.25}, (1 << 25) + 1)
    first = ranks.all_reduce([shared, lonely, unused], norm, own)
    ranks.main_seconds(10.0 + rank)
    second = ranks.all_reduce([shared, lonely, unused], norm, own)
    differ = ""
    try:
        ranks.check_weights(3, [torch.tensor([1.0 + rank])])
    except TrainingError as error:
        differ = str(error)
    heard = {
        "totals": [[t.terms, t.reported, t.count] for t in (first, second)],
        "gradients": [None if p.grad is None else p.grad.tolist() for p in (shared, lonely, unused)],
        "mean": norm.running_mean.tolist(),
        "seconds": ranks.main_seconds(99.0),
        "said": ranks.broadcast_object(["of", rank]),
        "differ": differ,
    }
    (folder / f"{rank}.json").write_text(json.dumps(heard))


def test_what_processes_tell_each_other(both):
    heard, other = (json.loads((both / f"{rank}.json").read_text()) for rank in (0, 1))
    assert heard == other
    totals = [{"all": 3.0, "of 0": 2.5, "of 1": 2.5}, {"seen": 0.5}, (1 << 26) + 2]
    assert heard["totals"] == [totals, totals]
    assert heard["gradients"] == [[10.0] * 3, [2.0] * 3, None], "summed twice; where nobody has one there is none"
    assert heard["mean"] == [2.0, 2.0]
    assert heard["seconds"] == 10.0
    assert heard["said"] == ["of", 0]
    assert heard["differ"].startswith(
        "step 3: the weights differ between the 2 processes; expected the same everywhere;"
    )


@pytest.mark.parametrize("count", [2, 3, 7])
def test_every_process_gets_its_share(count):
    whole = [batch.x[0, 0].item() for batch in islice(forever(SharedPoints(), TrainState()), 6 * count)]
    states = [TrainState() for _ in range(count)]
    dealt = [forever_dealt(SharedPoints(), state, Ranks(rank, count)) for rank, state in enumerate(states)]
    alone = TrainState()
    position = forever(SharedPoints(), alone)
    for turn in range(6):
        got = [next(batches).x[0, 0].item() for batches in dealt]
        assert got == whole[turn * count : (turn + 1) * count]
        list(islice(position, count))
        assert states == [alone] * count, "the position is that of one process"


class NoBatches(SharedPoints):
    def num_batches(self, epoch):
        return 0


def test_data_without_a_batch():
    with pytest.raises(DataError, match=r"^training data: no batch; "):
        next(forever_dealt(NoBatches(), TrainState(), Ranks(1, 2)))


def test_each_process_draws_otherwise():
    seeds = [_seed(1, 5, Ranks(rank, 3)) for rank in range(3)]
    assert len({*seeds, _seed(1, 6, Ranks(0, 3)), _seed(1, 5, SINGLE)}) == 5


@pytest.mark.parametrize(("accumulate", "count", "right", "size"), [(1, 2, 2, 2), (4, 6, 12, 3), (3, 2, 6, 2)])
def test_steps_that_cannot_be_shared(accumulate, count, right, size):
    message = (
        rf"^train\.accumulate: {accumulate} batches a step cannot be dealt out to --nproc {count}; expected a "
        rf"multiple of {count}; use --set train\.accumulate={right} with batches of 1/{size} the size "
    )
    with pytest.raises(RecipeError, match=message):
        check_divisible(settings(accumulate=accumulate), count)
    check_divisible(settings(accumulate=right), count)


def test_a_gpu_for_each(tmp_path):
    with pytest.raises(Exception, match=r"^--nproc 2: not possible on --device mps with \d+ GPUs here; expected cpu, "):
        launch(partial(talk, tmp_path), 2, device="mps")

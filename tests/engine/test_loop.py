"""The calendar of a training: when it logs, scores, saves and stops, what it keeps, and how it goes on."""

import io
import json
import os
import shutil
import signal

import pytest
import torch
from rich.console import Console

from attnkit.engine import checkpoint
from attnkit.engine.checkpoint import load_tensors, named_weights
from attnkit.engine.config import TrainConfig
from attnkit.engine.log import RunLog
from attnkit.engine.loop import Parts, fit
from attnkit.errors import CheckpointError, Interrupted, TrainingError
from attnkit.run_dir import create_run
from tests.engine.line_task import Closeness, LineTask, PointBatches, make_points

CPU = torch.device("cpu")
TIMES = {"targets_per_second"}


def config(**changes):
    settings = {
        "steps": 12,
        "schedule": {"name": "cosine", "lr": 0.05},
        "precision": "float32",
        "log_every": 2,
        "validate_every": 4,
        "save_every": 3,
        "keep_last": 2,
        "average_last": 2,
    }
    return TrainConfig.model_validate(settings | changes)


def train(run, settings, *, task=None, resume=False, valid=True, lr=0.05):
    """Fit a line; the plain lines that were said."""
    said = io.StringIO()
    log = RunLog(run.metrics, console=Console(file=said, width=200))
    task = task or LineTask(dropout=0.3)
    points = [make_points(5, seed=6)] if valid else None
    parts = Parts(task, PointBatches(11, 2), points, lambda step: lr / step**0.5)
    try:
        fit(parts, settings, run, log, device=CPU, resume=resume)
    except Interrupted as error:
        return said.getvalue() + str(error)
    return said.getvalue()


@pytest.fixture
def run(tmp_path):
    return create_run(tmp_path / "run")


def numbers(run, kind=None):
    """What metrics.jsonl holds, without times."""
    entries = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    kept = [{key: value for key, value in entry.items() if key not in TIMES} for entry in entries]
    return [entry for entry in kept if kind in (None, entry["kind"])]


def steps_of(run, kind):
    return [entry["step"] for entry in numbers(run, kind)]


def kept(run):
    return [int(path.stem.removeprefix("step_")) for path in run.steps()]


def test_the_calendar(run):
    train(run, config(steps=11))
    assert steps_of(run, "train") == [2, 3, 4, 6, 8, 9, 10, 11], "every 2, and where the weights are saved"
    assert steps_of(run, "valid") == [4, 8, 11]
    assert steps_of(run, "average") == [11]
    assert kept(run) == [9, 11], "the last two of 3, 6, 9 and 11"
    assert [entry["epoch"] for entry in numbers(run, "train")] == [0, 0, 0, 0, 1, 1, 1, 1]
    assert run.finished
    assert load_tensors(run.step(9))[1] == {"step": 9}


def test_without_validation_the_result_is_the_mean(run):
    train(run, config(average_last=2), valid=False)
    tensors, facts = load_tensors(run.model)
    parts = [load_tensors(run.step(step))[0]["weight"] for step in (9, 12)]
    torch.testing.assert_close(tensors["weight"], (parts[0] + parts[1]) / 2, rtol=1e-6, atol=1e-7)
    assert not torch.equal(parts[0], parts[1])
    assert facts == {"step": 12, "averaged": ["step_00000009", "step_00000012"]}
    assert not run.best.exists()
    assert numbers(run, "valid") == numbers(run, "average") == []


def test_fewer_checkpoints_than_are_averaged(run):
    said = train(run, config(steps=2, keep_last=5, average_last=5))
    assert load_tensors(run.model)[1]["averaged"] == ["step_00000002"]
    assert "mean of the last 1 checkpoints  valid: " in said


class Told(Closeness):
    """Scores what it is told to, one after the other."""

    def __init__(self, scores):
        super().__init__()
        self.scores = scores

    def compute(self):
        return {"closeness": self.scores.pop(0)}


class ToldTask(LineTask):
    def __init__(self, *scores):
        super().__init__()
        self.scores = list(scores)

    def new_metric(self):
        return Told(self.scores)


def test_the_best_is_kept_and_is_the_result_where_the_mean_is_worse(run):
    task = ToldTask(1.0, 3.0, 2.0, 2.5)
    said = train(run, config(), task=task)
    assert load_tensors(run.best)[1]["step"] == 8
    assert load_tensors(run.best)[1]["scores"]["closeness"] == 3.0
    tensors, facts = load_tensors(run.model)
    assert facts["best"] is True
    assert facts["step"] == 8
    assert torch.equal(tensors["weight"], load_tensors(run.best)[0]["weight"])
    assert [entry["best"] for entry in numbers(run, "valid")] == [True, True, False]
    assert numbers(run, "average")[0]["closeness"] == 2.5
    lines = said.splitlines()
    assert sum("(best)" in line for line in lines) == 2
    assert lines[-1].startswith("mean of the last 2 checkpoints  valid: ")


def test_the_mean_is_the_result_where_it_is_as_good(run):
    train(run, config(), task=ToldTask(1.0, 3.0, 2.0, 3.0))
    tensors, facts = load_tensors(run.model)
    assert facts == {"step": 12, "averaged": ["step_00000009", "step_00000012"]}
    assert not torch.equal(tensors["weight"], load_tensors(run.best)[0]["weight"])


def test_patience(run):
    said = train(run, config(steps=100, patience=2), task=ToldTask(5.0, 6.0, 6.0, 5.5, 1.0))
    assert steps_of(run, "valid") == [4, 8, 12, 16], "an equal score is not a better one"
    assert steps_of(run, "average") == [16]
    assert kept(run)[-1] == 16
    assert run.finished
    assert load_tensors(run.model)[1]["step"] == 8
    assert "  (best)" in said


def test_a_better_score_renews_the_patience(run):
    train(run, config(steps=24, patience=2), task=ToldTask(5.0, 4.0, 6.0, 5.5, 7.0, 1.0, 0.0))
    assert steps_of(run, "valid") == [4, 8, 12, 16, 20, 24]


def test_max_minutes(run):
    train(run, config(steps=1000, max_minutes=1e-6))
    assert steps_of(run, "train") == steps_of(run, "valid") == steps_of(run, "average") == [1]
    assert kept(run) == [1]
    assert run.finished


def test_time_is_counted_over_resumes(run):
    train(run, config())
    before = load_tensors(run.resume)[1]["seconds"]
    train(run, config(steps=1000, max_minutes=before / 120), resume=True)  # minutes times 60 may round up
    assert load_tensors(run.resume)[1]["seconds"] == before, "there was no time left"
    train(run, config(steps=14), resume=True)
    assert load_tensors(run.resume)[1]["seconds"] > before


def test_the_average_is_what_is_scored_and_kept(run):
    task = LineTask()
    train(run, config(ema_decay=0.5, average_last=1), task=task)
    tensors, _ = load_tensors(run.resume)
    assert torch.equal(load_tensors(run.step(12))[0]["weight"], tensors["ema/weight"])
    assert not torch.equal(tensors["ema/weight"], tensors["model/weight"])
    task.load_state_dict({f"model.{name}": weight for name, weight in load_tensors(run.best)[0].items()})
    best = load_tensors(run.best)[1]
    own = Closeness()
    own.update(make_points(5, seed=6), task.predict(make_points(5, seed=6)))
    assert own.compute()["closeness"] == pytest.approx(best["scores"]["closeness"])


# Stopping and going on

EVERYTHING = {"ema_decay": 0.7, "accumulate": 2, "clip_norm": 0.5}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    run = create_run(tmp_path_factory.mktemp("uninterrupted") / "run")
    train(run, config(**EVERYTHING))
    return run


def assert_same(run, uninterrupted):
    """The same result to the bit, the same numbers, each step once."""
    assert run.model.read_bytes() == uninterrupted.model.read_bytes()
    assert run.best.read_bytes() == uninterrupted.best.read_bytes()
    assert kept(run) == kept(uninterrupted)
    assert numbers(run) == numbers(uninterrupted)
    assert sorted(path.name for path in run.checkpoints.iterdir()) == sorted(
        path.name for path in uninterrupted.checkpoints.iterdir()
    )


def test_the_same_twice(run, uninterrupted):
    train(run, config(**EVERYTHING))
    assert_same(run, uninterrupted)


class Killed(BaseException):
    """Stands in for kill -9."""


class At(LineTask):
    """Something happens in the middle of the forward pass of the n-th training batch."""

    def __init__(self, number, happen):
        super().__init__(dropout=0.3)
        self.left, self.happen = number, happen

    def forward(self, batch):
        self.left -= self.training
        if self.training and not self.left:
            self.happen(self)
        return super().forward(batch)


def die(task):
    raise Killed


@pytest.mark.parametrize("batch", [1, 2, 6, 7, 8, 12, 13, 21, 24])
def test_killed_in_any_step(run, uninterrupted, batch):
    with pytest.raises(Killed):
        train(run, config(**EVERYTHING), task=At(batch, die))
    said = train(run, config(**EVERYTHING), resume=True)
    assert_same(run, uninterrupted)
    assert ("resuming at step " in said) == (batch > 6), "the first checkpoint is behind the third step of two batches"


@pytest.mark.parametrize("write", range(12))
def test_killed_in_any_write(run, uninterrupted, monkeypatch, write):
    """Four times weights and state, three times the best weights, then the result; the process dies in one of them."""
    real, rmtree, writes = checkpoint.save_file, checkpoint.shutil.rmtree, iter(range(100))
    torn = []

    def die_in(tensors, filename, metadata):
        real(tensors, filename, metadata)
        if next(writes) == write:
            filename.write_bytes(filename.read_bytes()[:-7])
            torn.append(filename)
            raise Killed

    monkeypatch.setattr(checkpoint, "save_file", die_in)
    # nobody cleans up behind a killed process
    monkeypatch.setattr(checkpoint.shutil, "rmtree", lambda path, **options: torn or rmtree(path, **options))
    with pytest.raises(Killed):
        train(run, config(**EVERYTHING))
    monkeypatch.undo()
    assert torn[0].exists()
    assert not run.finished
    train(run, config(**EVERYTHING), resume=True)
    assert_same(run, uninterrupted)


def test_killed_between_the_weights_and_the_state(run, uninterrupted, monkeypatch):
    """Of the last save there are the weights of step 6, but not what resuming needs."""
    real = checkpoint.save_tensors

    def die_between(path, tensors, facts):
        if path == run.resume and facts["step"] == 6:
            raise Killed
        real(path, tensors, facts)

    monkeypatch.setattr(checkpoint, "save_tensors", die_between)
    with pytest.raises(Killed):
        train(run, config(**EVERYTHING))
    assert kept(run) == [3, 6]
    monkeypatch.undo()
    run.step(50).write_bytes(b"from a longer training that was killed")
    assert "resuming at step 3, after 0:00:00 of training" in train(run, config(**EVERYTHING), resume=True)
    assert_same(run, uninterrupted)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_says_how_to_go_on(run, uninterrupted, number):
    handlers = signal.getsignal(number)
    said = train(run, config(**EVERYTHING), task=At(9, lambda task: os.kill(os.getpid(), number)))
    assert said.endswith(
        f"stopped at step 5 of 12; everything is saved; go on with: attnkit train --resume --run {run.path}"
    )
    assert signal.getsignal(number) is handlers
    assert load_tensors(run.resume)[1]["step"] == 5
    assert not run.finished
    assert "resuming at step 5, " in train(run, config(**EVERYTHING), resume=True)
    assert run.model.read_bytes() == uninterrupted.model.read_bytes()


def test_a_signal_in_the_last_step_comes_too_late(run):
    train(run, config(), task=At(12, lambda task: os.kill(os.getpid(), signal.SIGTERM)))
    assert run.finished


def test_a_finished_run_can_be_finished_again(run, uninterrupted):
    shutil.copytree(uninterrupted.path, run.path, dirs_exist_ok=True)
    run.model.unlink()
    train(run, config(**EVERYTHING), resume=True)
    assert_same(run, uninterrupted)


def test_a_finished_run_can_be_trained_further(run):
    train(run, config(steps=6), valid=False)
    train(run, config(steps=12), valid=False, resume=True)
    assert load_tensors(run.model)[1]["step"] == 12
    assert steps_of(run, "train") == [2, 3, 4, 6, 8, 9, 10, 12]


def test_a_resumed_run_may_begin_or_cease_to_average(run):
    train(run, config(steps=6), valid=False)
    weight = load_tensors(run.resume)[0]["model/weight"]
    train(run, config(steps=7, ema_decay=0.999, average_last=1), valid=False, resume=True)
    tensors, _ = load_tensors(run.resume)
    own, mean = tensors["model/weight"], tensors["ema/weight"]
    torch.testing.assert_close(mean, weight.lerp(own, 1 - 8 / 17))
    train(run, config(steps=8), valid=False, resume=True)
    assert not any(name.startswith("ema/") for name in load_tensors(run.resume)[0])


def test_a_new_run_forgets_the_numbers_of_one_that_saved_nothing(run):
    with pytest.raises(Killed):
        train(run, config(), task=At(4, die))
    assert steps_of(run, "train") == [2, 3]
    train(run, config())
    assert steps_of(run, "train") == [2, 3, 4, 6, 8, 9, 10, 12]


def test_a_loss_that_is_not_finite_saves_nothing(run):
    @torch.no_grad()
    def poison(task):
        task.model.weight.fill_(float("nan"))

    with pytest.raises(TrainingError, match=r"^step 8: squares is nan; .*\(the last checkpoint is still good\)$"):
        train(run, config(validate_every=7), task=At(8, poison))
    assert kept(run) == [3, 6]
    for path in (*run.steps(), run.best, run.resume):
        assert all(tensor.isfinite().all() for tensor in load_tensors(path)[0].values())
    assert load_tensors(run.resume)[1]["step"] == 6


def test_a_full_disk_stops_and_leaves_what_was_saved(run, uninterrupted, monkeypatch):
    real, writes = checkpoint.save_file, iter(range(100))

    def fill_up(tensors, filename, metadata):
        if next(writes) >= 5:
            raise OSError(28, "No space left on device")
        real(tensors, filename, metadata)

    monkeypatch.setattr(checkpoint, "save_file", fill_up)
    with pytest.raises(CheckpointError, match="cannot be written: the disk is full; expected room"):
        train(run, config(**EVERYTHING))
    assert load_tensors(run.resume)[1]["step"] == 6
    monkeypatch.undo()
    train(run, config(**EVERYTHING), resume=True)
    assert_same(run, uninterrupted)


def test_a_state_that_is_none_is_said(run):
    train(run, config(steps=3, save_every=3))
    run.resume.write_bytes(run.model.read_bytes())
    with pytest.raises(
        CheckpointError,
        match=r"resume\.safetensors: holds no training state; expected the file that attnkit train wrote",
    ):
        train(run, config(steps=6, save_every=3), resume=True)


def test_a_truncated_state_is_said_and_the_weights_are_still_good(run):
    train(run, config(steps=6))
    run.resume.write_bytes(run.resume.read_bytes()[:-9])
    with pytest.raises(CheckpointError, match=r"resume\.safetensors: not a whole checkpoint \("):
        train(run, config(), resume=True)
    assert len(load_tensors(run.step(6))[0]) == len(named_weights(LineTask().model))

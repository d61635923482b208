import io
import json
import math
import sys
from types import SimpleNamespace

import pytest
from rich.console import Console

from attnkit.engine.log import RunLog, _rate
from attnkit.engine.optimize import Step
from attnkit.errors import AttnkitError


class Clock:
    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("attnkit.engine.log.time", clock)
    return clock


@pytest.fixture
def said():
    return io.StringIO()


@pytest.fixture
def log(tmp_path, said):
    return RunLog(tmp_path / "metrics.jsonl", console=Console(file=said, width=40))


def written(log_or_path):
    path = getattr(log_or_path, "_path", log_or_path)
    return [json.loads(line) for line in path.read_text().splitlines()]


def one_step(number=1, **facts):
    defaults = {
        "loss": 2.0,
        "terms": {"cross_entropy": 2.0},
        "reported": {"nll": 1.5},
        "count": 100,
        "lr": 3e-4,
        "grad_norm": 0.75,
        "seconds": 0.5,
    }
    return Step(step=number, **(defaults | facts))


def test_plain_lines_without_a_terminal(log, said, clock):
    with log.progress(0, 10):
        clock.now += 6
        log.step(one_step(2), epoch=1, due=True)
        log.validation(2, {"nll": 1.25, "bleu": 30.5}, is_best=True)
        log.validation(4, {"bleu": 20.5}, is_best=False)
        log.average(10, 5, {"bleu": 31.0})
    assert said.getvalue().splitlines() == [
        "step 2  loss 2.000  ppl 4.48  200 targets/s  lr 3.00e-04  0:00:24 left",
        "step 2  valid: nll 1.250  bleu 30.500  (best)",
        "step 4  valid: bleu 20.500",
        "mean of the last 5 checkpoints  valid: bleu 31.000",
    ], "no line is wrapped, though the console is narrow"
    assert "\x1b" not in said.getvalue()


def test_the_numbers_of_a_step(log, clock):
    with log.progress(0, 10):
        log.step(one_step(3), epoch=2, due=True)
    assert written(log) == [
        {
            "kind": "train",
            "step": 3,
            "epoch": 2,
            "loss": 2.0,
            "nll": 1.5,
            "perplexity": pytest.approx(math.exp(1.5)),
            "targets_per_second": 200.0,
            "lr": 3e-4,
            "grad_norm": 0.75,
        }
    ]


def test_the_numbers_of_a_validation_and_of_the_result(log):
    with log.progress(0, 10):
        log.validation(4, {"nll": 1.25, "bleu": 30.5}, is_best=True)
        log.average(10, 5, {"bleu": 31.0})
    assert written(log) == [
        {"kind": "valid", "step": 4, "nll": 1.25, "bleu": 30.5, "best": True},
        {"kind": "average", "step": 10, "checkpoints": 5, "bleu": 31.0},
    ]


def test_a_line_is_the_mean_of_its_steps_by_targets(log, said, clock):
    with log.progress(0, 10):
        log.step(one_step(1, loss=1.0, count=300, seconds=0.5), epoch=0, due=False)
        log.step(one_step(2, loss=5.0, count=100, seconds=1.5, reported={"nll": 3.5}), epoch=0, due=True)
        log.step(one_step(3, loss=7.0, count=50), epoch=0, due=True)
    first, second = written(log)
    assert first["loss"] == 2.0
    assert first["nll"] == 2.0
    assert first["targets_per_second"] == 200.0
    assert second["loss"] == 7.0
    assert said.getvalue().count("\n") == 2


def test_several_terms_are_told_one_by_one(log):
    terms = {"main": 1.5, "auxiliary": 0.5}
    with log.progress(0, 10):
        log.step(one_step(1, terms=terms, reported={}), epoch=0, due=True)
    (entry,) = written(log)
    assert (entry["loss"], entry["main"], entry["auxiliary"]) == (2.0, 1.5, 0.5)
    assert "perplexity" not in entry


def test_a_huge_nll_does_not_overflow(log, said):
    with log.progress(0, 10):
        log.step(one_step(1, reported={"nll": 5000.0}), epoch=0, due=True)
    assert written(log)[0]["perplexity"] == pytest.approx(math.exp(100))


@pytest.mark.parametrize(
    ("done", "step", "seconds", "limit", "left"),
    [
        (0, 2, 6.0, math.inf, "0:00:24 left"),
        (0, 10, 6.0, math.inf, "0:00:00 left"),
        (8, 9, 3661.0, math.inf, "1:01:01 left"),  # resumed: the steps before took none of this time
        (0, 2, 6.0, 10.0, "0:00:04 left"),  # the limit comes first
        (0, 2, 6.0, 5.0, "0:00:00 left"),
    ],
)
def test_time_left(log, said, clock, done, step, seconds, limit, left):
    with log.progress(done, 10, seconds_left=limit):
        clock.now += seconds
        log.step(one_step(step), epoch=0, due=True)
    assert said.getvalue().rstrip().endswith(left)


def test_a_live_line_on_a_terminal(tmp_path):
    screen = io.StringIO()
    log = RunLog(tmp_path / "m", console=Console(file=screen, force_terminal=True, width=120))
    with log.progress(4, 10):
        log.step(one_step(5), epoch=0, due=True)
        log.validation(5, {"bleu": 30.5}, is_best=True)
        log.step(one_step(6), epoch=0, due=False)
    shown = screen.getvalue()
    assert "loss 2.000  ppl 4.48  200 targets/s  lr 3.00e-04" in shown
    assert "6/10" in shown
    assert "step 5  valid: bleu 30.500  (best)" in shown
    assert len(written(tmp_path / "m")) == 2


def test_what_is_said_is_said_as_it_is(log, said):
    log.say("model: [bold]7[/bold] parameters")
    log.warn("step 3: out of memory")
    assert said.getvalue() == "model: [bold]7[/bold] parameters\nwarning: step 3: out of memory\n"


def test_lines_are_there_as_soon_as_they_are_written(log):
    with log.progress(0, 10):
        log.step(one_step(1), epoch=0, due=True)
        assert len(written(log)) == 1


# Resuming


def fill(log):
    with log.progress(0, 10):
        for number in (2, 4, 6):
            log.step(one_step(number), epoch=0, due=True)
            log.validation(number, {"bleu": float(number)}, is_best=True)


def test_resuming_forgets_what_is_behind_the_checkpoint(log, said):
    fill(log)
    log.resume(4, seconds=3661.0)
    assert [(entry["kind"], entry["step"]) for entry in written(log)] == [
        ("train", 2), ("valid", 2), ("train", 4), ("valid", 4)
    ]  # fmt: skip
    assert said.getvalue().endswith("resuming at step 4, after 1:01:01 of training\n")
    with log.progress(4, 10):
        log.step(one_step(6), epoch=0, due=True)
    assert written(log)[-1]["step"] == 6


def test_a_line_that_was_cut_off_is_forgotten(log):
    fill(log)
    content = log._path.read_text()
    log._path.write_text(content[: content.index('"step": 4') + 20])
    log.resume(4, seconds=1.0)
    assert [entry["step"] for entry in written(log)] == [2, 2]


def test_a_last_line_without_its_end_is_kept_whole(log):
    fill(log)
    log._path.write_text(log._path.read_text().rstrip("\n"))
    log.resume(6, seconds=1.0)
    assert len(written(log)) == 6


def test_the_result_is_forgotten(log):
    fill(log)
    with log.progress(6, 10):
        log.average(6, 2, {"bleu": 1.0})
    log.resume(6, seconds=1.0)
    assert {entry["kind"] for entry in written(log)} == {"train", "valid"}


def test_from_the_beginning_nothing_is_kept_and_nothing_said(log, said):
    fill(log)
    before = said.getvalue()
    log.resume(0, seconds=0.0)
    assert written(log) == []
    assert said.getvalue() == before


def test_resuming_without_any_line(log):
    log.resume(4, seconds=1.0)
    assert not log._path.exists()


# TensorBoard


def test_without_tensorboard(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(AttnkitError) as caught:
        RunLog(tmp_path / "m", console=Console(), tensorboard=tmp_path / "board")
    assert str(caught.value) == (
        "train.tensorboard: TensorBoard is not installed; expected it for tensorboard: true; "
        "install it with: pip install 'attnkit[tensorboard]', or leave it out"
    )


def test_with_tensorboard(tmp_path, monkeypatch, clock):
    class Board:
        def __init__(self, folder):
            self.folder, self.scalars, self.flushed = folder, [], 0

        def add_scalar(self, name, value, step):
            self.scalars.append((name, value, step))

        def flush(self):
            self.flushed += 1

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=Board))
    log = RunLog(tmp_path / "m", console=Console(file=io.StringIO()), tensorboard=tmp_path / "board")
    with log.progress(0, 10):
        log.step(one_step(3), epoch=1, due=True)
        log.validation(3, {"bleu": 30.5}, is_best=True)
    board = log._board
    assert board.folder == tmp_path / "board"
    assert board.flushed == 1
    assert [name for name, _, _ in board.scalars] == [
        "train/loss",
        "train/nll",
        "train/perplexity",
        "train/targets_per_second",
        "train/lr",
        "train/grad_norm",
        "valid/bleu",
    ]
    assert board.scalars[-1] == ("valid/bleu", 30.5, 3)


@pytest.mark.parametrize(("per_second", "shown"), [(2.345, "2.3"), (19.96, "20.0"), (20.0, "20"), (12345.6, "12,346")])
def test_rates(per_second, shown):
    assert _rate(per_second) == shown

"""What a training says: metrics.jsonl for programs, a live line or plain lines on stderr for people."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from attnkit.engine.config import TrainConfig
from attnkit.engine.distributed import is_main_process
from attnkit.errors import AttnkitError
from attnkit.run_dir import RunDir, write_whole

if TYPE_CHECKING:
    from attnkit.engine.optimize import Step


class RunLog:
    """Writes a run's numbers. Steps are summed up between two lines, so that a line is a mean, not a sample.

    Without `metrics` another process writes them, and says all that can be said before training too; then only
    warnings of this process' own batches are left to say.
    """

    def __init__(self, metrics: Path | None, *, console: Console, tensorboard: Path | None = None) -> None:
        self.console = console
        self._path = metrics
        self._in_training = False
        self._file: TextIO | None = None
        self._board = _open_tensorboard(tensorboard) if tensorboard else None
        self._since: list[Step] = []
        self._progress: Progress | None = None
        self._bar: TaskID | None = None

    def say(self, message: str) -> None:
        """A line for the person who waits."""
        if self._path is not None:
            self.console.print(message, highlight=False, markup=False, soft_wrap=True)

    def warn(self, message: str) -> None:
        """A line that should not be missed."""
        if self._path is not None or self._in_training:
            self.console.print(f"warning: {message}", style="yellow", highlight=False, markup=False, soft_wrap=True)

    def resume(self, step: int, seconds: float) -> None:
        """Forget what was logged behind `step` by a process that was killed before it could save.

        A result that was logged is forgotten too, since it is made anew when training is over.
        """
        if step:
            self.say(f"resuming at step {step}, after {_clock(seconds)} of training")
        if self._path is None or not self._path.exists():
            return
        kept = []
        for line in self._path.read_text(encoding="utf-8").split("\n"):
            try:
                entry = json.loads(line)
            except ValueError:  # a line that was cut off when the process was killed, or the empty one at the end
                continue
            if entry["step"] <= step and entry["kind"] != "average":
                kept.append(line + "\n")
        write_whole(self._path, "".join(kept))

    def step(self, step: Step, *, epoch: int, due: bool) -> None:
        """Take a step; write a line where one is due."""
        if self._path is None:
            return
        self._since.append(step)
        if self._progress is not None and self._bar is not None:
            self._progress.update(self._bar, completed=step.step)
        if not due:
            return
        count = sum(s.count for s in self._since)
        seconds = sum(s.seconds for s in self._since)
        numbers: dict[str, float] = {"loss": _mean(self._since, [s.loss for s in self._since])}
        if len(step.terms) > 1:
            numbers |= {name: _mean(self._since, [s.terms[name] for s in self._since]) for name in step.terms}
        numbers |= {name: _mean(self._since, [s.reported[name] for s in self._since]) for name in step.reported}
        if "nll" in numbers:
            numbers["perplexity"] = math.exp(min(numbers["nll"], 100.0))
        numbers |= {"targets_per_second": count / max(seconds, 1e-9), "lr": step.lr, "grad_norm": step.grad_norm}
        self._write({"kind": "train", "step": step.step, "epoch": epoch, **numbers})
        self._since = []
        shown = (
            f"loss {numbers['loss']:.3f}"
            + (f"  ppl {numbers['perplexity']:.2f}" if "perplexity" in numbers else "")
            + f"  {_rate(numbers['targets_per_second'])} targets/s  lr {step.lr:.2e}  {self._time_left(step.step)} left"
        )
        if self._progress is not None and self._bar is not None:
            self._progress.update(self._bar, description=shown)
        else:
            self.say(f"step {step.step}  {shown}")

    def validation(self, step: int, scores: dict[str, float], *, is_best: bool) -> None:
        """The scores of a validation."""
        self._write({"kind": "valid", "step": step, **scores, "best": is_best})
        self.say(f"step {step}  valid: {_shown(scores)}{'  (best)' if is_best else ''}")

    def average(self, step: int, count: int, scores: dict[str, float]) -> None:
        """The scores of the averaged checkpoints."""
        self._write({"kind": "average", "step": step, "checkpoints": count, **scores})
        self.say(f"mean of the last {count} checkpoints  valid: {_shown(scores)}")

    @contextmanager
    def progress(self, done: int, steps: int, *, seconds_left: float = math.inf) -> Iterator[None]:
        """Show a live line inside the block if there is a terminal; keep the metrics file open.

        Args:
            done: steps that were done before.
            steps: the last step.
            seconds_left: where the time is limited, what is left of it.
        """
        self._first, self._last, self._deadline = done, steps, time.monotonic() + seconds_left
        self._started = time.monotonic()
        self._file = self._path.open("a", encoding="utf-8") if self._path is not None else None
        self._in_training = True
        try:
            if self._file is None or not self.console.is_terminal:
                yield
                return
            columns = (BarColumn(20), MofNCompleteColumn(), TextColumn("{task.description}"))
            with Progress(*columns, console=self.console) as self._progress:
                self._bar = self._progress.add_task("starting", total=steps, completed=done)
                yield
        finally:
            self._progress = None
            self._in_training = False
            if self._file is not None:
                self._file.close()
            self._file = None
            if self._board is not None:
                self._board.flush()

    def _time_left(self, step: int) -> str:
        now = time.monotonic()
        by_steps = (now - self._started) / max(1, step - self._first) * (self._last - step)
        return _clock(max(0.0, min(by_steps, self._deadline - now)))

    def _write(self, entry: dict[str, Any]) -> None:
        assert self._file is not None, "log outside of progress()"
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()
        if self._board is not None:
            for name, value in entry.items():
                if isinstance(value, float):
                    self._board.add_scalar(f"{entry['kind']}/{name}", value, entry["step"])


def open_log(run: RunDir, config: TrainConfig) -> RunLog:
    """The log of a run, shown on stderr; where several processes train together the main one writes it."""
    console = Console(file=sys.stderr)
    if not is_main_process():
        return RunLog(None, console=console)
    board = run.path / "tensorboard" if config.tensorboard else None
    return RunLog(run.metrics, console=console, tensorboard=board)


def _rate(per_second: float) -> str:
    """Images are few, tokens and pixels many."""
    return f"{per_second:,.0f}" if per_second >= 20 else f"{per_second:.1f}"


def _mean(steps: list[Step], values: list[float]) -> float:
    """Over all targets of several steps, from one value a step."""
    return sum(value * s.count for value, s in zip(values, steps, strict=True)) / max(1, sum(s.count for s in steps))


def _shown(scores: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.3f}" for name, value in scores.items())


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def _open_tensorboard(folder: Path) -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise AttnkitError(
            "train.tensorboard: TensorBoard is not installed; expected it for tensorboard: true; "
            "install it with: pip install 'attnkit[tensorboard]', or leave it out"
        ) from error
    return SummaryWriter(folder)

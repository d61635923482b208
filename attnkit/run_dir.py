"""The names of the files in a run folder; create one, reopen one, find the latest.

runs/<name>/
  recipe.yaml           resolved, every value
  environment.json      versions, processor, command
  tokenizer/            joint/, or src/ and tgt/
  metrics.jsonl         a line per logged step and per validation
  checkpoints/          step_00000400.safetensors ..., best.safetensors, resume.safetensors
  model.safetensors     the result: written when training has finished
  scores.json           the last scores per split
"""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attnkit.errors import CheckpointError


@dataclass(frozen=True)
class RunDir:
    """A run folder. It only knows names; what is in the files is the business of those who write them."""

    path: Path

    @property
    def recipe(self) -> Path:
        """The recipe with every value."""
        return self.path / "recipe.yaml"

    @property
    def environment(self) -> Path:
        """What the run was made with and on."""
        return self.path / "environment.json"

    @property
    def tokenizer(self) -> Path:
        """The folder of the tokenizers."""
        return self.path / "tokenizer"

    @property
    def metrics(self) -> Path:
        """A line of JSON for each logged step and each validation."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """The folder of everything that training saves on the way."""
        return self.path / "checkpoints"

    @property
    def resume(self) -> Path:
        """All that is needed to go on: weights, optimizer, position."""
        return self.checkpoints / "resume.safetensors"

    @property
    def best(self) -> Path:
        """The weights that scored highest on the validation set."""
        return self.checkpoints / "best.safetensors"

    @property
    def model(self) -> Path:
        """The result of the training."""
        return self.path / "model.safetensors"

    @property
    def scores(self) -> Path:
        """The scores that `attnkit evaluate` kept."""
        return self.path / "scores.json"

    def step(self, step: int) -> Path:
        """The weights as they were after `step` optimizer steps."""
        return self.checkpoints / f"step_{step:08d}.safetensors"

    def steps(self) -> list[Path]:
        """Every step's weights that are still kept, oldest first."""
        return sorted(self.checkpoints.glob("step_*.safetensors"))

    @property
    def finished(self) -> bool:
        """Whether training came to its end."""
        return self.model.is_file()

    def weights(self) -> Path:
        """The weights to use: the result, or the best so far, or the newest.

        Raises:
            CheckpointError: nothing was saved yet.
        """
        for path in (self.model, self.best, *reversed(self.steps())):
            if path.is_file():
                return path
        raise CheckpointError(
            f"{self.path}: no weights yet; expected {self.model.name} or checkpoints/; "
            f"train it first: attnkit train {self.recipe} --run {self.path} --resume"
        )


def create_run(path: Path) -> RunDir:
    """Make the folder of a new run.

    Raises:
        CheckpointError: the folder holds a run already.
    """
    run = RunDir(path)
    if run.recipe.exists():
        raise CheckpointError(
            f"{path}: holds a run already; expected a new folder; go on with it by --resume, or name another with --run"
        )
    run.checkpoints.mkdir(parents=True, exist_ok=True)
    return run


def open_run(path: Path) -> RunDir:
    """Reopen a run folder.

    Raises:
        CheckpointError: it is not one.
    """
    run = RunDir(path)
    if not run.recipe.is_file():
        what = "no such folder" if not path.exists() else "not a run folder: it has no recipe.yaml"
        raise CheckpointError(f"{path}: {what}; expected a folder made by attnkit train; see what is under runs/")
    return run


def latest_run(tasks: tuple[str, ...] | None, runs: Path = Path("runs")) -> RunDir:
    """The newest finished run of one of some tasks, or of any.

    Raises:
        CheckpointError: there is none.
    """
    found = [RunDir(path.parent) for path in runs.glob("*/model.safetensors")]
    for run in sorted(found, key=lambda run: run.model.stat().st_mtime, reverse=True):
        if run.recipe.is_file() and (tasks is None or task_of(run) in tasks):
            return run
    what = "finished run" if tasks is None else f"finished {either(tasks)} run"
    raise CheckpointError(f"{runs}: no {what} here; expected one made by attnkit train; name a run folder with --run")


def either(tasks: tuple[str, ...]) -> str:
    """Some tasks in words: a, b or c."""
    *others, last = tasks
    return f"{', '.join(others)} or {last}" if others else last


def task_of(run: RunDir) -> str:
    """The task of a run, read from the first lines of its resolved recipe, which opens with it; "" of none."""
    with run.recipe.open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("task:"):
                return line.removeprefix("task:").strip()
    return ""


def chosen_run(path: Path | None, *, task: str | tuple[str, ...] | None) -> RunDir:
    """Open the run that --run names, else the newest finished one of the task, and say which that is.

    Args:
        path: what --run names.
        task: what the command is for, one or several; None where it takes any.

    Raises:
        CheckpointError: the path is no run folder, or a run of another task, or there is no finished run.
    """
    tasks = (task,) if isinstance(task, str) else task
    if path is None:
        run = latest_run(tasks)
        print(f"using the newest run, {run.path}", file=sys.stderr)
        return run
    run = open_run(path)
    if tasks is not None and task_of(run) not in ("", *tasks):
        raise CheckpointError(
            f"{path}: a {task_of(run)} run; expected a {either(tasks)} run; "
            "name one with --run, or leave it out for the newest"
        )
    return run


def chosen_weights(run: RunDir, checkpoint: Path | None) -> Path:
    """The weights that --checkpoint names, else the run's result.

    Raises:
        CheckpointError: there is no such file, or nothing was saved yet.
    """
    if checkpoint is not None and not checkpoint.is_file():
        raise CheckpointError(
            f"{checkpoint}: no such file; expected weights of the run, such as {run.best}; see {run.checkpoints}"
        )
    return checkpoint or run.weights()


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all: to a neighbour first, then renamed over `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Write a value as readable JSON, whole or not at all."""
    write_whole(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")

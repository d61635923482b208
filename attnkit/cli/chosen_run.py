"""Which run a command works on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from attnkit.errors import CheckpointError

if TYPE_CHECKING:
    from attnkit.run_dir import RunDir


def chosen_run(path: Path | None, *, task: str | tuple[str, ...] | None) -> RunDir:
    """Open the run that --run names, else the newest finished one of the task, and say which that is.

    Args:
        path: what --run names.
        task: what the command is for, one or several; None where it takes any.

    Raises:
        CheckpointError: the path is no run folder, or a run of another task, or there is no finished run.
    """
    from attnkit.run_dir import either, latest_run, open_run, task_of

    tasks = (task,) if isinstance(task, str) else task
    if path is None:
        run = latest_run(tasks)
        typer.echo(f"using the newest run, {run.path}", err=True)
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

"""Which run a command works on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from attnkit.run_dir import RunDir


def chosen_run(path: Path | None, *, task: str) -> RunDir:
    """Open the run that --run names, else the newest finished one of the task, and say which that is.

    Raises:
        CheckpointError: the path is no run folder, or there is no finished run.
    """
    from attnkit.run_dir import latest_run, open_run

    if path is not None:
        return open_run(path)
    run = latest_run(task)
    typer.echo(f"using the newest run, {run.path}", err=True)
    return run

"""attnkit train: a recipe in, a run folder and its scores out."""

from __future__ import annotations

import shlex
import shutil
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attnkit.cli.options import DeviceOption, JsonOption, SetOption
from attnkit.errors import RecipeError

if TYPE_CHECKING:
    from attnkit.data.open import OpenedData
    from attnkit.recipes import Recipe
    from attnkit.run_dir import RunDir

_CHANGEABLE = ("train", "decode", "bleu")
"""Sections that may change when a run is resumed: they touch neither the model nor its data."""


def train(
    recipe: Annotated[
        str | None,
        typer.Argument(
            metavar="RECIPE", show_default=False, help="A recipe file, or the name of a shipped one: translation/toy."
        ),
    ] = None,
    overrides: SetOption = None,
    run: Annotated[
        Path | None, typer.Option("--run", metavar="DIR", help="Folder of the run  [default: runs/NAME OF THE RECIPE]")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a stopped run from its last checkpoint.")
    ] = False,
    device: DeviceOption = "auto",
    nproc: Annotated[
        int,
        typer.Option("--nproc", metavar="N", min=1, help="Train in N processes, which share the batches of each step."),
    ] = 1,
    as_json: JsonOption = False,
) -> None:
    """Train a model from a recipe, and score it.

    Everything goes into a run folder. Progress is shown on stderr, the scores of the test set on stdout. Ctrl-C saves
    and says how to go on. With --resume the recipe is the one that the run folder keeps; of it, --set may only change
    train.*, decode.* and bleu.*.

    With --nproc N the train.accumulate batches of each step, a multiple of N, are dealt out to N processes on this
    machine: on a GPU each, or on a CPU with an N-th of the threads each. The steps are those of one process, to
    rounding.

    \b
    Examples:
      attnkit train translation/toy
      attnkit train my.yaml --set train.steps=20000 --set model.dropout=0.3
      attnkit train my.yaml --resume
      attnkit train my.yaml --set train.accumulate=2 --set batch.images=32 --nproc 2
    """
    from attnkit import recipe_file
    from attnkit.data.open import OpenedData
    from attnkit.engine.processes import check_divisible
    from attnkit.evaluation import Request, evaluate
    from attnkit.recipes.tasks import how_to_use

    if recipe is None and not (resume and run):
        raise RecipeError("RECIPE: missing; expected a recipe, or --resume --run DIR; see: attnkit recipe list")
    loaded = recipe_file.load(recipe, overrides or []) if recipe else None
    folder = run or Path("runs") / (loaded.name if loaded else "")
    if resume:
        loaded, run_dir = _reopen(folder, overrides or [], nproc)
    else:
        assert loaded is not None
        check_divisible(loaded.train, nproc)
        run_dir = _start(folder, loaded)
    data = OpenedData(loaded.data)
    _train(loaded, run_dir, data, resume=resume, device=device, nproc=nproc)
    typer.echo(f"trained: {run_dir.path}; use it: {how_to_use(loaded, run_dir.path)}", err=True)
    if data["test"] is not None:
        evaluate(loaded.task, Request(run=run_dir.path, device=device, as_json=as_json, data=data))


def _start(folder: Path, recipe: Recipe) -> RunDir:
    from attnkit.recipe_file import dump
    from attnkit.run_dir import create_run, write_json, write_whole

    run = create_run(folder)
    write_whole(run.recipe, dump(recipe))
    write_json(run.environment, _environment())
    return run


def _reopen(folder: Path, overrides: list[str], nproc: int) -> tuple[Recipe, RunDir]:
    """The run to resume, and its recipe with what --set changes in it."""
    from attnkit.engine.processes import check_divisible
    from attnkit.recipe_file import dump, load
    from attnkit.run_dir import open_run, write_whole

    run = open_run(folder)
    kept, changed = load(run.recipe), load(run.recipe, overrides)
    for key in type(kept).model_fields:
        if key not in _CHANGEABLE and getattr(kept, key) != getattr(changed, key):
            raise RecipeError(
                f"--set {key}: {run.recipe} was trained with other values; expected changes of "
                f"{', '.join(_CHANGEABLE)} only; leave the option out, or train a new run"
            )
    check_divisible(changed.train, nproc)
    if changed != kept:
        write_whole(run.recipe, dump(changed))
    return changed, run


def _train(recipe: Recipe, run: RunDir, data: OpenedData[Any], *, resume: bool, device: str, nproc: int) -> None:
    from attnkit.engine.processes import launch
    from attnkit.recipes.tasks import fit

    try:
        if nproc == 1:
            fit(recipe, run, data, resume=resume, device=device)
        else:
            launch(partial(_fit, recipe, run, resume=resume), nproc, device=device)
    except BaseException:
        if not resume and not any(run.checkpoints.iterdir()):
            _forget(run)
        raise


def _fit(recipe: Recipe, run: RunDir, *, resume: bool, device: str) -> None:
    """The part of one of several processes, each of which opens the data for itself."""
    from attnkit.data.open import OpenedData
    from attnkit.recipes.tasks import fit

    fit(recipe, run, OpenedData(recipe.data), resume=resume, device=device)


def _forget(run: RunDir) -> None:
    """Take back a run that has nothing to resume, so that the same command may be given again."""
    for file in (run.recipe, run.environment, run.metrics):
        file.unlink(missing_ok=True)
    shutil.rmtree(run.tokenizer, ignore_errors=True)


def _environment() -> dict[str, object]:
    """What the run was made with and on."""
    from attnkit.machine import cores, processor, versions

    return {
        "command": shlex.join(["attnkit", *sys.argv[1:]]),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": processor(),
        "cores": cores(),
        "versions": versions(),
    }

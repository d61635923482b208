"""What small recipes and runs of every task are made by."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from attnkit.recipe_file import dump
from attnkit.recipes import Recipe
from attnkit.run_dir import RunDir, create_run, write_whole


def with_changes(settings: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The settings of a recipe with some values changed; `train__steps=3` is train.steps. A section may be replaced
    whole.
    """
    changed = copy.deepcopy(settings)
    for key, value in changes.items():
        section, _, name = key.partition("__")
        if name:
            changed.setdefault(section, {})[name] = value
        else:
            changed[section] = value
    return changed


def new_run(folder: Path, recipe: Recipe) -> RunDir:
    """What attnkit train makes before it trains."""
    run = create_run(folder)
    write_whole(run.recipe, dump(recipe))
    return run

"""attnkit summary: what a recipe's model costs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from attnkit.cli.options import JsonOption, SetOption


def summary(
    source: Annotated[str, typer.Argument(metavar="RECIPE_OR_RUN", help="A recipe, its name, or a run folder.")],
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Count the parameters and training FLOPs of a recipe.

    \b
    Examples:
      attnkit summary translation/wmt14_en_de_big
      attnkit summary runs/demo --json
    """
    from attnkit import recipe_file
    from attnkit.run_dir import open_run

    path = open_run(Path(source)).recipe if Path(source).is_dir() else source
    recipe = recipe_file.load(path, overrides or [])
    from attnkit.recipes.translation_summary import summarize

    facts = summarize(recipe)
    typer.echo(json.dumps(facts, indent=2, ensure_ascii=False) if as_json else "\n".join(table(facts)))


def table(facts: Mapping[str, Any], *, indent: int = 0) -> list[str]:
    """Nested facts as aligned lines, numbers with their thousands apart."""
    width = max((len(str(name)) for name in facts), default=0)
    lines = []
    for name, value in facts.items():
        label = " " * indent + str(name)
        if isinstance(value, Mapping):
            lines += [label, *table(value, indent=indent + 2)]
        else:
            lines.append(f"{label:<{indent + width}}  {_written(value)}")
    return lines


def _written(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.3g}"

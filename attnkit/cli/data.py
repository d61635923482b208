"""attnkit data: look at data before a model does."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from attnkit.cli.options import JsonOption, RecipeArgument, SetOption

if TYPE_CHECKING:
    from attnkit.recipes.base import CheckedData

app = typer.Typer(help="Check data before a model is trained on it.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def data() -> None:
    """Check data before a model is trained on it."""


@app.command("check")
def check(
    recipe: RecipeArgument,
    overrides: SetOption = None,
    tokens: Annotated[
        bool,
        typer.Option(
            "--tokens/--no-tokens", help="Of text: learn the tokenizer too, to count tokens and unknown ones."
        ),
    ] = True,
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave out what takes long: the tokenizer, or decoding every image.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Say what is wrong with the data of a recipe.

    For each finding also why it matters and what to do. Exit code 2 means that training would fail.

    \b
    Examples:
      attnkit data check my.yaml
      attnkit data check my.yaml --no-tokens --json
      attnkit data check classification/vit_s16_flowers5 --quick
    """
    from attnkit import recipe_file
    from attnkit.data.open import OpenedData
    from attnkit.recipes.tasks import check as check_recipe

    loaded = recipe_file.load(recipe, overrides or [])
    checked = check_recipe(
        loaded, OpenedData(loaded.data), deep=tokens and not quick, say=lambda line: typer.echo(line, err=True)
    )
    _print_json(checked) if as_json else _print(checked)
    errors = sum(finding.severity == "error" for finding in checked.findings)
    warnings = len(checked.findings) - errors
    counted = f"{errors} error{'s' * (errors != 1)}, {warnings} warning{'s' * (warnings != 1)}"
    typer.echo(counted, err=True)
    if not checked.ok:
        raise typer.Exit(2)


def _print(checked: CheckedData) -> None:
    for finding in checked.findings:
        typer.echo(f"{finding.severity}: {finding.place}: {finding.what}")
        typer.echo(f"    why: {finding.why}\n    fix: {finding.fix}")
    for line in checked.lines:
        typer.echo(line)


def _print_json(checked: CheckedData) -> None:
    facts = {
        "ok": checked.ok,
        "findings": [asdict(finding) for finding in checked.findings],
        "splits": checked.counts,
    }
    typer.echo(json.dumps(facts, indent=2, ensure_ascii=False))

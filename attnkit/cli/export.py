"""attnkit export: a run's model for other programs."""

from __future__ import annotations

from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attnkit.cli.chosen_run import chosen_run
from attnkit.cli.options import RunOption

if TYPE_CHECKING:
    from attnkit.recipes import Recipe

_CHECK_LINES = 200


class Format(StrEnum):
    """What can be written."""

    CT2 = "ct2"


def export(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to; it is made.")],
    file_format: Annotated[
        Format, typer.Option("--format", help="ct2 is CTranslate2, for fast translation.")
    ] = Format.CT2,
    run: RunOption = None,
) -> None:
    """Write a run's model for another program.

    It is checked to translate the same there. CTranslate2 comes by pip install 'attnkit[ct2]'.

    \b
    Example:
      attnkit export --format ct2 --run runs/demo demo_ct2
    """
    from attnkit import recipe_file

    run_dir = chosen_run(run, task="translation")
    recipe = recipe_file.load(run_dir.recipe)
    from attnkit.interop.ctranslate2 import export_ctranslate2
    from attnkit.recipes.translator import open_translator

    translator = open_translator(recipe, run_dir, device="cpu")
    export_ctranslate2(
        translator.model,
        translator.src_tokenizer,
        translator.tgt_tokenizer,
        folder,
        check_lines=_check_lines(recipe),
    )
    typer.echo(folder)


def _check_lines(recipe: Recipe) -> list[str]:
    """Sentences to compare translations on, of what the run has not been trained on where there is such."""
    from attnkit.data.parallel_text import open_pairs

    found = open_pairs(recipe.data, "test") or open_pairs(recipe.data, "valid") or open_pairs(recipe.data, "train")
    assert found is not None
    return list(islice(found.src_lines(), _CHECK_LINES))

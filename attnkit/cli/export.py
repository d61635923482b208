"""attnkit export: a run's model for other programs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from attnkit.cli.chosen_run import chosen_run
from attnkit.cli.options import RunOption


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
    run_dir = chosen_run(run, task="translation")
    from attnkit.interop.ctranslate2 import export_ctranslate2

    typer.echo(export_ctranslate2(run_dir, folder))

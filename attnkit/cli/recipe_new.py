"""attnkit recipe new: a recipe for one's own data."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attnkit.errors import AttnkitError

if TYPE_CHECKING:
    from attnkit.data.config import PairOfFiles
    from attnkit.data.parallel_text import Split


def new(
    task: Annotated[str, typer.Argument(metavar="TASK", help="translation.")],
    src: Annotated[str, typer.Option(metavar="FILE", help="Training sentences, one per line; .gz is read as it is.")],
    tgt: Annotated[str, typer.Option(metavar="FILE", help="Their translations; line n belongs to line n.")],
    valid_src: Annotated[
        str | None, typer.Option(metavar="FILE", help="Sentences to validate on  [default: some are held back]")
    ] = None,
    valid_tgt: Annotated[str | None, typer.Option(metavar="FILE", help="Their translations.")] = None,
    test_src: Annotated[
        str | None, typer.Option(metavar="FILE", help="Sentences to score on  [default: some are held back]")
    ] = None,
    test_tgt: Annotated[str | None, typer.Option(metavar="FILE", help="Their translations.")] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="The recipe; held-back sets are written beside it."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of the recipe and its runs  [default: the file's]")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over files that are there.")] = False,
) -> None:
    """Write a recipe sized to your data, and say why it is as it is.

    Where no validation or test set is given, one is held back: no sentence of it is in another set.

    \b
    Examples:
      attnkit recipe new translation --src train.en --tgt train.de --output my.yaml
      attnkit recipe new translation --src a.en --tgt a.de --test-src b.en --test-tgt b.de
    """
    if task != "translation":
        raise AttnkitError(f"recipe new: there is no task '{task}'; expected translation; write that")
    from attnkit.recipes.new_translation import new_translation

    given = _given({"train": (src, tgt), "valid": (valid_src, valid_tgt), "test": (test_src, test_tgt)})
    file = output or Path(f"{_languages(src, tgt)}.yaml")
    written = new_translation(given, output=file, name=name or _name_of(file), force=force)
    for line in filter(None, (*written.reasons, written.warning)):
        typer.echo(line, err=True)
    typer.echo(f"next: attnkit train {file}", err=True)
    typer.echo(str(file))


def _given(sides: dict[Split, tuple[str | None, str | None]]) -> dict[Split, PairOfFiles]:
    """The splits that are given; each needs both of its files."""
    from attnkit.data.config import PairOfFiles

    given = {}
    for split, (src, tgt) in sides.items():
        if src is None and tgt is None:
            continue
        options = ("--src", "--tgt") if split == "train" else (f"--{split}-src", f"--{split}-tgt")
        if src is None or tgt is None:
            there, absent = options if tgt is None else options[::-1]
            raise AttnkitError(f"{there}: its other side is not given; expected {absent} too; add it")
        if src == tgt:
            raise AttnkitError(f"{options[0]}: {src} is {options[1]} too; expected one file per language; correct one")
        given[split] = PairOfFiles(src=src, tgt=tgt)
    return given


def _languages(src: str, tgt: str) -> str:
    """A name from the languages of the files: en_de."""
    from attnkit.data.languages import language_of

    languages = language_of(src), language_of(tgt)
    return "_".join(filter(None, languages)) if all(languages) else "translation"


def _name_of(file: Path) -> str:
    """A file's name with nothing in it that a recipe's name may not have."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", file.stem).lstrip("._-") or "translation"

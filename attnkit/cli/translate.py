"""attnkit translate: lines in, translations out, in order, as soon as they are known."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attnkit.cli.options import BeamOptions, CheckpointOption, DeviceOption, RunOption, SearchOptions, spread_options
from attnkit.errors import AttnkitError, DataError, RecipeError
from attnkit.predict.line_stream import available, lines_of
from attnkit.predict.translated_lines import Search, as_json_line, as_text, translate_groups
from attnkit.run_dir import chosen_run

if TYPE_CHECKING:
    from attnkit.recipe_file import Override
    from attnkit.recipes.translation.recipe import TranslationRecipe
    from attnkit.recipes.translation.translator import Translation
    from attnkit.run_dir import RunDir


@dataclass(frozen=True, kw_only=True)
class TranslationOutput:
    """What is printed for each line."""

    n_best: Annotated[int, typer.Option(metavar="N", min=1, help="Translations per line, best first.")] = 1
    scores: Annotated[bool, typer.Option("--scores", help="Put the score and a tab before each translation.")] = False
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object per line: scores, pieces, n-best.")] = False

    @property
    def write(self) -> Callable[[int, str, Sequence[Translation]], str]:
        """Make the text of a line's translations."""
        numbered = self.n_best > 1
        return as_json_line if self.as_json else partial(as_text, scores=self.scores or numbered, numbers=numbered)


@dataclass(frozen=True, kw_only=True)
class PrefixOptions:
    """How translations start."""

    prefix: Annotated[str | None, typer.Option(metavar="TEXT", help="Every translation starts with this.")] = None
    prefix_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Line n is how translation n starts; it may be empty.")
    ] = None

    def lines(self) -> Iterator[str] | None:
        """A start per line, if there are any."""
        if self.prefix is not None and self.prefix_file is not None:
            raise AttnkitError("--prefix-file: given beside --prefix; expected one of the two; leave one out")
        if self.prefix is not None:
            return repeat(self.prefix)
        return None if self.prefix_file is None else lines_of(_readable([self.prefix_file]), sys.stdin.buffer)


@dataclass(frozen=True, kw_only=True)
class BatchOptions:
    """How many lines are translated at once."""

    batch_size: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Sentences at once; changes the speed, never the result.")
    ] = None
    buffer_lines: Annotated[
        int, typer.Option(metavar="N", min=1, help="Lines to wait for at most before translating.")
    ] = 1024


@spread_options
def translate(
    beam: BeamOptions,
    search: SearchOptions,
    output: TranslationOutput,
    prefixes: PrefixOptions,
    batches: BatchOptions,
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE", show_default=False, help="Text, a sentence per line; none or - is stdin."),
    ] = None,
    run: RunOption = None,
    checkpoint: CheckpointOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Translate lines: N lines in, N lines out, in the same order.

    Blank lines stay blank. Output starts before the input ends. How to search is the recipe's, unless options change
    it. With --n-best above 1 a line of output is: number of the input line, score, text, between tabs.

    \b
    Examples:
      attnkit translate < input.txt > output.txt
      echo "How are you?" | attnkit translate --run runs/demo --beam-size 8 --n-best 3
      attnkit translate part1.txt part2.txt --json > output.jsonl
    """
    paths = _readable(files or [Path("-")])
    starts = prefixes.lines()
    run_dir = chosen_run(run, task="translation")
    recipe = _recipe(run_dir, [*beam.overrides(), *search.overrides()], n_best=output.n_best)
    from attnkit.recipes.translation.translator import load_translator

    translator = load_translator(recipe, run_dir, device=device, weights=checkpoint)
    asked = Search(decode=recipe.decode, n_best=output.n_best, batch_size=batches.batch_size)
    groups = available(lines_of(paths, sys.stdin.buffer), limit=batches.buffer_lines)
    for text in translate_groups(translator, groups, asked, prefixes=starts, write=output.write):
        sys.stdout.buffer.write(text.encode("utf-8"))
        sys.stdout.buffer.flush()


def _readable(paths: Sequence[Path]) -> Sequence[Path]:
    """Refuse a missing file before the first line is translated."""
    for path in paths:
        if str(path) != "-" and (path.is_dir() or not path.exists()):  # a pipe is no file, yet it can be read
            what = "a folder" if path.is_dir() else "no such file"
            raise DataError(f"{path}: {what}; expected a text file, or - for stdin; check the name")
    return paths


def _recipe(run: RunDir, overrides: Sequence[Override], *, n_best: int) -> TranslationRecipe:
    """The run's recipe, with what the options change in how it searches."""
    from attnkit.recipe_file import load
    from attnkit.recipes.translation.recipe import TranslationRecipe

    recipe = load(run.recipe, options=overrides)
    assert isinstance(recipe, TranslationRecipe), "chosen_run has checked the task"
    decode = recipe.decode
    most = {"beam": decode.beam_size, "greedy": 1}.get(decode.method, n_best)
    if n_best > most:
        raise RecipeError(
            f"--n-best {n_best}: {decode.method} search keeps {most}; expected at most that; "
            f"raise it by --beam-size {n_best}"
        )
    return recipe

"""attnkit translate: lines in, translations out, in order, as soon as they are known."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attnkit.cli.options import CheckpointOption, DeviceOption, RunOption, search_overrides
from attnkit.errors import AttnkitError, DataError, RecipeError
from attnkit.predict.line_stream import available, lines_of
from attnkit.predict.translated_lines import Search, as_json_line, as_text, translate_groups
from attnkit.run_dir import chosen_run

if TYPE_CHECKING:
    from attnkit.recipes.translation.recipe import TranslationRecipe
    from attnkit.run_dir import RunDir


def translate(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE", show_default=False, help="Text, a sentence per line; none or - is stdin."),
    ] = None,
    run: RunOption = None,
    checkpoint: CheckpointOption = None,
    device: DeviceOption = "auto",
    method: Annotated[str | None, typer.Option(metavar="NAME", help="beam, greedy or sampling.")] = None,
    beam_size: Annotated[int | None, typer.Option(metavar="K", help="Hypotheses kept per sentence.")] = None,
    length_penalty: Annotated[
        str | None, typer.Option(metavar="FORM:ALPHA", help="gnmt:0.6 is ((5 + L) / 6)^0.6, power:1 is L^1; or none.")
    ] = None,
    n_best: Annotated[int, typer.Option(metavar="N", min=1, help="Translations per line, best first.")] = 1,
    max_length_factor: Annotated[
        float | None, typer.Option(metavar="X", help="At most X * source tokens + the extra tokens.")
    ] = None,
    max_length_extra: Annotated[int | None, typer.Option(metavar="N", help="The extra tokens.")] = None,
    min_length: Annotated[int | None, typer.Option(metavar="N", help="At least so many tokens.")] = None,
    allow_unknown: Annotated[bool, typer.Option("--allow-unknown", help="Let the unknown piece appear.")] = False,
    temperature: Annotated[float | None, typer.Option(metavar="X", help="Sample; below 1 is more careful.")] = None,
    top_k: Annotated[int | None, typer.Option(metavar="K", help="Sample among the K likeliest tokens.")] = None,
    top_p: Annotated[
        float | None, typer.Option(metavar="P", help="Sample among the likeliest tokens that reach probability P.")
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Of sampling.")] = None,
    prefix: Annotated[str | None, typer.Option(metavar="TEXT", help="Every translation starts with this.")] = None,
    prefix_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Line n is how translation n starts; it may be empty.")
    ] = None,
    scores: Annotated[bool, typer.Option("--scores", help="Put the score and a tab before each translation.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object per line: scores, pieces, n-best.")] = False,
    batch_size: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Sentences at once; changes the speed, never the result.")
    ] = None,
    buffer_lines: Annotated[
        int, typer.Option(metavar="N", min=1, help="Lines to wait for at most before translating.")
    ] = 1024,
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
    if prefix is not None and prefix_file is not None:
        raise AttnkitError("--prefix-file: given beside --prefix; expected one of the two; leave one out")
    options = {
        "method": method or _implied_method(temperature, top_k, top_p, beam_size=beam_size),
        "beam_size": beam_size,
        "max_length_factor": max_length_factor,
        "max_length_extra": max_length_extra,
        "min_length": min_length,
        "allow_unknown": True if allow_unknown else None,
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "seed": seed,
    }
    paths = _readable(files or [Path("-")])
    prefixes = _prefixes(prefix, prefix_file)
    run_dir = chosen_run(run, task="translation")
    recipe = _recipe(run_dir, options, length_penalty, n_best=n_best)
    from attnkit.recipes.translation.translator import load_translator

    translator = load_translator(recipe, run_dir, device=device, weights=checkpoint)
    search = Search(decode=recipe.decode, n_best=n_best, batch_size=batch_size)
    write = as_json_line if as_json else partial(as_text, scores=scores or n_best > 1, numbers=n_best > 1)
    groups = available(lines_of(paths, sys.stdin.buffer), limit=buffer_lines)
    for output in translate_groups(translator, groups, search, prefixes=prefixes, write=write):
        sys.stdout.buffer.write(output.encode("utf-8"))
        sys.stdout.buffer.flush()


def _implied_method(*sampling: float | None, beam_size: int | None) -> str | None:
    """What options mean that make sense with one method only."""
    if any(option is not None for option in sampling):
        return "sampling"
    return None if beam_size is None else "beam"


def _readable(paths: Sequence[Path]) -> Sequence[Path]:
    """Refuse a missing file before the first line is translated."""
    for path in paths:
        if str(path) != "-" and (path.is_dir() or not path.exists()):  # a pipe is no file, yet it can be read
            what = "a folder" if path.is_dir() else "no such file"
            raise DataError(f"{path}: {what}; expected a text file, or - for stdin; check the name")
    return paths


def _prefixes(prefix: str | None, file: Path | None) -> Iterator[str] | None:
    if prefix is not None:
        return repeat(prefix)
    return None if file is None else lines_of(_readable([file]), sys.stdin.buffer)


def _recipe(
    run: RunDir, options: Mapping[str, object], length_penalty: str | None, *, n_best: int
) -> TranslationRecipe:
    """The run's recipe, with what the options change in how it searches.

    Raises:
        RecipeError: an option has a value that cannot be.
    """
    from attnkit.recipe_file import load
    from attnkit.recipes.translation.recipe import TranslationRecipe

    recipe = load(run.recipe, options=search_overrides(options, length_penalty))
    assert isinstance(recipe, TranslationRecipe), "chosen_run has checked the task"
    decode = recipe.decode
    most = {"beam": decode.beam_size, "greedy": 1}.get(decode.method, n_best)
    if n_best > most:
        raise RecipeError(
            f"--n-best {n_best}: {decode.method} search keeps {most}; expected at most that; "
            f"raise it by --beam-size {n_best}"
        )
    return recipe

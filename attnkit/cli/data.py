"""attnkit data: look at data before a model does."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attnkit.cli.options import JsonOption, RecipeArgument, SetOption
from attnkit.errors import DataError

if TYPE_CHECKING:
    from attnkit.data.check import DataReport
    from attnkit.data.check_split import SideStats, SplitStats
    from attnkit.recipes import Recipe
    from attnkit.tokenizers.tokenizer import Tokenizer

app = typer.Typer(help="Check data before a model is trained on it.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def data() -> None:
    """Check data before a model is trained on it."""


@app.command("check")
def check(
    recipe: RecipeArgument,
    overrides: SetOption = None,
    tokens: Annotated[
        bool, typer.Option("--tokens/--no-tokens", help="Learn the tokenizer too, to count tokens and unknown ones.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Say what is wrong with the data of a recipe.

    For each finding also why it matters and what to do. Exit code 2 means that training would fail.

    \b
    Examples:
      attnkit data check my.yaml
      attnkit data check my.yaml --no-tokens --json
    """
    from attnkit import recipe_file

    report = _report(recipe_file.load(recipe, overrides or []), tokens=tokens)
    _print_json(report) if as_json else _print(report)
    errors = sum(finding.severity == "error" for finding in report.findings)
    typer.echo(f"{errors} errors, {len(report.findings) - errors} warnings", err=True)
    if not report.ok:
        raise typer.Exit(2)


def _report(recipe: Recipe, *, tokens: bool) -> DataReport:
    """The findings; with tokens those that need the tokenizer, which is learned for it where the files are sound."""
    from attnkit.data.check import check_parallel_text
    from attnkit.data.finding import Finding

    look = partial(
        check_parallel_text,
        recipe.data,
        max_length=recipe.filter.max_length,
        max_ratio=recipe.filter.max_ratio,
    )
    if not tokens or not look(quick=True).ok:
        return look(progress=_progress)
    try:
        return look(tokenizers=_learn_tokenizers(recipe), progress=_progress)
    except DataError as error:  # the vocabulary is larger than the text supports, say
        report = look(progress=_progress)
        report.findings[:0] = [Finding.from_error(line) for line in str(error).splitlines()]
        return report


def _learn_tokenizers(recipe: Recipe) -> tuple[Tokenizer, Tokenizer]:
    """What training would learn, in a folder that is thrown away."""
    from pathlib import Path
    from tempfile import TemporaryDirectory

    from attnkit.data.parallel_text import open_pairs

    pairs, config = open_pairs(recipe.data, "train"), recipe.tokenizer
    assert pairs is not None
    typer.echo(f"learning {config.name} from the training text", err=True)
    with TemporaryDirectory() as folder:
        if config.joint:
            joint = config.build(chain.from_iterable(pairs), Path(folder))
            return joint, joint
        return config.build(pairs.src_lines(), Path(folder)), config.build(pairs.tgt_lines(), Path(folder))


def _progress(split: str, pairs: int) -> None:
    typer.echo(f"{split}: {pairs:,} pairs looked at", err=True)


def _print(report: DataReport) -> None:
    for finding in report.findings:
        typer.echo(f"{finding.severity}: {finding.place}: {finding.what}")
        typer.echo(f"    why: {finding.why}\n    fix: {finding.fix}")
    for split, stats in report.stats.items():
        typer.echo(_split_line(split, stats))
        typer.echo(f"    {_side_line(stats.src, stats.pairs)}\n    {_side_line(stats.tgt, stats.pairs)}")


def _split_line(split: str, stats: SplitStats) -> str:
    head = "" if stats.complete else " (only the head was looked at)"
    return f"{split}: {stats.pairs:,} pairs{head}, {stats.duplicates:,} seen before, {stats.left_out:,} left out"


def _side_line(side: SideStats, pairs: int) -> str:
    parts = [f"{side.words / max(pairs, 1):.1f} words a line", f"the longest has {side.longest:,} characters"]
    if side.tokens is not None and side.unknown is not None:
        parts.append(f"{side.tokens / max(pairs, 1):.1f} tokens a line")
        parts.append(f"{side.unknown / max(side.tokens, 1):.3%} unknown")
    return f"{side.name}: {', '.join(parts)}"


def _print_json(report: DataReport) -> None:
    import json

    facts: dict[str, Any] = {
        "ok": report.ok,
        "findings": [asdict(finding) for finding in report.findings],
        "splits": {split: asdict(stats) for split, stats in report.stats.items()},
    }
    typer.echo(json.dumps(facts, indent=2, ensure_ascii=False))

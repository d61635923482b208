"""Scores of text as a table: rich on a terminal, plain columns elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from attnkit.metrics.text import TextScore


def print_scores(scores: Sequence[TextScore]) -> None:
    """Print scores, their intervals and signatures on stdout, and under BLEU how the lecture reads it."""
    headers = ["metric", "score", "95 % interval"]
    if scores[0].baseline:
        headers += ["baseline", "difference", "p"]
    rows = [_row(score) for score in scores]
    if sys.stdout.isatty():
        _print_rich(headers, rows, scores)
    else:
        _print_plain(headers, rows, scores)


def _row(score: TextScore) -> list[str]:
    row = [score.name, f"{score.value:.2f}", _interval(score.low, score.high)]
    if score.baseline is not None:
        other = score.baseline
        difference = score.value - other.value
        better = "better" if (difference > 0) == score.higher_is_better else "worse"
        row += [
            f"{other.value:.2f}",
            f"{difference:+.2f} {better}" if difference else "none",
            "-" if other.p_value is None else f"{other.p_value:.3f}",
        ]
    return row


def _interval(low: float | None, high: float | None) -> str:
    return "-" if low is None or high is None else f"{low:.2f} to {high:.2f}"


def _reading(score: TextScore) -> str | None:
    from attnkit.metrics.text import reading

    return f"reading: {reading(score.value)}" if score.name == "BLEU" else None


def _print_plain(headers: list[str], rows: list[list[str]], scores: Sequence[TextScore]) -> None:
    """One row per score with the signature at its end, where a line may be as long as it is."""
    table = [[*headers, "signature"], *([*row, score.signature] for row, score in zip(rows, scores, strict=True))]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    notes = [None, *map(_reading, scores)]
    for row, note in zip(table, notes, strict=True):
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        if note is not None:
            typer.echo(f"  {note}")


def _print_rich(headers: list[str], rows: list[list[str]], scores: Sequence[TextScore]) -> None:
    """A table, and under it the signatures, for which a terminal is too narrow."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*headers)
    for row in rows:
        table.add_row(*map(Text, row))
    console = Console()
    console.print(table)
    for score in scores:
        if (note := _reading(score)) is not None:
            console.print(Text(f"{score.name} {note}"))
    for score in scores:
        console.print(Text(f"{score.name}|{score.signature}", style="dim"), soft_wrap=True)

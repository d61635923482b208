"""Scores of classifiers as plain tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from attnkit.metrics.accuracy import ClassScore, Score

ROWS = 20
"""Of the table of classes, unless another number is asked for."""


def print_class_scores(scores: Sequence[Score]) -> None:
    """Print scores with their intervals and what they are shares of."""
    table = [["metric", "score", "95 % interval (Wilson)", "images"]]
    for score in scores:
        interval = "-" if score.low is None or score.high is None else f"{score.low:.2f} to {score.high:.2f}"
        images = f"{score.images}" if score.right is None else f"{score.right} of {score.images}"
        table.append([score.name, f"{score.value:.2f} %", interval, images])
    _print(table, right=())


def print_per_class(scores: Sequence[ClassScore], class_names: Sequence[str], *, rows: int) -> None:
    """Print a row per class, that of the lowest recall first, and the means of all.

    Args:
        scores: of every class.
        class_names: their names.
        rows: at most so many; 0 for all.
    """
    from attnkit.metrics.accuracy import mean_over_classes

    ordered = worst_first(scores)
    shown = ordered[:rows] if rows else ordered
    table = [["class", "images", "recall", "precision", "F1"]]
    table += [
        [_name(class_names[one.index]), str(one.support), _cell(one.recall), _cell(one.precision), _cell(one.f1)]
        for one in shown
    ]
    means = [mean_over_classes([getattr(one, key) for one in scores]) for key in ("recall", "precision", "f1")]
    table.append([f"mean of {len(scores)}", str(sum(one.support for one in scores)), *map(_cell, means)])
    _print(table, right=(1, 2, 3, 4))
    if len(shown) < len(ordered):
        typer.echo(f"{len(ordered) - len(shown)} more classes; all of them by --rows 0", err=True)


def worst_first(scores: Sequence[ClassScore]) -> list[ClassScore]:
    """The classes by recall; those without images at the end."""
    return sorted(scores, key=lambda one: (one.recall is None, one.recall, one.index))


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _name(name: str) -> str:
    return name if name.isprintable() else repr(name)[1:-1]


def _print(table: Sequence[Sequence[str]], *, right: Sequence[int]) -> None:
    from rich.cells import cell_len

    widths = [max(map(cell_len, column)) for column in zip(*table, strict=True)]
    for row in table:
        blanks = [" " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)]
        cells = [
            blank + cell if i in right else cell + blank
            for i, (cell, blank) in enumerate(zip(row, blanks, strict=True))
        ]
        typer.echo("  ".join(cells).rstrip())

"""Scores of classifiers and of segmentation as plain tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from attnkit.metrics.accuracy import ClassScore, Score
    from attnkit.metrics.mean_iou import SegmentationScores

ROWS = 20
"""Of the table of classes, unless another number is asked for."""


def print_scores(scores: Sequence[Score], *, interval: str) -> None:
    """Print scores with their intervals and what they are shares of.

    Args:
        scores: at least one.
        interval: how the intervals were found.
    """
    table = [["metric", "score", f"95 % interval ({interval})", "images"]]
    for score in scores:
        bounds = "-" if score.low is None or score.high is None else f"{score.low:.2f} to {score.high:.2f}"
        images = f"{score.images}" if score.right is None else f"{score.right} of {score.images}"
        table.append([score.name, f"{score.value:.2f} %", bounds, images])
    _print(table, right=())


def print_class_scores(scores: Sequence[ClassScore], class_names: Sequence[str], *, rows: int | None) -> None:
    """Print a row per class, that of the lowest recall first, and the means of all.

    Args:
        scores: of every class.
        class_names: their names.
        rows: at most so many; 0 for all, none for the usual number.
    """
    from attnkit.metrics.accuracy import mean_over_classes

    table = [
        [class_names[one.index], str(one.support), _cell(one.recall), _cell(one.precision), _cell(one.f1)]
        for one in worst_first(scores)
    ]
    means = [mean_over_classes([getattr(one, key) for one in scores]) for key in ("recall", "precision", "f1")]
    last = [f"mean of {len(scores)}", str(sum(one.support for one in scores)), *map(_cell, means)]
    _print_classes(["class", "images", "recall", "precision", "F1"], table, last, rows=rows)


def worst_first(scores: Sequence[ClassScore]) -> list[ClassScore]:
    """The classes by recall; those without images at the end."""
    return sorted(scores, key=lambda one: (one.recall is None, one.recall, one.index))


def print_class_ious(scores: SegmentationScores, class_names: Sequence[str], *, rows: int | None) -> None:
    """Print a row per class, that of the lowest IoU first, and the means of those that are not absent.

    Args:
        scores: of every class.
        class_names: their names.
        rows: at most so many; 0 for all, none for the usual number.
    """
    pixels = scores.labelled.sum()
    table = [
        [class_names[k], f"{100 * scores.labelled[k] / pixels:.2f} %", _cell(scores.iou[k]), _cell(scores.accuracy[k])]
        for k in lowest_first(scores)
    ]
    there = sum(not math.isnan(one) for one in scores.iou)
    last = [f"mean of {there}", "100.00 %", *(_cell(scores.means[name].value) for name in ("miou", "macc"))]
    _print_classes(["class", "pixels", "IoU", "accuracy"], table, last, rows=rows)


def lowest_first(scores: SegmentationScores) -> list[int]:
    """The classes by IoU; those that are neither labelled nor predicted at the end."""
    return sorted(range(len(scores.iou)), key=lambda k: (math.isnan(scores.iou[k]), scores.iou[k], k))


def _print_classes(
    header: Sequence[str], table: Sequence[Sequence[str]], last: Sequence[str], *, rows: int | None
) -> None:
    """Print the first rows of a table whose first column is the name of a class, and a last row below."""
    limit = ROWS if rows is None else rows
    shown = table[:limit] if limit else table
    _print([header, *([_name(row[0]), *row[1:]] for row in shown), last], right=range(1, len(header)))
    if len(shown) < len(table):
        typer.echo(f"{len(table) - len(shown)} more classes; all of them by --rows 0", err=True)


def _cell(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.2f}"


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

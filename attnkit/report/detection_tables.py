"""Scores of detections as plain tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from attnkit.report.class_tables import ROWS
from attnkit.report.growing_table import GrowingTable, shown

if TYPE_CHECKING:
    from attnkit.metrics.accuracy import Score
    from attnkit.metrics.detection_scores import Scored

_OVERLAPS = {"50": "0.50", "75": "0.75"}
_SIZES = {"s": "small", "m": "medium", "l": "large"}


def print_scores(scored: Scored) -> None:
    """Print COCO's numbers, with what each is about, and their intervals."""
    header = ["metric", "IoU", "objects", "detections"]
    for kind in scored.scores:
        header += [kind, "95 % interval (bootstrap)"]
    rows = [header]
    for name in next(iter(scored.scores.values())).means:
        row = [name, *_about(name, scored.max_detections)]
        for scores in scored.scores.values():
            row += _cells(scores.means[name])
        rows.append(row)
    _print(rows, right=())


def _about(name: str, max_detections: int) -> list[str]:
    """Over which overlaps, of which objects, with how many detections of a class on an image."""
    rest = name[2:]
    if name.startswith("AP"):
        return [_OVERLAPS.get(rest, "0.50:0.95"), _SIZES.get(rest, "all"), str(max_detections)]
    return ["0.50:0.95", _SIZES.get(rest, "all"), rest if rest.isdecimal() else str(max_detections)]


def _cells(score: Score) -> list[str]:
    interval = "-" if score.low is None or score.high is None else f"{score.low:.2f} to {score.high:.2f}"
    return ["-" if math.isnan(score.value) else f"{score.value:.2f} %", interval]


def print_classes(scored: Scored, *, rows: int | None) -> None:
    """Print a row per class, that of the lowest AP first, and the means of those that have objects.

    Args:
        scored: what came out.
        rows: at most so many; 0 for all, none for the usual number.
    """
    table = [["class", "objects", *(f"{kind} {name}" for kind in scored.scores for name in ("AP", "AP50"))]]
    objects = scored.objects
    values = [some for scores in scored.scores.values() for some in (scores.class_ap, scores.class_ap50)]
    order = scored.lowest_first()
    limit = (ROWS if rows is None else rows) or len(order)
    for k in order[:limit]:
        table.append([shown(scored.class_names[k]), str(objects[k]), *(_number(some[k]) for some in values)])
    means = [scores.means[name].value for scores in scored.scores.values() for name in ("AP", "AP50")]
    table.append([f"mean of {(objects > 0).sum()}", str(objects.sum()), *map(_number, means)])
    _print(table, right=range(1, len(table[0])))
    if limit < len(order):
        typer.echo(f"{len(order) - limit} more classes; all of them by --rows 0", err=True)


def print_errors(scored: Scored) -> None:
    """Print how many errors there are of each kind, and how much AP50 they cost."""
    assert scored.errors is not None, "they were asked for"
    every = list(scored.errors.values())
    table = [["error", *(name for kind in scored.errors for name in (kind, "costs AP50"))]]
    for row, first in enumerate(every[0]):
        cells = [cell for some in every for cell in (str(some[row].count), _number(some[row].cost))]
        table.append([first.name, *cells])
    _print(table, right=range(1, len(table[0])))


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"


def _print(rows: Sequence[Sequence[str]], *, right: Sequence[int]) -> None:
    typer.echo(GrowingTable(right=right).lines(rows), nl=False)

"""Scores as tables: of text, of classes of images and pixels, of detections. Plain columns; text is rich on a tty."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from attnkit.report.growing_table import GrowingTable, shown

if TYPE_CHECKING:
    from attnkit.metrics.accuracy import ClassScore, Score
    from attnkit.metrics.detection_scores import Scored
    from attnkit.metrics.mean_iou import SegmentationScores
    from attnkit.metrics.text import TextScore

ROWS = 20
"""Of the table of classes, unless another number is asked for."""
_OVERLAPS = {"50": "0.50", "75": "0.75"}
_SIZES = {"s": "small", "m": "medium", "l": "large"}


def print_table(rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> None:
    """Print rows in columns.

    Args:
        rows: the first has the headings.
        right: numbers of the columns that are aligned on the right.
    """
    typer.echo(GrowingTable(right=right).lines(rows), nl=False)


def print_text_scores(scores: Sequence[TextScore]) -> None:
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


def _reading(score: TextScore) -> str | None:
    from attnkit.metrics.text import reading

    return f"reading: {reading(score.value)}" if score.name == "BLEU" else None


def _print_plain(headers: list[str], rows: list[list[str]], scores: Sequence[TextScore]) -> None:
    """One row per score with the signature at its end, where a line may be as long as it is."""
    table = [[*headers, "signature"], *([*row, score.signature] for row, score in zip(rows, scores, strict=True))]
    notes = [None, *map(_reading, scores)]
    for line, note in zip(GrowingTable().lines(table).splitlines(), notes, strict=True):
        typer.echo(line)
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


def print_image_scores(scores: Sequence[Score], *, interval: str) -> None:
    """Print scores with their intervals and what they are shares of.

    Args:
        scores: at least one.
        interval: how the intervals were found.
    """
    table = [["metric", "score", f"95 % interval ({interval})", "images"]]
    for score in scores:
        images = f"{score.images}" if score.right is None else f"{score.right} of {score.images}"
        table.append([score.name, f"{score.value:.2f} %", _interval(score.low, score.high), images])
    print_table(table)


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
    _print_class_rows(["class", "images", "recall", "precision", "F1"], table, last, rows=rows)


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
    _print_class_rows(["class", "pixels", "IoU", "accuracy"], table, last, rows=rows)


def lowest_first(scores: SegmentationScores) -> list[int]:
    """The classes by IoU; those that are neither labelled nor predicted at the end."""
    return sorted(range(len(scores.iou)), key=lambda k: (math.isnan(scores.iou[k]), scores.iou[k], k))


def _print_class_rows(
    header: Sequence[str], table: Sequence[Sequence[str]], last: Sequence[str], *, rows: int | None
) -> None:
    """Print the first rows of a table whose first column is the name of a class, and a last row below."""
    limit = ROWS if rows is None else rows
    first = table[:limit] if limit else table
    print_table([header, *([shown(row[0]), *row[1:]] for row in first), last], right=range(1, len(header)))
    if len(first) < len(table):
        typer.echo(f"{len(table) - len(first)} more classes; all of them by --rows 0", err=True)


def _cell(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.2f}"


def print_detection_scores(scored: Scored) -> None:
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
    print_table(rows)


def _about(name: str, max_detections: int) -> list[str]:
    """Over which overlaps, of which objects, with how many detections of a class on an image."""
    rest = name[2:]
    if name.startswith("AP"):
        return [_OVERLAPS.get(rest, "0.50:0.95"), _SIZES.get(rest, "all"), str(max_detections)]
    return ["0.50:0.95", _SIZES.get(rest, "all"), rest if rest.isdecimal() else str(max_detections)]


def _cells(score: Score) -> list[str]:
    return ["-" if math.isnan(score.value) else f"{score.value:.2f} %", _interval(score.low, score.high)]


def print_class_aps(scored: Scored, *, rows: int | None) -> None:
    """Print a row per class, that of the lowest AP first, and the means of those that have objects.

    Args:
        scored: what came out.
        rows: at most so many; 0 for all, none for the usual number.
    """
    objects = scored.objects
    kinds = [f"{kind} {name}" for kind in scored.scores for name in ("AP", "AP50")]
    values = [ap for scores in scored.scores.values() for ap in (scores.class_ap, scores.class_ap50)]
    table = [[scored.class_names[k], str(objects[k]), *(_cell(ap[k]) for ap in values)] for k in scored.lowest_first()]
    means = [scores.means[name].value for scores in scored.scores.values() for name in ("AP", "AP50")]
    last = [f"mean of {(objects > 0).sum()}", str(objects.sum()), *map(_cell, means)]
    _print_class_rows(["class", "objects", *kinds], table, last, rows=rows)


def print_errors(scored: Scored) -> None:
    """Print how many errors there are of each kind, and how much AP50 they cost."""
    assert scored.errors is not None, "they were asked for"
    every = list(scored.errors.values())
    table = [["error", *(name for kind in scored.errors for name in (kind, "costs AP50"))]]
    for row, first in enumerate(every[0]):
        cells = [cell for errors in every for cell in (str(errors[row].count), _cell(errors[row].cost))]
        table.append([first.name, *cells])
    print_table(table, right=range(1, len(table[0])))


def _interval(low: float | None, high: float | None) -> str:
    return "-" if low is None or high is None else f"{low:.2f} to {high:.2f}"

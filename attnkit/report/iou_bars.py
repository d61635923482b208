"""The IoU of each class as bars, or as numbers in a CSV file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnkit.report.picture_file import is_csv, short, write_csv, write_figure

if TYPE_CHECKING:
    from attnkit.metrics.mean_iou import SegmentationScores

IN_A_COLUMN = 50
"""So many classes stand below each other; further ones beside them."""
_BAR, _TRACK, _DOT, _MEAN = "#4c83b6", "#eef2f6", "#1b3a57", "#c8553d"


def best_first(scores: SegmentationScores) -> list[int]:
    """The classes by IoU; those that are neither labelled nor predicted at the end."""
    return sorted(range(len(scores.iou)), key=lambda k: (math.isnan(scores.iou[k]), -scores.iou[k], k))


def write_bars(path: Path, scores: SegmentationScores, class_names: Sequence[str]) -> None:
    """Write the IoU of each class, best first, in the form that the file's ending says.

    Args:
        path: .png, .svg or .pdf is a drawing; .csv has a line per class.
        scores: of K classes.
        class_names: their names.
    """
    if is_csv(path):
        header = ["class", "labelled pixels", "IoU", "accuracy"]
        rows = (
            [class_names[k], int(scores.labelled[k]), _number(scores.iou[k]), _number(scores.accuracy[k])]
            for k in best_first(scores)
        )
        write_csv(path, header, rows)
    else:
        write_figure(path, draw_bars(scores, class_names))


def draw_bars(scores: SegmentationScores, class_names: Sequence[str]) -> Any:
    """A bar for each class's IoU, best first, with a dot for its accuracy and a line for the mean.

    More than 50 classes go into several columns of equal length. Returns a matplotlib Figure.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    order = best_first(scores)
    columns = -(-len(order) // IN_A_COLUMN)
    rows = -(-len(order) // columns)
    size = (7.5 if columns == 1 else 5.4 * columns, 0.24 * rows + 1.6)
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(w_pad=0.12))
    every = figure.subplots(1, columns, squeeze=False)[0]
    for number, axes in enumerate(every):
        _draw_column(axes, scores, class_names, order[number * rows : (number + 1) * rows], rows)
    figure.suptitle(_title(scores), fontsize=12 if columns == 1 else 16)
    _explain(figure, every[0])
    return figure


def _draw_column(
    axes: Any, scores: SegmentationScores, class_names: Sequence[str], classes: Sequence[int], rows: int
) -> None:
    places = range(len(classes))
    iou = [0.0 if math.isnan(scores.iou[k]) else float(scores.iou[k]) for k in classes]
    axes.barh(places, [100.0] * len(classes), height=0.74, color=_TRACK)
    axes.barh(places, iou, height=0.74, color=_BAR, label="IoU")
    axes.plot(
        [scores.accuracy[k] for k in classes], places, "o", color=_DOT, markersize=3.5, clip_on=False, label="accuracy"
    )
    axes.axvline(scores.means["miou"].value, color=_MEAN, linewidth=1.2, linestyle=(0, (4, 3)), label="mean IoU")
    for place, k in zip(places, classes, strict=True):
        text = "absent" if math.isnan(scores.iou[k]) else f"{scores.iou[k]:.1f}"
        axes.text(104, place, text, va="center", fontsize=8, color="#555555")
    axes.set_yticks(places, [short(class_names[k]) for k in classes], fontsize=8.5, parse_math=False)
    axes.set_ylim(rows - 0.4, -0.6)
    axes.set_xlim(0, 100)
    axes.set_xticks((0, 20, 40, 60, 80, 100))
    axes.tick_params(length=0, labelcolor="#333333")
    axes.tick_params(axis="x", labelsize=8)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("%", fontsize=8)


def _explain(figure: Any, axes: Any) -> None:
    marks = dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))
    order = ("IoU", "accuracy", "mean IoU")
    figure.legend(
        [marks[name] for name in order], order, loc="outside lower center", ncols=3, frameon=False, fontsize=9
    )


def _title(scores: SegmentationScores) -> str:
    mean, absent = scores.means["miou"], sum(map(math.isnan, scores.iou))
    interval = "" if mean.low is None or mean.high is None else f" (95 % interval {mean.low:.2f} to {mean.high:.2f})"
    classes = f"{len(scores.iou) - absent} classes" + (f", {absent} absent" if absent else "")
    return f"mean IoU {mean.value:.2f} %{interval} · {classes}"


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.4f}"

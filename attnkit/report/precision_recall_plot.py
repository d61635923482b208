"""Precision over recall of each class as curves, raw and interpolated, or as numbers in a CSV file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnkit.report.picture_file import is_csv, short, write_csv, write_figure

if TYPE_CHECKING:
    from attnkit.metrics.average_precision import PrecisionRecall
    from attnkit.metrics.coco_ap import CocoScores
    from attnkit.metrics.detection_scores import Scored

OVERLAPS = {"0.50": 0, "0.75": 5}
"""Least overlaps that are drawn, and which of COCO's ten they are."""
PANELS = 99
"""So many classes have a panel of their own, those of the lowest AP."""
_COLOURS = {"0.50": "#4c83b6", "0.75": "#c8553d"}
_WIDTHS = {"0.50": 2.8, "0.75": 1.5}
"""So that equal curves are both seen."""
_DOTS = 40
"""Up to so many points are marked."""
_GRID, _INK = "#dde4ea", "#333333"


@dataclass(frozen=True)
class _Curve:
    """Points of a panel's line at one overlap."""

    recall: Sequence[float]
    precision: Sequence[float]
    interpolated: Sequence[float]


def write_curves(path: Path, scored: Scored) -> None:
    """Write the curves in the form that the file's ending says.

    Args:
        path: .png, .svg or .pdf is a drawing; .csv has a line for each class, overlap, and one of 101 recalls.
        scored: boxes, and masks if there are any.
    """
    if is_csv(path):
        write_csv(path, ["of", "class", "IoU", "recall", "precision", "interpolated"], _rows(scored))
    else:
        write_figure(path, draw_curves(scored))


def draw_curves(scored: Scored) -> Any:
    """A panel for the mean over the classes, of boxes and of masks, then one for each class, of the lowest AP first.

    The thin zigzag is the precision after each detection, the surest first, the thick line what it is interpolated to:
    the highest precision at this recall or a higher one. AP is the area under that. A mean of classes is drawn through
    101 recalls. Returns a matplotlib Figure.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    panels = list(_panels(scored))
    columns = min(len(panels), max(2, math.ceil(math.sqrt(len(panels)))))
    rows = math.ceil(len(panels) / columns)
    side = 4.2 if len(panels) <= 4 else 2.6
    figure = Figure(figsize=(side * columns + 0.4, side * rows + 0.9), layout=ConstrainedLayoutEngine(w_pad=0.08))
    every = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axes in every.flat[len(panels) :]:
        axes.set_axis_off()
    for axes, (title, curves) in zip(every.flat, panels, strict=False):
        _draw(axes, title, curves)
    for axes in every[:, 0]:
        axes.set_ylabel("precision", fontsize=9)
    for axes in every[-1]:
        axes.set_xlabel("recall", fontsize=9)
    _explain(figure, every.flat)
    return figure


def _explain(figure: Any, every: Iterable[Any]) -> None:
    marks: dict[str, Any] = {}
    for axes in every:
        lines, names = axes.get_legend_handles_labels()
        marks |= dict(zip(names, lines, strict=True))
    if marks:
        figure.legend(marks.values(), marks, loc="outside lower center", ncols=2, frameon=False, fontsize=9)


def _panels(scored: Scored) -> Iterator[tuple[str, dict[str, _Curve]]]:
    with_objects = [k for k in scored.lowest_first() if scored.objects[k]]
    for kind, scores in scored.scores.items():
        name = short(scored.class_names[with_objects[0]]) if len(with_objects) == 1 else f"{len(with_objects)} classes"
        if len(with_objects) == 1:
            yield _title(f"{name}, {kind}", scores, with_objects), _curves_of(scores, with_objects[0])
        else:
            yield _title(f"mean of {name}, {kind}", scores, with_objects), _means_of(scores, with_objects)
    if len(with_objects) > 1:
        kind, scores = list(scored.scores.items())[-1]
        for k in with_objects[:PANELS]:
            yield _title(short(scored.class_names[k]), scores, [k]), _curves_of(scores, k)


def _title(name: str, scores: CocoScores, classes: Sequence[int]) -> str:
    return f"{name}  ·  AP {scores.class_ap[classes].mean():.1f}"


def _curves_of(scores: CocoScores, k: int) -> dict[str, _Curve]:
    """Through every detection."""
    return {name: _corners(scores.rankings[k].curve(overlap)) for name, overlap in OVERLAPS.items()}


def _corners(curve: PrecisionRecall) -> _Curve:
    """Without the points inside a straight line: of detections at the same recall the first and the last are enough."""
    import numpy as np

    changes = np.diff(curve.recall) != 0
    kept = np.append(True, changes) | np.append(changes, True) if len(curve.recall) else np.zeros(0, dtype=bool)
    return _Curve(curve.recall[kept].tolist(), curve.precision[kept].tolist(), curve.interpolated[kept].tolist())


def _means_of(scores: CocoScores, classes: Sequence[int]) -> dict[str, _Curve]:
    """Through 101 recalls."""
    import numpy as np

    from attnkit.metrics.average_precision import RECALLS

    return {
        name: _Curve(
            RECALLS.tolist(),
            np.mean([scores.rankings[k].raw(overlap) for k in classes], axis=0).tolist(),
            scores.precision[overlap, :, classes, 0].mean(axis=0).tolist(),
        )
        for name, overlap in OVERLAPS.items()
    }


def _draw(axes: Any, title: str, curves: dict[str, _Curve]) -> None:
    for name, curve in curves.items():
        colour, dot = _COLOURS[name], "." if len(curve.recall) <= _DOTS else "None"
        if not len(curve.recall):
            continue
        label = f"IoU {name}, raw"
        axes.plot(curve.recall, curve.precision, marker=dot, color=colour, linewidth=0.8, label=label)
        recall, precision = [0.0, *curve.recall], [curve.interpolated[0], *curve.interpolated]
        label = f"IoU {name}, interpolated"
        axes.step(recall, precision, where="pre", color=colour, linewidth=_WIDTHS[name], label=label)
        axes.fill_between(recall, precision, step="pre", color=colour, alpha=0.08, linewidth=0)
    axes.set_title(title, fontsize=9.5, color=_INK, parse_math=False)
    axes.set_xlim(0, 1.01)
    axes.set_ylim(0, 1.03)
    axes.set_xticks((0, 0.2, 0.4, 0.6, 0.8, 1))
    axes.grid(color=_GRID, linewidth=0.6)
    axes.tick_params(length=0, labelsize=8, labelcolor=_INK)
    axes.spines[:].set_visible(False)


def _rows(scored: Scored) -> Iterator[list[object]]:
    from attnkit.metrics.average_precision import RECALLS

    for kind, scores in scored.scores.items():
        for k in range(len(scored.class_names)):
            if not scored.objects[k]:
                continue
            for name, overlap in OVERLAPS.items():
                raw, interpolated = scores.rankings[k].raw(overlap), scores.precision[overlap, :, k, 0]
                for recall, one, other in zip(RECALLS, raw, interpolated, strict=True):
                    yield [kind, scored.class_names[k], name, f"{recall:.2f}", f"{one:.6f}", f"{other:.6f}"]

"""The confusion matrix as a picture, or as numbers in a CSV file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from attnkit.report.picture_file import is_csv, short, write_csv, write_figure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from attnkit.structures.arrays import IntArray

Unit = Literal["images", "pixels"]
"""What is counted."""
WITH_NUMBERS = 20
"""Up to so many classes every cell says how many images, or what share of the pixels, it has."""
WITH_NAMES = 150
"""Up to so many classes, those of ADE20K, each row and column says its name."""
_TICKS = (0, 1, 5, 10, 20, 40, 60, 80, 100)
_DARK = 0.35
"""From this share on a cell is so dark that its number must be white."""
_GUIDE = 10
_SMALLEST_SHARE = 0.0005
"""Below, a share of pixels would be 0.0 %, and is not written."""


def write_confusion(path: Path, confusion: IntArray, class_names: Sequence[str], *, unit: Unit = "images") -> None:
    """Write a confusion matrix, in the form that the file's ending says.

    Args:
        path: .png, .svg or .pdf is a drawing; .csv has the truth in rows, with a header.
        confusion: (K, K) counts; the truth in rows.
        class_names: of the K classes.
        unit: what was counted.
    """
    if is_csv(path):
        rows = ([name, *map(int, row)] for name, row in zip(class_names, confusion, strict=True))
        write_csv(path, ["truth \\ predicted", *class_names], rows)
    else:
        write_figure(path, draw_confusion(confusion, class_names, unit=unit))


def draw_confusion(confusion: IntArray, class_names: Sequence[str], *, unit: Unit = "images") -> Any:
    """A heat map: how the images or pixels of each class, a row, are shared out among the predicted ones, the columns.

    Up to 20 classes have their numbers in the cells, images as they are and pixels in percent of the row; up to 150
    their names beside the rows and columns; of more, every so many-th name. Returns a matplotlib Figure.
    """
    from matplotlib.colors import PowerNorm
    from matplotlib.figure import Figure

    count = len(class_names)
    shares = confusion / confusion.sum(axis=1, keepdims=True).clip(min=1)  # rows of absent classes stay empty
    side = _inches(count)
    figure = Figure(figsize=(side + 1.6, side), layout="constrained")
    axes = figure.add_subplot()
    scale = PowerNorm(0.5, vmin=0, vmax=100)  # by the square root, so that rare mistakes are seen
    image = axes.imshow(100 * shares, cmap="Blues", norm=scale, interpolation="nearest", aspect="equal")
    _name_axes(axes, class_names)
    if count <= WITH_NUMBERS:
        _write_numbers(axes, confusion, shares, unit)
    else:
        _guide(axes, count)
    large = 1.0 if count <= WITH_NUMBERS else max(1.0, side / 12)
    axes.set_title(_title(confusion, unit), fontsize=12 * large)
    axes.set_ylabel("true class", fontsize=10 * large)
    axes.set_xlabel("predicted class", fontsize=10 * large)
    bar = figure.colorbar(image, ax=axes, ticks=_TICKS, fraction=0.046, pad=0.02)
    bar.set_label(f"% of the class's {unit}", fontsize=10 * large)
    bar.ax.tick_params(labelsize=10 * large)
    return figure


def _title(confusion: IntArray, unit: Unit) -> str:
    right, every = int(confusion.trace()), int(confusion.sum())
    percent = f"{100 * right / max(1, every):.2f} %"
    return f"{right} of {every} images right ({percent})" if unit == "images" else f"{percent} of the pixels right"


def _inches(count: int) -> float:
    """Side of the map: room for numbers, then for names, then at least a dot per class."""
    if count <= WITH_NUMBERS:
        return max(4.0, 0.55 * count + 1.5)
    if count <= WITH_NAMES:
        return 0.16 * count + 3.0
    return max(16.0, count / 60)


def _name_axes(axes: Any, class_names: Sequence[str]) -> None:
    count = len(class_names)
    step = -(-count // WITH_NAMES)
    ticks = range(0, count, step)
    names = [short(class_names[k]) for k in ticks]
    size = 9 if count <= WITH_NUMBERS else 7
    axes.set_xticks(ticks, names, rotation=90 if count > 6 else 0, fontsize=size, parse_math=False)
    axes.set_yticks(ticks, names, fontsize=size, parse_math=False)
    axes.tick_params(length=0 if count <= WITH_NAMES else 2)


def _guide(axes: Any, count: int) -> None:
    """Thin lines from the names to the cells, after every so many classes."""
    for k in range(_GUIDE, count, _GUIDE):
        axes.axhline(k - 0.5, color="#c9d3de", linewidth=0.5)
        axes.axvline(k - 0.5, color="#c9d3de", linewidth=0.5)


def _write_numbers(axes: Any, confusion: IntArray, shares: NDArray[Any], unit: Unit) -> None:
    for i, row in enumerate(confusion):
        for k, counted in enumerate(row):
            if counted and (unit == "images" or shares[i, k] >= _SMALLEST_SHARE):
                text = str(counted) if unit == "images" else f"{100 * shares[i, k]:.1f}"
                colour = "white" if shares[i, k] > _DARK else "black"
                axes.text(k, i, text, ha="center", va="center", color=colour, fontsize=8)

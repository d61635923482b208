"""The confusion matrix as a picture, or as numbers in a CSV file."""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnkit.errors import AttnkitError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SUFFIXES = (".png", ".svg", ".pdf", ".csv")
WITH_NUMBERS = 20
"""Up to so many classes every cell says its number of images."""
WITH_NAMES = 100
"""Up to so many classes each row and column says its name."""
_LONGEST_NAME = 24
_TICKS = (0, 1, 5, 10, 20, 40, 60, 80, 100)
_DARK = 0.35
"""From this share on a cell is so dark that its number must be white."""


def check_confusion(path: Path) -> None:
    """Refuse a file that could not be drawn, before anything takes long.

    Raises:
        AttnkitError: an ending that is not known, or matplotlib is missing.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise AttnkitError(
            f"--confusion {path}: no known ending; expected {', '.join(SUFFIXES)}; rename it, to confusion.png say"
        )
    if path.suffix.lower() != ".csv" and find_spec("matplotlib") is None:
        raise AttnkitError(
            f"--confusion {path}: drawing needs matplotlib, which is not installed; expected it; "
            "pip install 'attnkit[plot]', or name a .csv file"
        )


def write_confusion(path: Path, confusion: NDArray[np.int64], class_names: Sequence[str]) -> None:
    """Write a confusion matrix, in the form that the file's ending says.

    Args:
        path: .png, .svg or .pdf is a drawing; .csv has the truth in rows, with a header.
        confusion: (K, K) images; the truth in rows.
        class_names: of the K classes.
    """
    from attnkit.run_dir import write_whole

    if path.suffix.lower() == ".csv":
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(["truth \\ predicted", *class_names])
        rows.writerows([name, *map(int, row)] for name, row in zip(class_names, confusion, strict=True))
        write_whole(path, text.getvalue())
        return
    figure, picture = draw_confusion(confusion, class_names), io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # a name in letters that the font lacks
        figure.savefig(picture, format=path.suffix[1:].lower(), dpi=120, bbox_inches="tight")
    write_whole(path, picture.getvalue())


def draw_confusion(confusion: NDArray[np.int64], class_names: Sequence[str]) -> Any:
    """A heat map: how the images of each class, a row, are shared out among the predicted classes, the columns.

    Up to 20 classes have their numbers in the cells, up to 100 their names beside the rows and columns; of more, every
    so many-th name. Returns a matplotlib Figure.
    """
    from matplotlib.colors import PowerNorm
    from matplotlib.figure import Figure

    count = len(class_names)
    shares = confusion / confusion.sum(axis=1, keepdims=True).clip(min=1)  # rows without images stay empty
    side = _inches(count)
    figure = Figure(figsize=(side + 1.6, side), layout="constrained")
    axes = figure.add_subplot()
    scale = PowerNorm(0.5, vmin=0, vmax=100)  # by the square root, so that rare mistakes are seen
    image = axes.imshow(100 * shares, cmap="Blues", norm=scale, interpolation="nearest", aspect="equal")
    _name_axes(axes, class_names)
    if count <= WITH_NUMBERS:
        _write_numbers(axes, confusion, shares)
    right, images = int(confusion.trace()), int(confusion.sum())
    axes.set_title(f"{right} of {images} images right ({100 * right / max(1, images):.2f} %)")
    axes.set_ylabel("true class")
    axes.set_xlabel("predicted class")
    figure.colorbar(image, ax=axes, label="% of the class's images", ticks=_TICKS, fraction=0.046, pad=0.02)
    return figure


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
    names = [_short(class_names[k]) for k in ticks]
    size = 9 if count <= WITH_NUMBERS else 7
    axes.set_xticks(ticks, names, rotation=90 if count > 6 else 0, fontsize=size, parse_math=False)
    axes.set_yticks(ticks, names, fontsize=size, parse_math=False)
    axes.tick_params(length=0 if count <= WITH_NAMES else 2)


def _short(name: str) -> str:
    name = name if name.isprintable() else repr(name)[1:-1]
    half = _LONGEST_NAME // 2
    return name if len(name) <= _LONGEST_NAME else f"{name[:half]}…{name[-half:]}"


def _write_numbers(axes: Any, confusion: NDArray[np.int64], shares: NDArray[Any]) -> None:
    for i, row in enumerate(confusion):
        for k, images in enumerate(row):
            if images:
                colour = "white" if shares[i, k] > _DARK else "black"
                axes.text(k, i, str(images), ha="center", va="center", color=colour, fontsize=8)

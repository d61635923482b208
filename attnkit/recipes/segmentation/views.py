"""In which sizes an image is looked at, and through which windows."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

Span = tuple[int, int]
"""From a pixel of a row or column to one behind the last."""


@dataclass(frozen=True)
class View:
    """An image at one size, and the windows through which it is seen."""

    pixels: Tensor
    """uint8 (3, height, width)"""
    window: tuple[int, int] | None = None
    """Height and width; None is the whole view."""
    overlap: float = 0.0
    """Share of a window that the next one sees again."""
    mirrored: bool = False
    """Left and right are exchanged in front of the network, and back behind it."""

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return self.pixels.shape[1]

    @property
    def width(self) -> int:
        """Pixels from left to right."""
        return self.pixels.shape[2]

    @property
    def rows(self) -> list[Span]:
        """Windows from top to bottom."""
        return spans(self.height, self.window[0] if self.window else self.height, self.overlap)

    @property
    def columns(self) -> list[Span]:
        """Windows from left to right; those of a mirrored view begin at its left side, which is the image's right."""
        along = spans(self.width, self.window[1] if self.window else self.width, self.overlap)
        return [(self.width - stop, self.width - start) for start, stop in reversed(along)] if self.mirrored else along

    @property
    def is_whole(self) -> bool:
        """Whether there is one window only."""
        return len(self.rows) == len(self.columns) == 1

    def map_bytes(self, pixels_per_cell: int) -> int:
        """What the maps of windows side by side take, in as many rows as a band may touch; for each class.

        Args:
            pixels_per_cell: along a side, in the finest map of the network.
        """
        rows, columns = self.rows, self.columns
        height, width = rows[0][1], columns[0][1] - columns[0][0]
        at_once = math.ceil(height / rows[1][0]) + 1 if len(rows) > 1 else 1
        cells = math.ceil(height / pixels_per_cell) * math.ceil(width / pixels_per_cell)
        return 4 * cells * len(columns) * min(len(rows), at_once)


def spans(length: int, window: int, overlap: float) -> list[Span]:
    """Windows along one side: all of one length, the last of them flush with the border, as mmsegmentation has it.

    Args:
        length: of the side.
        window: of each window; one that is longer than the side is cut to it.
        overlap: share of a window that the next one covers again, at least.
    """
    stride = max(1, int(window * (1 - overlap)))
    count = max(0, math.ceil((length - window) / stride)) + 1
    stops = [min(number * stride + window, length) for number in range(count)]
    return [(max(0, stop - window), stop) for stop in stops]


def shares(windows: list[Span], view: int, image: int) -> list[float]:
    """For each pixel along one side of an image, what each of the windows that cover it counts: all make 1.

    Args:
        windows: along that side of a view.
        view: length of the side there.
        image: and in the image.
    """
    covered = [0] * image
    for window in windows:
        start, stop = pixels_within(window, view, image)
        for pixel in range(start, stop):
            covered[pixel] += 1
    return [1 / count for count in covered]


def pixels_within(window: Span, view: int, image: int) -> Span:
    """The pixels of the image whose centres lie in a window; windows that meet leave out none, and share none."""
    start, stop = (math.ceil(border * image / view - 0.5) for border in window)
    return start, stop

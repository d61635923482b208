"""Test-time augmentation: an image in several sizes, flipped or not; its windows, and the memory that it needs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from attnkit.models.config import SwinConfig
from attnkit.models.upernet import UperNet

Span = tuple[int, int]
"""From a pixel of a row or column to one behind the last."""
_PIXELS_PER_CELL = 4
"""Along a side, in the finest map of most networks."""
_WIDTHS, _BACKBONE_WIDTHS = 6, 12
"""Measured peaks over the cells of the finest map, rounded up, in widths of UperNet and of the backbone's finest map:
Swin-T has 4,100 values (4,370 by this), Swin nano with 64 channels 1,080 (1,110), ResNet-50 3,800 (6,290)."""


@dataclass(frozen=True)
class AugmentedImage:
    """An image at one size, flipped or not, and the windows that it is cut into."""

    pixels: Tensor
    """uint8 (3, height, width)"""
    window: tuple[int, int] | None = None
    """Height and width; None takes the whole image at once."""
    overlap: float = 0.0
    """Share of a window that the next one covers again."""
    flipped: bool = False
    """Whether left and right are exchanged before the network, and back after it."""

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
        """Windows from left to right; those of a flipped image begin at the right of the original."""
        along = spans(self.width, self.window[1] if self.window else self.width, self.overlap)
        return [(self.width - stop, self.width - start) for start, stop in reversed(along)] if self.flipped else along

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


def shares(windows: list[Span], augmented: int, image: int) -> list[float]:
    """For each pixel along one side of an image, what each of the windows that cover it counts: all make 1.

    Args:
        windows: along that side of an augmented image.
        augmented: length of the side there.
        image: and in the image.
    """
    covered = [0] * image
    for window in windows:
        start, stop = pixels_within(window, augmented, image)
        for pixel in range(start, stop):
            covered[pixel] += 1
    return [1 / count for count in covered]


def pixels_within(window: Span, augmented: int, image: int) -> Span:
    """The pixels of the image whose centres lie in a window; windows that meet leave out none, and share none."""
    start, stop = (math.ceil(border * image / augmented - 0.5) for border in window)
    return start, stop


def values_per_cell(model: UperNet) -> int:
    """Numbers that a network holds at its peak, for each cell of the finest map."""
    return _WIDTHS * model.config.channels + _BACKBONE_WIDTHS * model.backbone.channels[0]


def pixels_per_cell(model: UperNet) -> int:
    """How many pixels a cell of the finest map stands for, along a side."""
    backbone = model.config.backbone
    return backbone.patch_size if isinstance(backbone, SwinConfig) else _PIXELS_PER_CELL


def bytes_of_whole_images(
    sizes: Sequence[tuple[int, int]], *, values_per_cell: int, pixels_per_cell: int, num_classes: int
) -> int:
    """The most that is kept at once without windows: all of the largest augmented image, the logits of the others.

    Args:
        sizes: heights and widths of the augmented images.
        values_per_cell: of the network.
        pixels_per_cell: of the network.
        num_classes: K.
    """
    cells = [height * width / pixels_per_cell**2 for height, width in sizes]
    return int(4 * (max(cells) * values_per_cell + sum(cells) * num_classes))

"""Which part of an image is shown in training, and how large: drawn for many images at once, before any is decoded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np

from attnkit.data.detection.image_sizes import padded
from attnkit.structures.arrays import FloatArray, IntArray

CHANCES = 7
"""Numbers from 0 up to 1 that are drawn for an image."""


class Views(NamedTuple):
    """What is shown of N images."""

    windows: IntArray
    """(N, 4) x1 y1 x2 y2 of a part, in the image's pixels."""
    sizes: IntArray
    """(N, 2) what the part is brought to."""


class Resizing(ABC):
    """A way to draw views."""

    @abstractmethod
    def views(self, sizes: IntArray, chances: FloatArray) -> Views:
        """What is shown.

        Args:
            sizes: (N, 2) of the images.
            chances: (N, CHANCES) what decides.
        """

    def padded(self, shown: IntArray) -> IntArray:
        """(N, 2) what views of these sizes (N, 2) are padded to, each for itself."""
        return padded(shown)

    @abstractmethod
    def most_pixels(self, sizes: IntArray) -> IntArray:
        """(N,) the most that an image may have when it is shown, with its padding.

        Args:
            sizes: (N, 2) of the images.
        """


def drawn_number(chances: FloatArray, counts: IntArray | int) -> IntArray:
    """A number from 0 up to each count, all alike in probability; counts and chances are of one shape."""
    return (chances * counts).astype(np.int64)


def window_before(starts: IntArray, sides: IntArray, resized: IntArray, sizes: IntArray) -> IntArray:
    """Where a part of a resized image lies in the image itself, to the nearest pixel.

    So a part is resized once, from the image's own pixels, though it was chosen in another size.

    Args:
        starts: (N, 2) its first row and column, in the resized image.
        sides: (N, 2) its height and width there.
        resized: (N, 2) size of the resized image.
        sizes: (N, 2) of the image itself.

    Returns:
        (N, 4) x1 y1 x2 y2, at least a pixel wide and high.
    """
    scales = sizes / resized
    first = np.minimum((starts * scales + 0.5).astype(np.int64), sizes - 1)
    last = np.maximum(((starts + sides) * scales + 0.5).astype(np.int64), first + 1)
    return np.concatenate([first[:, ::-1], last[:, ::-1]], axis=1)

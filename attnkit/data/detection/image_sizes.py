"""Sizes of the images that a detector is shown: all are (height, width), in pixels."""

from __future__ import annotations

import numpy as np

from attnkit.data.detection.config import DetectionImageConfig
from attnkit.structures.arrays import FloatArray, IntArray, Size

STRIDE = 32
"""Pixels per cell of a backbone's last map."""


def padded(sizes: IntArray) -> IntArray:
    """Sides, of any shape, with what is added to make them multiples of STRIDE."""
    return -(-sizes // STRIDE) * STRIDE


def brought_to(sizes: IntArray | FloatArray, short_sides: IntArray | int, long_side: int) -> IntArray:
    """The sizes (N, 2) that images are brought to, their ratios kept.

    Args:
        sizes: (N, 2) of the images; only their ratios count.
        short_sides: the shorter side, or (N,) those of each.
        long_side: most that the longer side may become; the shorter one is smaller then.
    """
    scales = np.minimum(short_sides / sizes.min(1), long_side / sizes.max(1))
    return rounded(sizes * scales[:, None])


def rounded(sizes: FloatArray) -> IntArray:
    """To whole pixels, halves up; at least one."""
    return np.maximum(1, (sizes + 0.5).astype(np.int64))


def object_size(size: Size, image: DetectionImageConfig) -> Size:
    """The size that an image is brought to when it is not varied.

    Args:
        size: of the image.
        image: which sides to bring it to.
    """
    height, width = brought_to(np.array([size]), image.short_side, image.long_side)[0].tolist()
    return height, width

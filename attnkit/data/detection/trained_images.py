"""Which images of a set a detector learns from, and their sizes: before any is decoded."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from attnkit.data.detection.detection_set import DetectionSet
from attnkit.data.formats.annotations import Annotation
from attnkit.data.formats.outlines import is_outline
from attnkit.errors import DataError
from attnkit.structures.arrays import IntArray, Size

_MOST_NAMED = 10


def trained_images(data: DetectionSet, warn: Callable[[str], None] | None) -> tuple[IntArray, IntArray]:
    """The images that have an object to be learned: no crowd, a pixel wide and high at least, not without an outline.

    An outline counts where the set has masks.

    Args:
        data: the training set.
        warn: told of each image whose size or annotations cannot be read; it is left out.

    Returns:
        (N,) their numbers, and (N, 2) their heights and widths.

    Raises:
        DataError: there are none.
    """
    indices, sizes, broken = [], [], []
    for index in range(len(data)):
        try:
            size = data.size(index)
            learned = any(_is_learned(one, size, masks=data.has_masks) for one in data.annotations(index))
        except DataError as error:
            broken.append(str(error))
            continue
        if learned:
            indices.append(index)
            sizes.append(size)
    if not indices:
        raise DataError("\n".join(broken[:_MOST_NAMED]) if len(broken) == len(data) else _nothing(data))
    if warn is not None:
        for message in broken:
            warn(f"{message}; it is left out")
    return np.array(indices, dtype=np.int64), np.array(sizes, dtype=np.int64)


def _is_learned(annotation: Annotation, size: Size, *, masks: bool) -> bool:
    """By its box, where it has one; an outline alone is not drawn to know."""
    if annotation.crowd or (masks and not is_outline(annotation.outline)):
        return False
    if annotation.box is None:
        return True
    (x1, y1, x2, y2), (height, width) = annotation.box, size
    return min(x2, width) - max(x1, 0) >= 1 and min(y2, height) - max(y1, 0) >= 1


def _nothing(data: DetectionSet) -> str:
    return (
        f"{data.annotation_place(0)}: no object to be learned, nor in any of the {len(data)} training images; expected "
        "boxes of a pixel or more that are no crowds; correct the annotations"
    )

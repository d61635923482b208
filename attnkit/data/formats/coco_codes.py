"""The outlines that COCO's json gives an object: polygons, and both kinds of run-length codes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle

from attnkit.structures.run_lengths import Code, decode_counts

LEAST_COORDINATES = 6
"""Of a polygon: what has fewer has no area, and four would be taken for a box."""
_FARTHEST = 1e6
"""Pixels that a coordinate may have: the lines between them are walked step by step."""


_LEAST_OUTLINED = 0.9
"""Share of objects with an outline from which on a set has masks: those without one are background in its training."""


def is_outline(segmentation: Any) -> bool:
    """Whether there is something to draw: None, [] and [[]] stand for an object that has but a box.

    So do polygons of too few corners; what is no polygon at all is told when it is drawn.
    """
    if not isinstance(segmentation, list):
        return bool(segmentation)
    return any(not isinstance(one, list) or len(one) >= LEAST_COORDINATES for one in segmentation)


def short_polygon(segmentation: Any) -> int:
    """How many numbers the longest polygon has where all have too few; else 0."""
    if not isinstance(segmentation, list) or is_outline(segmentation):
        return 0
    return max(map(len, segmentation), default=0)


def are_masks(outlined: int, objects: int) -> bool:
    """Whether a set has masks: at least nine tenths of its objects have an outline.

    Args:
        outlined: objects with an outline, without crowds.
        objects: all objects, without crowds.
    """
    return objects > 0 and outlined >= _LEAST_OUTLINED * objects


def runs_of(segmentation: Any, height: int, width: int) -> NDArray[np.int64]:
    """Lengths of runs outside and inside of an object by turns, column by column; they cover the whole image.

    Args:
        segmentation: polygons, or a code whose counts are a list or a string.
        height: of the image.
        width: of the image.

    Raises:
        ValueError, TypeError, KeyError, IndexError, AttributeError: it is none of these, or is of another size.
    """
    if isinstance(segmentation, list):
        code = _code_of_polygons(segmentation, height, width)
        return np.array([height * width]) if code is None else decode_counts(code["counts"])
    if segmentation is None:
        raise ValueError("there is none")
    if list(segmentation["size"]) != [height, width]:
        raise ValueError(f"its size is {segmentation['size']}")
    if isinstance(segmentation["counts"], list):
        runs = _int64(segmentation["counts"])
    else:
        runs = decode_counts(segmentation["counts"])
    pixels = height * width
    if runs.min(initial=0) < 0 or runs.max(initial=0) > pixels or runs.sum() != pixels:
        raise ValueError(f"its runs cover {sum(runs.tolist())} pixels")  # of Python's numbers, which do not overflow
    return runs


def code_of(segmentation: Any, height: int, width: int) -> Code:
    """A compressed run-length code, as pycocotools has it: size, and counts that are bytes or text.

    Args:
        segmentation: as in `runs_of`; of nothing where it is None, or of polygons without area.
        height: of the image.
        width: of the image.

    Raises:
        ValueError, TypeError, KeyError, IndexError, AttributeError: as in `runs_of`.
    """
    if isinstance(segmentation, list) and (code := _code_of_polygons(segmentation, height, width)) is not None:
        return code
    runs = np.array([height * width]) if segmentation is None else runs_of(segmentation, height, width)
    if isinstance(segmentation, dict) and not isinstance(segmentation["counts"], list):
        return {"size": [height, width], "counts": segmentation["counts"]}
    coded: Code = rle.frPyObjects({"size": [height, width], "counts": runs.tolist()}, height, width)
    return coded


def _code_of_polygons(polygons: Sequence[Any], height: int, width: int) -> Code | None:
    """What any of them covers; None if none has an area."""
    polygons = [polygon for polygon in polygons if len(polygon) >= LEAST_COORDINATES]
    if not polygons:
        return None
    for polygon in polygons:
        if not _is_near(polygon):
            raise ValueError(f"a coordinate is not within {_FARTHEST:.0f} pixels")
    merged: Code = rle.merge(rle.frPyObjects(polygons, height, width))
    return merged


def _is_near(polygon: Sequence[float]) -> bool:
    try:
        return bool((np.abs(np.asarray(polygon, dtype=np.float64)) <= _FARTHEST).all())  # false of NaN
    except OverflowError:
        return False


def _int64(counts: Sequence[int]) -> NDArray[np.int64]:
    try:
        return np.array(counts, dtype=np.int64)
    except OverflowError as error:
        raise ValueError("a run has over 64 bits") from error

"""What the data check knows of the objects of a split, a row each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attnkit.data.formats.annotations import Annotation
from attnkit.data.formats.outlines import is_outline, short_polygon
from attnkit.structures.arrays import IntArray
from attnkit.structures.objects import Objects

_NEAR = 5.0
"""Pixels that the edges of two boxes may be apart to be alike."""

_Floats = NDArray[np.float64]
_Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class SeenObjects:
    """R objects in the order of their images."""

    images: IntArray
    """(R,) which image each is on."""
    numbers: IntArray
    """(R,) which object of that image."""
    labels: IntArray
    boxes: _Floats
    """(R, 4) x1 y1 x2 y2, as annotated."""
    image_sizes: _Floats
    """(R, 2) height and width of its image."""
    areas: _Floats
    """(R,) as annotated; NaN where it is not said."""
    crowd: _Bools
    outlined: _Bools
    short_polygons: IntArray
    """(R,) numbers of its longest polygon, where each has too few to be an outline; else 0."""
    mask_areas: _Floats
    """(R,) NaN where no mask was drawn."""
    overlaps: _Floats
    """(R,) IoU of the box and the one around the mask; NaN where the two are alike, or one is empty."""

    def clipped(self) -> _Floats:
        """(R, 4) the boxes inside of their images."""
        limits = self.image_sizes[:, [1, 0, 1, 0]]
        return np.clip(self.boxes, 0, limits)

    def box_areas(self) -> _Floats:
        """(R,) of the boxes inside of their images."""
        return areas_of(self.clipped())

    def sizes(self) -> _Floats:
        """(R,) the areas by which scores tell small from large."""
        drawn = np.where(self.mask_areas > 0, self.mask_areas, self.box_areas())
        return np.where(np.isnan(self.areas), drawn, self.areas)


def seen_on(
    index: int, annotations: Sequence[Annotation], boxes: _Floats, size: tuple[int, int], drawn: Objects | None
) -> SeenObjects:
    """The objects of one image.

    Args:
        index: of the image.
        annotations: R of them, as they are written.
        boxes: (R, 4) as annotated.
        size: H, W of the image.
        drawn: the same with masks; None where they were not drawn.
    """
    count = len(annotations)
    masks = None if drawn is None else drawn.masks
    seen = SeenObjects(
        images=np.full(count, index, dtype=np.int64),
        numbers=np.arange(count),
        labels=np.array([one.label for one in annotations], dtype=np.int64),
        boxes=boxes,
        image_sizes=np.tile(np.array(size, dtype=np.float64), (count, 1)),
        areas=np.array([np.nan if one.area is None else one.area for one in annotations], dtype=np.float64),
        crowd=np.array([one.crowd for one in annotations], dtype=np.bool_),
        outlined=np.array([is_outline(one.outline) for one in annotations], dtype=np.bool_),
        short_polygons=np.array([short_polygon(one.outline) for one in annotations], dtype=np.int64),
        mask_areas=np.full(count, np.nan) if masks is None else masks.areas().numpy().astype(np.float64),
        overlaps=np.full(count, np.nan),
    )
    if masks is not None:
        seen.overlaps[:] = _overlaps(seen.clipped(), masks.boxes().numpy().astype(np.float64))
    return seen


def _overlaps(boxes: _Floats, others: _Floats) -> _Floats:
    """IoU of pairs of boxes; NaN where one of them is empty, or their edges are near."""
    both = np.concatenate([np.maximum(boxes[:, :2], others[:, :2]), np.minimum(boxes[:, 2:], others[:, 2:])], axis=1)
    shared, first, second = areas_of(both), areas_of(boxes), areas_of(others)
    known = (first > 0) & (second > 0) & (abs(boxes - others).max(1, initial=0) > _NEAR)
    return np.where(known, shared / np.where(known, first + second - shared, 1.0), np.nan)


def areas_of(boxes: _Floats) -> _Floats:
    """(R,) of boxes (R, 4); nothing where corners are exchanged."""
    areas: _Floats = np.maximum(boxes[:, 2:] - boxes[:, :2], 0).prod(1)
    return areas

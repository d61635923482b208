"""The objects of one image as COCO's scores see them: what is there, what was found, and how they overlap.

Letters: G objects, D detections.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from pycocotools import mask

from attnkit.structures.arrays import BoolArray, FloatArray, IntArray

Kind = Literal["box", "mask"]
"""What is compared."""
Rle: TypeAlias = dict[str, Any]
"""A compressed run-length code as pycocotools has it: size, and counts as bytes."""
_CODES = 255
"""That pycocotools takes the areas of at a time: it counts them in eight bits."""


@dataclass(frozen=True, kw_only=True)
class ImageTruth:
    """What is on an image."""

    xywh: FloatArray
    """(G, 4) boxes: left, top, width and height in pixels, as in COCO's files."""
    labels: IntArray
    """(G,) classes, from 0."""
    areas: FloatArray
    """(G,) as annotated: they say which objects are small; COCO's are those of the masks, for boxes too."""
    crowd: BoolArray
    """(G,) regions of many objects: any number of detections inside is neither right nor wrong."""
    difficult: BoolArray | None = None
    """(G,) single objects that need not be found: what finds them is neither right nor wrong (Pascal VOC)."""
    rles: Sequence[Rle] | None = None
    """The G masks."""

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, kw_only=True)
class ImageFound:
    """What was found on an image, in any order."""

    xywh: FloatArray
    """(D, 4) boxes, as those of what is there."""
    scores: FloatArray
    """(D,) the higher, the surer."""
    labels: IntArray
    """(D,) classes, from 0."""
    rles: Sequence[Rle] | None = None
    """The D masks."""

    def __len__(self) -> int:
        return len(self.labels)


def best_of_each_class(found: ImageFound, most: int) -> tuple[IntArray, IntArray]:
    """The detections that count: of each class so many, by score, of equal ones the earlier first.

    Returns:
        Their rows, class by class with the surest first, and the place of each among those of its class, from 0.
    """
    order = np.lexsort((-found.scores, found.labels))
    labels = found.labels[order]
    places = np.arange(len(order)) - np.searchsorted(labels, labels)
    kept = places < most
    return order[kept], places[kept]


def areas_of(found: ImageFound, rows: IntArray, kind: Kind) -> FloatArray:
    """(D',) pixels of some detections, by their boxes or their masks."""
    if kind == "box":
        widths_and_heights = found.xywh[rows, 2:]
        areas: FloatArray = widths_and_heights[:, 0] * widths_and_heights[:, 1]
        return areas
    assert found.rles is not None, "checked before"
    areas = np.zeros(len(rows))
    for first in range(0, len(rows), _CODES):
        some = rows[first : first + _CODES]
        areas[first : first + _CODES] = mask.area([found.rles[row] for row in some])
    return areas


def overlaps(found: ImageFound, rows: IntArray, truth: ImageTruth, kind: Kind) -> FloatArray:
    """(D', G) intersection over union of some detections with all objects.

    Over a crowd the intersection is divided by the area of the detection alone.
    """
    if not len(rows) or not len(truth):
        return np.zeros((len(rows), len(truth)))
    if kind == "box":
        pairs = mask.iou(found.xywh[rows], truth.xywh, truth.crowd)
    else:
        assert found.rles is not None, "checked before"
        assert truth.rles is not None, "checked before"
        pairs = mask.iou([found.rles[row] for row in rows], list(truth.rles), truth.crowd)
    return np.asarray(pairs, dtype=np.float64)

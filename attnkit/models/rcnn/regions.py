"""Which regions of an image a stage learns from.

Letters: R regions, P those on an object.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from attnkit.models.rcnn.matching import match
from attnkit.models.rcnn.sampling import sample
from attnkit.structures.objects import Objects

_POSITIVE = 0.25
"""Most of the regions that may be on objects."""


@dataclass(frozen=True)
class Regions:
    """The regions of one image; those on objects come first."""

    boxes: Float[Tensor, "R 4"]
    labels: Int64[Tensor, "R"]
    """Of the object of each; K where there is none."""
    objects: Int64[Tensor, "P"]
    """Which object each of the first P is on."""
    given: Bool[Tensor, "R"]
    """Those that are boxes of objects themselves."""


def draw_regions(
    proposals: Float[Tensor, "_N 4"],
    objects: Objects,
    *,
    iou_threshold: float,
    count: int,
    background: int,
) -> Regions:
    """Some of the proposals and of the objects' own boxes, at random.

    Args:
        proposals: boxes inside the image.
        objects: what is there.
        iou_threshold: what a region must overlap to be on an object.
        count: regions at most, a quarter of them on objects.
        background: K.
    """
    boxes = torch.cat([objects.boxes, proposals])
    matches = match(boxes, objects.boxes, positive=iou_threshold, negative=iou_threshold)  # (objects + N,)
    on, off = sample(matches, count=count, positive=_POSITIVE)
    chosen = torch.cat([on, off])
    labels = torch.cat([objects.labels[matches[on]], torch.full_like(off, background)])
    return Regions(boxes[chosen], labels, matches[on], chosen < len(objects))

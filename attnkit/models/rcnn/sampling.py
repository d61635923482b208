"""Which boxes the losses look at: each is matched with the object that it overlaps (Girshick et al. 2014,
arXiv:1311.2524; Ren et al. 2015, arXiv:1506.01497), and few of them are sampled, so that the negatives do not drown the
positives (Girshick 2015, arXiv:1504.08083).

Letters: R boxes, G objects, P positives or pairs of a box and an object, Q negatives.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torchvision.ops import box_iou

from attnkit.structures.objects import Objects

NEGATIVE = -1
"""Of no object."""
BETWEEN = -2
"""Of an object in part: neither to be learned as one nor as none."""


def match(
    boxes: Float[Tensor, "R 4"],
    objects: Float[Tensor, "G 4"],
    *,
    positive: float,
    negative: float,
    low_quality: float | None = None,
) -> Int64[Tensor, "R"]:
    """The number of the object that each box is of, or NEGATIVE, or BETWEEN.

    Args:
        boxes: any.
        objects: what is there.
        positive: the IoU from which on a box is of the object that it overlaps most.
        negative: the IoU under which it is of none.
        low_quality: the boxes that overlap an object most are of it even with an IoU below `positive`, down to this;
            None: only what is above is positive.
    """
    ious = box_iou(boxes, objects)  # (R, G)
    box, of = torch.nonzero(ious >= _least(negative, low_quality), as_tuple=True)
    return _assigned(ious[box, of], box, of, ious.shape, positive, negative, low_quality)


def match_pairs(
    boxes: Float[Tensor, "R 4"],
    objects: Float[Tensor, "G 4"],
    pairs: tuple[Int64[Tensor, "P"], Int64[Tensor, "P"]],
    *,
    positive: float,
    negative: float,
    low_quality: float | None = None,
) -> Int64[Tensor, "R"]:
    """The same, where there are too many boxes to look at every pair.

    Args:
        boxes: any.
        objects: what is there.
        pairs: numbers of boxes and of objects; all pairs with an IoU of `negative` and `low_quality` or more are there.
        positive: as in `match`.
        negative: as in `match`.
        low_quality: as in `match`.
    """
    box, of = pairs
    ious = _paired_iou(boxes[box], objects[of])
    near = ious >= _least(negative, low_quality)
    shape = torch.Size([len(boxes), len(objects)])
    return _assigned(ious[near], box[near], of[near], shape, positive, negative, low_quality)


def _least(negative: float, low_quality: float | None) -> float:
    return negative if low_quality is None else min(negative, low_quality)


def _assigned(
    ious: Float[Tensor, "P"],
    box: Int64[Tensor, "P"],
    of: Int64[Tensor, "P"],
    shape: torch.Size,
    positive: float,
    negative: float,
    low_quality: float | None,
) -> Int64[Tensor, "R"]:
    """Matches from the pairs that overlap. Of equally good objects a box takes the first one; of objects that want the
    same box for being their best, the last one has it, as in mmdetection."""
    boxes, objects = shape
    best = ious.new_zeros(boxes).scatter_reduce(0, box, ious, "amax")
    matches = torch.where(best < negative, NEGATIVE, BETWEEN)
    is_best = (ious == best[box]) & (ious >= positive)
    first = torch.full_like(matches, objects).scatter_reduce(0, box[is_best], of[is_best], "amin")
    matches = torch.where(first < objects, first, matches)
    if low_quality is None:
        return matches
    best = ious.new_zeros(objects).scatter_reduce(0, of, ious, "amax")
    is_best = (ious == best[of]) & (ious >= low_quality)
    last = torch.full_like(matches, NEGATIVE).scatter_reduce(0, box[is_best], of[is_best], "amax")
    return torch.where(last >= 0, last, matches)


def _paired_iou(boxes: Float[Tensor, "P 4"], objects: Float[Tensor, "P 4"]) -> Float[Tensor, "P"]:
    low, high = torch.maximum(boxes[:, :2], objects[:, :2]), torch.minimum(boxes[:, 2:], objects[:, 2:])
    shared = (high - low).clamp(min=0).prod(dim=1)
    areas = ((corners[:, 2:] - corners[:, :2]).prod(dim=1) for corners in (boxes, objects))
    return shared / (sum(areas) - shared)


def sample(
    matches: Int64[Tensor, "R"], *, count: int, positive: float
) -> tuple[Int64[Tensor, "P"], Int64[Tensor, "Q"]]:
    """Numbers of positive and of negative boxes, sampled by torch's global generator.

    Args:
        matches: the object of each box, see matching.py.
        count: of boxes, or all if there are fewer.
        positive: the largest share of positives; negatives make up for what is missing.
    """
    positives = _sample((matches >= 0).nonzero()[:, 0], int(count * positive))
    negatives = _sample((matches == NEGATIVE).nonzero()[:, 0], count - len(positives))
    return positives, negatives


def _sample(numbers: Tensor, count: int) -> Tensor:
    return numbers[torch.randperm(len(numbers), device=numbers.device)[:count]]


_POSITIVE = 0.25
"""Most of the regions that may be on objects."""


@dataclass(frozen=True)
class SampledProposals:
    """The regions of one image that a stage learns from; those on objects come first."""

    boxes: Float[Tensor, "R 4"]
    labels: Int64[Tensor, "R"]
    """Of the object of each; K where there is none."""
    objects: Int64[Tensor, "P"]
    """Which object each of the first P is on."""
    is_gt: Bool[Tensor, "R"]
    """Those that are boxes of objects themselves."""


def sample_proposals(
    proposals: Float[Tensor, "_N 4"],
    objects: Objects,
    *,
    iou_threshold: float,
    count: int,
    background: int,
) -> SampledProposals:
    """Sample among the proposals and the boxes of the objects themselves.

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
    return SampledProposals(boxes[chosen], labels, matches[on], chosen < len(objects))

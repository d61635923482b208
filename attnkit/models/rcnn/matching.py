"""Which object each box is of, by their overlap (Girshick et al. 2014, arXiv:1311.2524; Ren et al. 2015,
arXiv:1506.01497).

Letters: R boxes, G objects, P pairs of a box and an object.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torchvision.ops import box_iou

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
    areas = ((some[:, 2:] - some[:, :2]).prod(dim=1) for some in (boxes, objects))
    return shared / (sum(areas) - shared)

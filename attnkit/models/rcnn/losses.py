"""The losses of the heads of a detector. Means are mmdetection's: over all regions of the batch, also those without an
object; of masks over the cells of the regions with one.

Letters: R regions, P those on an object, K classes, M cells of a mask's side.
"""

from collections.abc import Sequence

from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import generalized_box_iou_loss

from attnkit.structures.boxes import decode_boxes, encode_boxes

GIOU_WEIGHT = 10.0
"""Of the loss of overlaps: with it its gradients are about those of the offsets."""


def class_loss(logits: Float[Tensor, "R K1"], labels: Int64[Tensor, "R"]) -> Float[Tensor, ""]:
    """Cross entropy; 0 without any region."""
    return F.cross_entropy(logits, labels, reduction="sum") / max(1, len(labels))


def box_loss(
    deltas: Float[Tensor, "P 4"],
    boxes: Float[Tensor, "P 4"],
    targets: Float[Tensor, "P 4"],
    *,
    stds: Sequence[float],
    giou: bool,
    count: int,
) -> Float[Tensor, ""]:
    """Of the offsets of the regions on objects, or of where these lead to.

    Args:
        deltas: of the class of each region's object.
        boxes: of the regions.
        targets: the boxes of their objects.
        stds: of the offsets.
        giou: ten times 1 minus the generalised IoU of the boxes, in place of the distance of the offsets.
        count: all regions of the batch, which the sum is divided by.
    """
    if giou:
        moved = decode_boxes(deltas, boxes, stds=stds)
        return GIOU_WEIGHT * generalized_box_iou_loss(moved, targets, reduction="sum") / max(1, count)
    return F.l1_loss(deltas, encode_boxes(targets, boxes, stds=stds), reduction="sum") / max(1, count)


def mask_loss(logits: Float[Tensor, "P M M"], targets: Float[Tensor, "P M M"]) -> Float[Tensor, ""]:
    """Binary cross entropy of the cells of the own class; 0 without any region."""
    total = F.binary_cross_entropy_with_logits(logits, targets, reduction="sum")
    return total / max(1, targets.numel())

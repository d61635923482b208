"""Which of the boxes that a detector gives are kept: non-maximum suppression within each class.

Letters: R regions, K classes, N candidates, D detections.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torchvision.ops import batched_nms, box_iou, nms

Postprocessed = tuple[Float[Tensor, "D 4"], Float[Tensor, "D"], Int64[Tensor, "D"]]
"""Boxes, scores and labels, best first."""


def postprocess(
    boxes: Float[Tensor, "R K 4"],
    probs: Float[Tensor, "R K1"],
    *,
    score_threshold: float,
    nms_threshold: float,
    soft_nms: bool,
    max_detections: int,
) -> Postprocessed:
    """The detections of an image.

    Args:
        boxes: where each region is, by class.
        probs: of the K classes and, last, the background.
        score_threshold: a region is a candidate for each class of more than this probability.
        nms_threshold: two boxes of a class that overlap more than this (intersection over union) are one object.
        soft_nms: the lower one stays then, with its score times 1 minus the overlap (Bodla et al. 2017,
            arXiv:1704.04503, equation 2), while that is above the score threshold.
        max_detections: over all classes.
    """
    scores, every_box = probs[:, :-1], boxes
    region, labels = torch.nonzero(scores > score_threshold, as_tuple=True)
    boxes, scores = boxes[region, labels], scores[region, labels]  # (N, 4), (N,)
    solid = ((boxes[:, 2:] > boxes[:, :2]).all(dim=1)).nonzero()[:, 0]  # a box beside the image was cut to nothing
    boxes, scores, labels = boxes[solid], scores[solid], labels[solid]
    if soft_nms:
        kept, scores = _soft_nms(
            boxes, scores, labels, score_threshold=score_threshold, nms_threshold=nms_threshold, most=max_detections
        )
        return boxes[kept], scores, labels[kept]
    if torch.compiler.is_exporting():  # no choice by the number of candidates, such as batched_nms makes
        apart = boxes + labels.unsqueeze(1) * (every_box.max() + 1)
        kept = nms(apart, scores, nms_threshold)[:max_detections]
    else:
        kept = batched_nms(boxes, scores, labels, nms_threshold)[:max_detections]
    return boxes[kept], scores[kept], labels[kept]


def _soft_nms(
    boxes: Float[Tensor, "N 4"],
    scores: Float[Tensor, "N"],
    labels: Int64[Tensor, "N"],
    *,
    score_threshold: float,
    nms_threshold: float,
    most: int,
) -> tuple[Int64[Tensor, "D"], Float[Tensor, "D"]]:
    """Which candidates are kept, and their scores.

    The best of all classes together is taken each time, so no more rounds are needed than detections are wanted: scores
    only fall, and what is taken later is never better.
    """
    scores = scores.clone()
    kept: list[Tensor] = []
    kept_scores: list[Tensor] = []
    for _ in range(min(most, len(scores))):
        score, best = scores.max(dim=0)
        if score <= score_threshold:
            break
        kept.append(best)
        kept_scores.append(score)
        overlap = box_iou(boxes[best].unsqueeze(0), boxes)[0]
        rivals = (labels == labels[best]) & (overlap > nms_threshold)
        scores = torch.where(rivals, scores * (1.0 - overlap), scores)
        scores[best] = -1.0
    if not kept:
        return labels.new_zeros(0), scores.new_zeros(0)
    return torch.stack(kept), torch.stack(kept_scores)

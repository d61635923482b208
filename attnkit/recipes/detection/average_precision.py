"""COCO's average precision of boxes and masks: the score of a detector, and the form in which it takes objects.

Letters: R objects or detections, H W pixels of the image.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from attnkit.data.detection.detection_batches import DetectionBatch
from attnkit.data.detection.detection_set import DetectionSet
from attnkit.metrics.coco_ap import CocoAp
from attnkit.structures.arrays import FloatArray
from attnkit.structures.detections import Detections
from attnkit.structures.image_objects import ImageFound, ImageTruth, Kind
from attnkit.structures.objects import Objects

_KEPT = ("AP", "AP50", "AP75")
"""Of COCO's scores while a detector is trained; `attnkit evaluate` has them all."""


class AveragePrecision:
    """Average precision over ten overlaps, at 0.5 and at 0.75, in percent; of all objects in the pixels of the files.

    It is COCO's, but for `max_detections`: as many as the detector gives.
    """

    def __init__(self, num_classes: int, *, masks: bool, max_detections: int, mask_threshold: float) -> None:
        """Begin with no image.

        Args:
            num_classes: K.
            masks: whether masks are scored beside boxes.
            max_detections: most of a class on an image that count.
            mask_threshold: a pixel belongs to an object from this probability on.
        """
        kinds: tuple[Kind, ...] = ("box", "mask") if masks else ("box",)
        self._scores = {kind: CocoAp(num_classes, kind, max_detections) for kind in kinds}
        self._mask_threshold = mask_threshold if masks else None

    def update(self, batch: DetectionBatch, predictions: Sequence[Detections]) -> None:
        """Take what was found on the images of a batch, in the pixels of their files. Of equal scores that on the image
        comes first that does so in the data: see `by_image_id`.
        """
        rows = zip(batch.indices.tolist(), batch.objects, batch.originals, predictions, strict=True)
        for index, objects, size, found in rows:
            truth = truth_of(objects, masks=self._mask_threshold is not None)
            detected = found_of(found, size, mask_threshold=self._mask_threshold)
            for score in self._scores.values():
                score.add(truth, detected, image_id=index)

    def compute(self) -> dict[str, float]:
        """The scores by name: box_ap, box_ap50, box_ap75, and the same of masks. All are 0 where nothing is there to
        be found, for the loop to compare.
        """
        scores: dict[str, float] = {}
        for kind, score in self._scores.items():
            means = score.compute(resamples=0).means
            for name in _KEPT:
                value = means[name].value
                scores[f"{kind}_{name.lower()}"] = 0.0 if math.isnan(value) else value
        return scores


def by_image_id(images: DetectionSet) -> DetectionSet:
    """The same images in the order of their ids: there scores are pycocotools' where several detections' are equal."""
    rows = sorted(range(len(images)), key=images.image_id)
    return images.select(np.array(rows, dtype=np.int64))


def truth_of(objects: Objects, *, masks: bool) -> ImageTruth:
    """What is on an image.

    Args:
        objects: all of them, crowds too, in the pixels of the file.
        masks: whether masks are scored; they have to be there then.
    """
    if masks and objects.masks is None:
        raise ValueError("objects: they have boxes alone; expected masks")
    return ImageTruth(
        xywh=xywh(objects.boxes),
        labels=objects.labels.cpu().numpy(),
        areas=objects.areas.cpu().double().numpy(),
        crowd=objects.crowd.cpu().numpy(),
        difficult=None if objects.difficult is None else objects.difficult.cpu().numpy(),
        rles=objects.masks.rle() if masks and objects.masks is not None else None,
    )


def found_of(found: Detections, size: tuple[int, int], *, mask_threshold: float | None) -> ImageFound:
    """What was found on an image.

    Args:
        found: in the pixels of the file.
        size: H, W.
        mask_threshold: a pixel belongs to an object from this probability on; None leaves masks out.
    """
    return ImageFound(
        xywh=xywh(found.boxes),
        scores=found.scores.cpu().double().numpy(),
        labels=found.labels.cpu().numpy(),
        rles=None if mask_threshold is None else mask_codes(found, size, mask_threshold),
    )


def xywh(boxes: Tensor) -> FloatArray:
    """(R, 4) left, top, width and height of boxes, as in COCO's files."""
    corners: FloatArray = boxes.cpu().double().numpy()
    return np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)


def mask_codes(found: Detections, size: tuple[int, int], threshold: float) -> list[dict[str, Any]]:
    """The run-length code of each mask, made one after the other: many large ones would not fit into memory.

    Args:
        found: in the pixels of the file.
        size: H, W.
        threshold: a pixel belongs to an object from this probability on.
    """
    found = found.to("cpu")
    return [code for row in range(len(found)) for code in found[row : row + 1].masks(size, threshold).rle()]

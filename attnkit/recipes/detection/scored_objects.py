"""What is on an image and what was found there, in the form in which COCO's scores take them.

Letters: R objects or detections, H W pixels of the image.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from attnkit.data.detection.detection_set import DetectionSet
from attnkit.structures.detections import Detections
from attnkit.structures.image_objects import ImageFound, ImageTruth
from attnkit.structures.objects import Objects


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


def xywh(boxes: Tensor) -> NDArray[np.float64]:
    """(R, 4) left, top, width and height of boxes, as in COCO's files."""
    corners: NDArray[np.float64] = boxes.cpu().double().numpy()
    return np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)


def mask_codes(found: Detections, size: tuple[int, int], threshold: float) -> list[dict[str, Any]]:
    """The run-length code of each mask. One is drawn after the other: large ones of a large image would not fit.

    Args:
        found: in the pixels of the file.
        size: H, W.
        threshold: a pixel belongs to an object from this probability on.
    """
    found = found.to("cpu")
    return [code for row in range(len(found)) for code in found[row : row + 1].masks(size, threshold).rle()]

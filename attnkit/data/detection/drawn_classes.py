"""What the semantic branch of HTC learns where the data has no maps: the classes of the objects' own masks."""

from __future__ import annotations

import torch
from torch import Tensor

from attnkit.structures.arrays import IGNORE
from attnkit.structures.objects import Objects


def drawn_classes(objects: Objects, *, background: int) -> Tensor:
    """The class of each pixel by the masks that lie on it, the smallest on top; IGNORE where that is a crowd's.

    Args:
        objects: of an image, with masks.
        background: the class of a pixel without a mask, below IGNORE.

    Returns:
        (H, W) uint8.
    """
    masks = objects.masks
    assert masks is not None, "whoever asks for this has seen to it"
    classes = torch.full(masks.size, background, dtype=torch.uint8)
    values = torch.where(objects.crowd, IGNORE, objects.labels).tolist()
    crops, windows = masks.crops(), masks.windows.tolist()
    for number in masks.areas().argsort(descending=True, stable=True).tolist():
        x1, y1, x2, y2 = windows[number]
        classes[y1:y2, x1:x2].masked_fill_(crops[number].bool(), values[number])
    return classes

"""What the semantic branch of HTC learns where the data has no maps: the classes of the objects' own masks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from attnkit.structures.objects import Objects

IGNORE = 255
"""A pixel that is not looked at."""


def maps_of_instances(
    objects: Sequence[Objects], sizes: Sequence[tuple[int, int]], *, padded: tuple[int, int], background: int
) -> Tensor:
    """The class of each pixel by the masks that lie on it, the smallest on top.

    Args:
        objects: of each image, with masks.
        sizes: height and width of each image.
        padded: height and width of the batch; what is no image is ignored.
        background: the class of a pixel without a mask.

    Returns:
        (B, H, W) uint8.
    """
    maps = torch.full((len(objects), *padded), IGNORE, dtype=torch.uint8)
    for drawn, of_image, (height, width) in zip(maps, objects, sizes, strict=True):
        drawn[:height, :width] = background
        masks = of_image.masks
        assert masks is not None
        for index in masks.areas().argsort(descending=True).tolist():
            drawn[:height, :width][masks.bitmap(index)] = int(of_image.labels[index])
    return maps

"""What HTC's semantic branch learns: maps with a class per pixel that lie beside the annotations, as COCO's
stuffthingmaps do, or else the classes of the objects' own masks.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attnkit.data.data_root import Files
from attnkit.data.images.decode import as_numbers, decode_mask
from attnkit.data.images.named_files import find_image
from attnkit.errors import DataError
from attnkit.structures.arrays import IGNORE
from attnkit.structures.objects import Objects


@dataclass(frozen=True)
class SemanticMaps:
    """A PNG per image, named as it is."""

    files: Files
    num_classes: int

    def read(self, image_name: str, size: tuple[int, int]) -> NDArray[np.uint8]:
        """The map of an image, (H, W), with IGNORE.

        Raises:
            DataError: it is missing or broken, of another size, or has other classes.
        """
        name = f"{os.path.splitext(image_name)[0]}.png"
        number = find_image(self.files, name)
        if number is None:
            raise DataError(
                f"{self.files.place}: has no {name}; expected a map for each training image; copy it again, or correct "
                "data.train.semantic"
            )
        place = self.files.tree.place(number)
        values = as_numbers(decode_mask(self.files.tree.read(number), place))
        if values.shape != size:
            found = " x ".join(map(str, values.shape))
            raise DataError(
                f"{place}: values of {found}; expected one for each of {size[0]} x {size[1]}; make it again"
            )
        self._check(values, place)
        return values.astype(np.uint8)

    def _check(self, values: NDArray[np.generic], place: str) -> None:
        found = np.unique(values)
        others = [int(value) for value in found.tolist() if value >= self.num_classes and value != IGNORE]
        if others:
            raise DataError(
                f"{place}: pixel value {others[0]} of no class; expected 0 to {self.num_classes - 1}, or {IGNORE} for "
                "none; correct data.semantic_classes, or make it again"
            )


def draw_classes(objects: Objects, *, background: int) -> Tensor:
    """The class of each pixel by the masks that lie on it, the smallest on top; IGNORE where that is a crowd's.

    Args:
        objects: of an image, with masks.
        background: the class of a pixel without a mask, below IGNORE.

    Returns:
        (H, W) uint8.
    """
    masks = objects.masks
    assert masks is not None, "checked by the caller"
    classes = torch.full(masks.size, background, dtype=torch.uint8)
    values = torch.where(objects.crowd, IGNORE, objects.labels).tolist()
    crops, windows = masks.crops(), masks.windows.tolist()
    for number in masks.areas().argsort(descending=True, stable=True).tolist():
        x1, y1, x2, y2 = windows[number]
        classes[y1:y2, x1:x2].masked_fill_(crops[number].bool(), values[number])
    return classes

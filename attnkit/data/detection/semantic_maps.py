"""PNGs with a class per pixel that lie beside annotations of objects, as COCO's stuffthingmaps do."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attnkit.data.data_root import Files
from attnkit.data.images.named_files import find_image
from attnkit.data.segmentation.mask_image import as_numbers, decode_mask
from attnkit.errors import DataError
from attnkit.structures.arrays import IGNORE


@dataclass(frozen=True)
class SemanticMaps:
    """A PNG per image, named as it is."""

    files: Files
    num_classes: int

    def read(self, image_name: str, size: tuple[int, int]) -> NDArray[np.uint8]:
        """The map of an image, (H, W), with IGNORE.

        Args:
            image_name: the path of the image below its folder.
            size: H, W of the image.

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
            raise DataError(f"{place}: values of {found}; expected one for each of {size[0]} x {size[1]}; make it anew")
        self._check(values, place)
        return values.astype(np.uint8)

    def _check(self, values: NDArray[np.generic], place: str) -> None:
        found = np.unique(values)
        others = [int(value) for value in found.tolist() if value >= self.num_classes and value != IGNORE]
        if others:
            raise DataError(
                f"{place}: pixel value {others[0]} of no class; expected 0 to {self.num_classes - 1}, or {IGNORE} for "
                "none; correct data.semantic_classes, or make it anew"
            )

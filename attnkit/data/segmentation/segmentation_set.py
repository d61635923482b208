"""Images with a class for each pixel, by number, wherever they come from."""

from abc import abstractmethod

import numpy as np
import torch
from torch import Tensor

from attnkit.data.formats.annotations import check_names
from attnkit.data.formats.mask_png import MOST_CLASSES, palette
from attnkit.data.images.numbered_images import NumberedImages
from attnkit.data.images.shapes import CLASS_NAMES, GeneratedScenes, ShapesImage
from attnkit.errors import DataError
from attnkit.structures.arrays import ByteArray, IntArray

LabelMap = ByteArray
"""(H, W), numbers of classes or IGNORE."""


class SegmentationSet(NumberedImages):
    """N images, each pixel of one of K classes, or of none."""

    class_names: tuple[str, ...]
    colours: ByteArray
    """(K, 3), red, green and blue, of the data where it has any."""

    @abstractmethod
    def mask_place(self, index: int) -> str:
        """What to call its mask."""

    @abstractmethod
    def name(self, index: int) -> str:
        """The name of its file, without the ending."""

    @abstractmethod
    def read(self, index: int) -> tuple[Tensor, Tensor]:
        """One image, uint8 (3, H, W), red, green and blue; and its labels, uint8 (H, W), with IGNORE.

        Raises:
            DataError: one of the two is broken, or their sizes differ; the message names the file.
        """

    @abstractmethod
    def read_labels(self, index: int) -> LabelMap:
        """The labels alone, as `read` gives them.

        Raises:
            DataError: they are broken, or do not have the size of the image.
        """

    @abstractmethod
    def size(self, index: int) -> tuple[int, int]:
        """Height and width as the headers of the files have them, of the stored pixels; no pixel is decoded.

        Raises:
            DataError: a header is broken, or the sizes of image and labels differ.
        """


def check_classes(names: tuple[str, ...], place: str) -> None:
    """Refuse class names that are not distinct, and more classes than a label map has numbers for.

    Raises:
        DataError: there are none, too many, or two of one name.
    """
    if not 0 < len(names) <= MOST_CLASSES:
        raise DataError(
            f"{place}: {len(names)} classes; expected 1 to {MOST_CLASSES}; correct data.classes, data.ignore or the "
            "masks"
        )
    check_names(names, place)


def pixels_per_class(labels: LabelMap, num_classes: int) -> IntArray:
    """How many pixels of a label map each class has: (K,) int64; IGNORE is left out."""
    counts: IntArray = np.bincount(labels.ravel(), minlength=256)[:num_classes]
    return counts


class SegmentationShapes(GeneratedScenes, SegmentationSet):
    """Generated images of several shapes, each pixel labelled."""

    class_names = ("background", *CLASS_NAMES)
    colours = palette(len(class_names))

    def mask_place(self, index: int) -> str:
        """The same as of the image."""
        return self.place(index)

    def read(self, index: int) -> tuple[Tensor, Tensor]:
        """Draw one image."""
        drawn = self._draw(index)
        return torch.from_numpy(drawn.image), torch.from_numpy(_label_map(drawn))

    def read_labels(self, index: int) -> LabelMap:
        """Draw one image; only its labels are given."""
        return _label_map(self._draw(index))


def _label_map(drawn: ShapesImage) -> LabelMap:
    """0 is the background; the visible parts of shapes do not overlap."""
    labels: LabelMap = (drawn.masks * (drawn.labels[:, None, None] + 1)).sum(0).astype(np.uint8)
    return labels

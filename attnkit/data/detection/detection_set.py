"""Images with objects, by number, wherever they come from."""

from abc import abstractmethod

import numpy as np
import torch
from torch import Tensor

from attnkit.data.formats.annotations import Annotation
from attnkit.data.images.numbered_images import NumberedImages
from attnkit.data.images.shapes import CLASS_NAMES, GeneratedScenes, ShapesImage
from attnkit.structures.arrays import Size
from attnkit.structures.masks import Masks
from attnkit.structures.objects import Objects


class DetectionSet(NumberedImages):
    """N images, each with any number of objects of K classes."""

    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]
    """What the classes are called in a json of results."""
    has_masks: bool
    """Whether objects have masks. One that has none itself has an empty mask then."""
    masks_wanted: bool = True
    """False: the recipe leaves outlines out, where there are any."""
    semantic_classes: int | None
    """Of the maps that `read_semantic` gives; None where there are none."""

    @abstractmethod
    def annotation_place(self, index: int) -> str:
        """What to call its annotations."""

    @abstractmethod
    def name(self, index: int) -> str:
        """The name of its file, without the ending."""

    @abstractmethod
    def image_id(self, index: int) -> int:
        """What an image is called in a json of results."""

    @abstractmethod
    def size(self, index: int) -> Size:
        """Height and width of what `read` gives, from wherever they are known soonest; no pixel is decoded.

        Raises:
            DataError: they are known from the file's header alone, and that is broken.
        """

    @abstractmethod
    def header_size(self, index: int) -> Size:
        """The same, checked against the header of the image's file.

        Raises:
            DataError: it is broken, or the annotations are for another size.
        """

    @abstractmethod
    def read(self, index: int) -> tuple[Tensor, Objects]:
        """One image, uint8 (3, H, W), red, green and blue; and all that is annotated on it, in its pixels.

        Boxes are clipped to the image; what lay outside has no area.

        Raises:
            DataError: one of the two is broken, or they do not fit; the message names the file.
        """

    @abstractmethod
    def read_objects(self, index: int) -> Objects:
        """The objects alone, as `read` gives them; no pixel is decoded.

        Raises:
            DataError: they are broken.
        """

    @abstractmethod
    def annotations(self, index: int) -> list[Annotation]:
        """The objects as they are written down.

        Raises:
            DataError: they cannot be read.
        """

    @abstractmethod
    def read_semantic(self, index: int) -> Tensor | None:
        """A class per pixel, uint8 (H, W), 255 where there is none; None where the data has no such maps.

        Raises:
            DataError: it is missing or broken, or does not fit.
        """


class DetectionShapes(GeneratedScenes, DetectionSet):
    """Generated images of several shapes, with their boxes and masks."""

    class_names = CLASS_NAMES
    category_ids = tuple(range(1, len(CLASS_NAMES) + 1))
    has_masks = True
    semantic_classes = None

    def annotation_place(self, index: int) -> str:
        """The same as of the image."""
        return self.place(index)

    def image_id(self, index: int) -> int:
        """The number."""
        return int(self._rows[index]) + 1

    def header_size(self, index: int) -> Size:
        """The same of every image."""
        return self.size(index)

    def read(self, index: int) -> tuple[Tensor, Objects]:
        """Draw one image."""
        drawn = self._draw(index)
        return torch.from_numpy(drawn.image), _objects(drawn)

    def read_objects(self, index: int) -> Objects:
        """Draw one image; only its shapes are given."""
        return _objects(self._draw(index))

    def annotations(self, index: int) -> list[Annotation]:
        """The shapes as they would be written down."""
        objects = self.read_objects(index)
        assert objects.masks is not None
        rows = zip(
            objects.labels.tolist(), objects.boxes.tolist(), objects.areas.tolist(), objects.masks.rle(), strict=True
        )
        return [
            Annotation(label, str(row), (x1, y1, x2, y2), outline, area)
            for row, (label, (x1, y1, x2, y2), area, outline) in enumerate(rows, start=1)
        ]

    def read_semantic(self, index: int) -> Tensor | None:
        """None: the classes of the shapes are all there is."""
        return None


def _objects(drawn: ShapesImage) -> Objects:
    return Objects(
        boxes=torch.from_numpy(drawn.boxes),
        labels=torch.from_numpy(drawn.labels),
        areas=torch.from_numpy(drawn.masks.sum((1, 2)).astype(np.float32)),
        crowd=torch.zeros(len(drawn.labels), dtype=torch.bool),
        masks=Masks.from_bitmaps(torch.from_numpy(drawn.masks)),
    )

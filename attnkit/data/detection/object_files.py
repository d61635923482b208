"""Images in files with their annotations, made into boxes and masks when an image is read; and maps of every pixel."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pycocotools import mask as rle
from torch import Tensor

from attnkit.data.data_root import Files, find_image
from attnkit.data.detection.detection_set import DetectionSet
from attnkit.data.formats.annotations import AnnotatedImages, Annotation, Box
from attnkit.data.formats.coco_fields import NOT_DRAWN
from attnkit.data.formats.outlines import code_of, is_outline
from attnkit.data.images.decode import as_numbers, decode_image, decode_mask, stored_and_seen
from attnkit.errors import DataError
from attnkit.structures.arrays import IGNORE, ByteArray, IntArray, Size
from attnkit.structures.boxes import box_areas
from attnkit.structures.masks import Masks
from attnkit.structures.objects import Objects
from attnkit.structures.run_lengths import Code


class ObjectFiles(DetectionSet):
    """Images and annotations that are decoded when they are read.

    Where the annotations give the size that they are for, it decides whether they are for the pixels as they are stored
    or for the image as its EXIF data turns it, and the image is read that way; for the stored pixels where both have
    that size, as in COCO.
    """

    def __init__(self, images: AnnotatedImages, *, semantic: "SemanticMaps | None" = None) -> None:
        self.images, self._semantic, self._left_out = images, semantic, images.left_out
        self.source, self.rows = images.annotations, images.rows
        """The annotations, and (N,) the row of each image there."""
        self.tree, self.numbers = images.tree, images.numbers
        """Where the images are, and (N,) the number of each there."""
        self.class_names, self.category_ids = self.source.class_names, self.source.category_ids
        self.has_masks, self.masks_wanted = self.source.has_masks, self.source.masks_wanted
        self.semantic_classes = None if semantic is None else semantic.num_classes

    def __len__(self) -> int:
        return len(self.rows)

    def place(self, index: int) -> str:
        """Its file, or archive and member."""
        return self.tree.place(int(self.numbers[index]))

    def annotation_place(self, index: int) -> str:
        """Its file, and which image there, if it is of several."""
        return self.source.place(int(self.rows[index]))

    def name(self, index: int) -> str:
        """The name of its file, without folder and ending."""
        return os.path.splitext(self.tree.names[int(self.numbers[index])].rpartition("/")[2])[0]

    def image_id(self, index: int) -> int:
        """As the annotations have it."""
        return self.source.image_id(int(self.rows[index]))

    def size(self, index: int) -> Size:
        """As the annotations give it, or else the header of the file."""
        return self.source.size(int(self.rows[index])) or self.header_size(index)

    def header_size(self, index: int) -> Size:
        """As the header of the file gives it."""
        return self._size_and_turn(index, self.tree.source(int(self.numbers[index])))[0]

    def read(self, index: int) -> tuple[Tensor, Objects]:
        """Decode one image, and draw its objects."""
        content = self.tree.read(int(self.numbers[index]))
        size, turned = self._size_and_turn(index, content)
        return decode_image(content, self.place(index), turned=turned), self._objects(index, size)

    def read_objects(self, index: int) -> Objects:
        """Draw the objects of one image."""
        return self._objects(index, self.size(index))

    def annotations(self, index: int) -> list[Annotation]:
        """What is written about one image."""
        return self.source.read(int(self.rows[index]), self.size(index))

    def read_semantic(self, index: int) -> Tensor | None:
        """Decode the map of one image."""
        if self._semantic is None:
            return None
        labels = self._semantic.read(self.source.image_name(int(self.rows[index])), self.size(index))
        return torch.from_numpy(labels)

    def select(self, rows: IntArray) -> "ObjectFiles":
        """Some of the images."""
        images = replace(self.images, numbers=self.numbers[rows], rows=self.rows[rows])
        return ObjectFiles(images, semantic=self._semantic)

    def _objects(self, index: int, size: Size) -> Objects:
        return objects_of(
            self.source.read(int(self.rows[index]), size),
            size,
            masks=self.has_masks,
            difficult=self.source.has_difficult,
            place=self.annotation_place(index),
        )

    def _size_and_turn(self, index: int, source: Path | bytes) -> tuple[Size, bool]:
        """Height and width that boxes are for, and whether the EXIF data is to be followed."""
        stored, turned = stored_and_seen(source, self.place(index))
        size = self.source.size(int(self.rows[index]))
        if size is None:
            return turned, True
        if size == stored:
            return stored, False
        if size == turned:
            return turned, True
        raise DataError(
            f"{self.annotation_place(index)}: for {size[1]} x {size[0]} pixels, but its image {self.place(index)} has "
            f"{stored[1]} x {stored[0]}; expected the same size; correct the annotations, or remove the image"
        )


def objects_of(annotations: Sequence[Annotation], size: Size, *, masks: bool, difficult: bool, place: str) -> Objects:
    """What is on an image. Boxes are clipped to it, and may be left empty; an object without outline has an empty mask.

    Args:
        masks: whether outlines are drawn.
        difficult: whether the data has that word.

    Raises:
        DataError: an outline cannot be drawn, or a box is none.
    """
    drawn = Masks.from_rle([_code(one, size, place) for one in annotations], size) if masks else None
    raw = [box_of(one, size, place) for one in annotations]
    boxes = _clipped(torch.tensor(raw, dtype=torch.float32).view(-1, 4), size)
    areas = box_areas(boxes)
    if drawn is not None:
        areas = torch.where(drawn.areas() > 0, drawn.areas(), areas)
    given = torch.tensor([math.nan if one.area is None else one.area for one in annotations], dtype=torch.float32)
    return Objects(
        boxes=boxes,
        labels=torch.tensor([one.label for one in annotations], dtype=torch.int64),
        areas=torch.where(given.isnan(), areas, given),
        crowd=torch.tensor([one.crowd for one in annotations], dtype=torch.bool),
        masks=drawn,
        difficult=torch.tensor([one.difficult for one in annotations], dtype=torch.bool) if difficult else None,
    )


def box_of(annotation: Annotation, size: Size, place: str) -> Box:
    """The box of an object, or that of its outline where there is none; not clipped.

    Raises:
        DataError: it has neither, or not four finite numbers.
    """
    if annotation.box is None and is_outline(annotation.outline):
        x, y, width, height = rle.toBbox(_code(annotation, size, place)).tolist()
        return x, y, x + width, y + height
    box = annotation.box
    if box is None or not all(map(math.isfinite, box)):
        raise DataError(
            f"{place}: object {annotation.id} has {'no box' if box is None else f'the box {list(box)}'}; expected four "
            "numbers, or an outline; fix the file"
        )
    return box


def _code(annotation: Annotation, size: Size, place: str) -> Code:
    try:
        return code_of(annotation.outline or None, *size)
    except NOT_DRAWN as error:
        raise DataError(
            f"{place}: the outline of object {annotation.id} cannot be drawn ({type(error).__name__}: {error}); "
            f"expected polygons, or a run-length code of {size[0]} x {size[1]}; fix the file"
        ) from error


def _clipped(boxes: Tensor, size: Size) -> Tensor:
    """What lies outside is left without width or height."""
    height, width = size
    first = torch.minimum(boxes[:, :2].clamp(min=0), boxes.new_tensor([width, height]))
    last = torch.minimum(boxes[:, 2:].clamp(min=0), boxes.new_tensor([width, height]))
    return torch.cat([first, torch.maximum(first, last)], dim=1)


@dataclass(frozen=True)
class SemanticMaps:
    """A PNG per image, named as it is."""

    files: Files
    num_classes: int

    def read(self, image_name: str, size: tuple[int, int]) -> ByteArray:
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

"""What a new detection recipe is sized by: how many objects somebody's images have, and how large both are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from attnkit.data.detection.object_files import ObjectFiles, box_of
from attnkit.data.formats.annotations import Annotation, Box
from attnkit.data.formats.outlines import is_outline
from attnkit.errors import DataError
from attnkit.new_recipe.image_recipe import sample
from attnkit.structures.arrays import IntArray, Size

_MOST_FILES = 50_000
"""Files of annotations that are read to count objects, evenly chosen; a json is read whole in any case."""
_ANY_SIZE = (1 << 16, 1 << 16)
"""Stands in for what annotations do not say, so that no image is opened: YOLO's shares of it are the same."""


@dataclass(frozen=True)
class Counts:
    """The objects of a split, by its annotations alone; crowds, and what lies outside of its image, are none."""

    images: IntArray
    """(N,) those that were counted."""
    objects: IntArray
    """(N,) of each."""
    of_classes: tuple[int, ...]
    """Of all N."""
    outlined: int
    """Objects with an outline, of all N."""
    broken: int
    """How many more have annotations that cannot be read."""


@dataclass(frozen=True)
class Look:
    """Sizes on some of the images that have objects."""

    sizes: list[Size]
    box_sides: list[float]
    """Root of the area of each box over the shorter side of its image."""
    looked_at: int
    broken: int


def count_objects(images: ObjectFiles, *, whole: bool) -> Counts:
    """Count the objects of every image; of very many, on some that are evenly chosen.

    Args:
        images: of a split.
        whole: they are of one file, so that none need be left out.

    Raises:
        DataError: the annotations of no image can be read.
    """
    counted: list[tuple[int, int]] = []
    of_classes, outlined, errors = np.zeros(len(images.class_names), dtype=np.int64), 0, []
    for index in sample(len(images), len(images) if whole else _MOST_FILES):
        try:
            objects = _objects(images, index)
        except DataError as error:
            errors.append(error)
            continue
        counted.append((index, len(objects)))
        np.add.at(of_classes, [one.label for one in objects], 1)
        outlined += sum(is_outline(one.outline) for one in objects)
    if not counted:
        raise errors[0]
    indices, counts = np.array(counted).T
    return Counts(indices, counts, tuple(of_classes.tolist()), outlined, broken=len(errors))


def _objects(images: ObjectFiles, index: int) -> list[Annotation]:
    """What counts on an image."""
    row, place = int(images.rows[index]), images.annotation_place(index)
    size = images.source.size(row) or _ANY_SIZE
    return [one for one in images.source.read(row, size) if _counts(one, box_of(one, size, place), size)]


def _counts(annotation: Annotation, box: Box, size: Size) -> bool:
    """Whether it is an object that can be found."""
    (x1, y1, x2, y2), (height, width) = box, size
    return not annotation.crowd and min(x2, width) > max(x1, 0) and min(y2, height) > max(y1, 0)


def look_at(images: ObjectFiles, chosen: Sequence[int]) -> Look:
    """See how large some images are, and the boxes on them.

    Args:
        images: of a split.
        chosen: which of them.

    Raises:
        DataError: none can be read, or no box is inside of its image.
    """
    errors = []
    sizes: list[Size] = []
    sides: list[float] = []
    for index in chosen:
        try:
            size, objects = images.header_size(index), images.read_objects(index)
        except DataError as error:
            errors.append(error)
            continue
        width, height = (objects.boxes[:, 2:] - objects.boxes[:, :2]).T
        real = ~objects.crowd & (width * height > 0)
        sizes.append(size)
        sides += ((width * height)[real].sqrt() / min(size)).tolist()
    if not sizes:
        raise errors[0]
    if not sides:
        raise _without_objects(images, len(sizes))
    return Look(sizes, sides, looked_at=len(chosen), broken=len(errors))


def some_with_objects(images: ObjectFiles, counts: Counts) -> list[int]:
    """Some of the images that have objects, evenly chosen: no other is trained on.

    Raises:
        DataError: there is none.
    """
    there = counts.images[counts.objects > 0]
    if not len(there):
        raise _without_objects(images, len(counts.images))
    return there[sample(len(there))].tolist()


def _without_objects(images: ObjectFiles, looked_at: int) -> DataError:
    return DataError(
        f"{images.annotation_place(0)}: no object on {looked_at:,} images looked at; expected boxes of the objects; "
        "correct the annotations, or the path"
    )

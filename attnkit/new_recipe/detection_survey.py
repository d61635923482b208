"""What a new detection recipe is sized by: how many objects somebody's images have, and how large both are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from attnkit.data.detection.object_files import ObjectFiles, box_of
from attnkit.data.formats.annotations import Annotation, Box
from attnkit.data.formats.outlines import is_outline
from attnkit.errors import DataError
from attnkit.new_recipe.detection_size import ObjectSurvey
from attnkit.new_recipe.sizing import sample
from attnkit.structures.arrays import IntArray, Size

MOST_FILES = 50_000
"""Files of annotations that are read to count objects, evenly spread; a json is always read whole."""
_ANY_SIZE = (1 << 16, 1 << 16)
"""Stands in for what annotations do not say, so that no image is opened: YOLO's shares of it are the same."""


@dataclass(frozen=True)
class ObjectCounts:
    """The objects of a split, from its annotations alone, without crowds and what lies outside of its image."""

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
class SampledSizes:
    """Sizes of a sample of the images that have objects, and of the boxes on them."""

    sizes: list[Size]
    box_sides: list[float]
    """Root of the area of each box over the shorter side of its image."""
    sampled: int
    broken: int


def survey_objects(
    path: str,
    parts: tuple[ObjectFiles, ObjectFiles | None, ObjectFiles | None],
    counts: ObjectCounts,
    sizes: SampledSizes,
    *,
    whole: bool,
) -> ObjectSurvey:
    """What counts and sizes say about all images.

    Args:
        path: what the user named.
        parts: training, validation and test images.
        counts: of the training images.
        sizes: of some of them.
        whole: the annotations of a part are one file.
    """
    train, valid, test = parts
    all_counts = [counts, *(count_objects(part, whole=whole) for part in (valid, test) if part is not None)]
    sides = np.sort(np.array(sizes.sizes), axis=1)
    quarter, half, most = np.quantile(sizes.box_sides, (0.25, 0.5, 0.9)).tolist()
    return ObjectSurvey(
        path=path,
        train=len(train),
        valid=0 if valid is None else len(valid),
        test=0 if test is None else len(test),
        with_objects=float(np.mean(counts.objects > 0)),
        num_classes=len(train.class_names),
        masks=train.has_masks,
        outlined=counts.outlined / int(counts.objects.sum()),
        side=round(float(np.median(sides[:, 0]))),
        ratio=float(np.quantile(sides[:, 1] / sides[:, 0], 0.9)),
        objects=float(np.mean(counts.objects)),
        most_objects=max(int(part.objects.max()) for part in all_counts),
        box_sides=(quarter, half, most),
    )


def count_objects(images: ObjectFiles, *, whole: bool) -> ObjectCounts:
    """Count the objects of every image; of very many images, on an even sample.

    Args:
        images: of a split.
        whole: the annotations are one file, so that none need be left out.

    Raises:
        DataError: the annotations of no image can be read.
    """
    counted: list[tuple[int, int]] = []
    of_classes, outlined, errors = np.zeros(len(images.class_names), dtype=np.int64), 0, []
    for index in sample(len(images), len(images) if whole else MOST_FILES):
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
    return ObjectCounts(indices, counts, tuple(of_classes.tolist()), outlined, broken=len(errors))


def _objects(images: ObjectFiles, index: int) -> list[Annotation]:
    """The objects of an image that count."""
    row, place = int(images.rows[index]), images.annotation_place(index)
    size = images.source.size(row) or _ANY_SIZE
    return [one for one in images.source.read(row, size) if _counts(one, box_of(one, size, place), size)]


def _counts(annotation: Annotation, box: Box, size: Size) -> bool:
    """Whether it is an object that can be found."""
    (x1, y1, x2, y2), (height, width) = box, size
    return not annotation.crowd and min(x2, width) > max(x1, 0) and min(y2, height) > max(y1, 0)


def sample_sizes(images: ObjectFiles, chosen: Sequence[int]) -> SampledSizes:
    """Read how large some images are, and the boxes on them.

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
    return SampledSizes(sizes, sides, sampled=len(chosen), broken=len(errors))


def sample_with_objects(images: ObjectFiles, counts: ObjectCounts) -> list[int]:
    """An even sample of the images that have objects: no other is trained on.

    Raises:
        DataError: there is none.
    """
    there = counts.images[counts.objects > 0]
    if not len(there):
        raise _without_objects(images, len(counts.images))
    return there[sample(len(there))].tolist()


def _without_objects(images: ObjectFiles, sampled: int) -> DataError:
    return DataError(
        f"{images.annotation_place(0)}: no object on {sampled:,} images; expected boxes of the objects; "
        "correct the annotations, or the path"
    )

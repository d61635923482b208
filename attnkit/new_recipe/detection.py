"""A detection recipe for somebody's own images and objects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from attnkit.data.detection.detection_set import DetectionSet
from attnkit.data.detection.object_files import ObjectFiles, box_of
from attnkit.data.finding import listed
from attnkit.data.formats.annotations import Annotation, Box
from attnkit.data.formats.outlines import is_outline
from attnkit.data.open import OpenedData
from attnkit.errors import DataError
from attnkit.models.rcnn.config import MaskRcnnConfig
from attnkit.new_recipe.detection_size import FEW_IMAGES, ObjectSurvey, size_recipe
from attnkit.new_recipe.networks import SWIN_KEYS
from attnkit.new_recipe.own_data import OwnData
from attnkit.new_recipe.recipe_text import NewRecipe, init_comment, write_recipe
from attnkit.new_recipe.sizing import SAMPLE, few_images, read_each, refuse_too_few, sample, this_machine, why_held_back
from attnkit.new_recipe.speed import detector_speed
from attnkit.structures.arrays import IntArray, Size

MOST_FILES = 50_000
_ANY_SIZE = (1 << 16, 1 << 16)
"""Stands in for what annotations do not say, so that no image is opened: YOLO's shares of it are the same."""
FEWEST_IMAGES = 10
_SHOWN = (
    *("augment.flip", "inference.max_detections", "model.channels", "model.rpn.anchor_scale"),
    *("model.rpn.train_proposals", "model.rpn.proposals", "model.box_head.channels", "model.box_head.samples"),
    *("model.mask_head.convs", "model.mask_head.channels"),
    *(f"model.backbone.{key}" for key in SWIN_KEYS),
    "train.optimizer.weight_decay",
)


def new_detection(
    given: str,
    config: OwnData,
    *,
    output: Path,
    name: str,
    side: int | None = None,
    minutes: float | None = None,
    samples: int = SAMPLE,
    most_files: int = MOST_FILES,
) -> NewRecipe:
    """Write a recipe sized to images with objects, and to this machine.

    Args:
        given: what the user named, for people.
        config: where images and objects are; nothing is held back, so that all images are surveyed.
        output: the recipe's file.
        name: of the recipe.
        side: pixels of the shorter side that images are resized to; None chooses.
        minutes: of training; None is an hour on processor cores, and twelve on a GPU.
        samples: images with objects that are opened to learn sizes.
        most_files: of annotations, that are read to count objects, evenly spread; a json is always read whole.

    Raises:
        DataError: images and objects are missing, do not belong together, or are too few.
    """
    train, valid, test = (_files(images) for images in OpenedData(config).values())
    assert train is not None, "nothing is held back"
    what = "training images with annotations"
    refuse_too_few(given, len(train), least=FEWEST_IMAGES, what=what, hundreds="for a useful model")
    counts, *others = (
        _count_objects(part, len(part) if config.format == "coco" else most_files)
        for part in (train, valid, test)
        if part is not None
    )
    sizes = _sample_sizes(train, _sample_with_objects(train, counts, samples))
    survey = _survey(given, (train, valid, test), [counts, *others], sizes)
    machine = this_machine()

    def speed(model: MaskRcnnConfig, size: Size) -> float:
        return detector_speed(model, size, num_classes=survey.num_classes, masks=survey.masks)

    sized = size_recipe(name, config, survey, machine, speed, minutes=machine.minutes(minutes), side=side)
    reasons = (
        *_what_was_found(survey, config, train, counts, sizes),
        *why_held_back(survey.held_back, "the images", together="equal images stay together"),
        *sized.reasons,
    )
    comments = init_comment("model or backbone", lr="1e-4")
    warnings = _warnings(train, survey, counts, sizes, output)
    return write_recipe(output, sized.recipe, reasons, warnings, shown=_SHOWN, comments=comments)


def _files(images: DetectionSet | None) -> ObjectFiles | None:
    assert images is None or isinstance(images, ObjectFiles), "somebody's own data are files"
    return images


def _what_was_found(
    survey: ObjectSurvey, config: OwnData, train: ObjectFiles, counts: ObjectCounts, sizes: SampledSizes
) -> tuple[str, ...]:
    kind = {"coco": "COCO's json", "yolo": "YOLO's labels", "voc": "Pascal VOC's xml"}[config.format]
    classes = [f"{name} {count:,}" for name, count in zip(train.class_names, counts.of_classes, strict=True)]
    lines = (
        f"{survey.path}: {kind}, {survey.counts} {'with' if survey.masks else 'without'} masks",
        f"classes: {len(classes):,}, as the data names them, and their objects in training: {listed(classes)}",
    )
    if sizes.sampled < np.count_nonzero(counts.objects):
        counted = f"{len(counts.images):,} images" if len(counts.images) < len(train) else "all images"
        sampled = f"sizes are those of {sizes.sampled:,} images with objects, evenly spread"
        return (*lines, f"sampled: objects are counted on {counted}; {sampled}")
    return lines


def _warnings(
    train: ObjectFiles, survey: ObjectSurvey, counts: ObjectCounts, sizes: SampledSizes, output: Path
) -> Iterator[str]:
    path, see, counted = survey.path, f"see attnkit data check {output}", len(counts.images)
    yield from map(str, train.left_out())
    if counts.broken:
        total = counted + counts.broken
        yield f"{path}: the annotations of {counts.broken:,} of {total:,} images cannot be read; {see}"
    if sizes.broken:
        yield (
            f"{path}: {sizes.broken} of {sizes.sampled} sampled images, or their annotations, are broken or do not "
            f"fit; {see}"
        )
    absent = [name for name, count in zip(train.class_names, counts.of_classes, strict=True) if not count]
    if absent:
        yield f"{path}: no object of {listed(absent)} on {counted:,} images; expected every class in training; {see}"
    yield from few_images(path, len(train), few=FEW_IMAGES)


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


def _survey(
    path: str,
    parts: tuple[ObjectFiles, ObjectFiles | None, ObjectFiles | None],
    all_counts: Sequence[ObjectCounts],
    sizes: SampledSizes,
) -> ObjectSurvey:
    """What counts and sizes of training images say about all, and counts of the others."""
    (train, valid, test), counts = parts, all_counts[0]
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


def _count_objects(images: ObjectFiles, most: int) -> ObjectCounts:
    """Count the objects of every image; of very many images, on an even sample."""

    def count(index: int) -> tuple[int, list[int], int]:
        objects = _objects(images, index)
        return index, [one.label for one in objects], sum(is_outline(one.outline) for one in objects)

    counted, broken = read_each(sample(len(images), most), count)
    indices, labels, outlined = zip(*counted, strict=True)
    of_classes = np.zeros(len(images.class_names), dtype=np.int64)
    np.add.at(of_classes, [label for own in labels for label in own], 1)
    objects = np.array([len(own) for own in labels])
    return ObjectCounts(np.array(indices), objects, tuple(of_classes.tolist()), sum(outlined), broken)


def _objects(images: ObjectFiles, index: int) -> list[Annotation]:
    """The objects of an image that count."""
    row, place = int(images.rows[index]), images.annotation_place(index)
    size = images.source.size(row) or _ANY_SIZE
    annotations = images.source.read(row, size)
    return [one for one in annotations if not one.crowd and _is_inside(box_of(one, size, place), size)]


def _is_inside(box: Box, size: Size) -> bool:
    (x1, y1, x2, y2), (height, width) = box, size
    return min(x2, width) > max(x1, 0) and min(y2, height) > max(y1, 0)


def _sample_sizes(images: ObjectFiles, chosen: Sequence[int]) -> SampledSizes:
    """Read how large some images are, and the boxes on them."""
    found, broken = read_each(chosen, lambda index: _size_and_box_sides(images, index))
    sizes, sides = [size for size, _ in found], [side for _, own in found for side in own]
    if not sides:
        raise _without_objects(images, len(sizes))
    return SampledSizes(sizes, sides, sampled=len(chosen), broken=broken)


def _size_and_box_sides(images: ObjectFiles, index: int) -> tuple[Size, list[float]]:
    size, objects = images.header_size(index), images.read_objects(index)
    width, height = (objects.boxes[:, 2:] - objects.boxes[:, :2]).T
    real = ~objects.crowd & (width * height > 0)
    return size, ((width * height)[real].sqrt() / min(size)).tolist()


def _sample_with_objects(images: ObjectFiles, counts: ObjectCounts, samples: int) -> list[int]:
    """An even sample of the images that have objects: no other is trained on."""
    there = counts.images[counts.objects > 0]
    if not len(there):
        raise _without_objects(images, len(counts.images))
    return there[sample(len(there), samples)].tolist()


def _without_objects(images: ObjectFiles, sampled: int) -> DataError:
    return DataError(
        f"{images.annotation_place(0)}: no object on {sampled:,} images; expected boxes of the objects; "
        "correct the annotations, or the path"
    )

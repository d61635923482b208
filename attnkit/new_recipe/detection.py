"""A detection recipe for somebody's own images and objects."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from attnkit.data.config import Split
from attnkit.data.detection.object_files import ObjectFiles
from attnkit.data.finding import listed
from attnkit.data.open import open_data
from attnkit.errors import DataError
from attnkit.models.rcnn.config import MaskRcnnConfig
from attnkit.new_recipe.detection_data import OwnData
from attnkit.new_recipe.detection_size import FEW_IMAGES, ObjectSurvey, size_recipe
from attnkit.new_recipe.detection_survey import (
    ObjectCounts,
    SampledSizes,
    count_objects,
    sample_sizes,
    sample_with_objects,
    survey_objects,
)
from attnkit.new_recipe.recipe_text import NewRecipe, refuse_to_overwrite, write_recipe
from attnkit.new_recipe.sizing import few_images, hold_back, this_machine, why_held_back
from attnkit.new_recipe.speed import detector_speed
from attnkit.structures.arrays import Size

FEWEST_IMAGES = 10
"""With fewer there is nothing to learn from, and nothing to hold back."""
_INIT = """\
To start from pretrained weights (attnkit import), uncomment this; model or backbone is then the model of their run.
Lower lr to 1e-4.
init: {from: runs/imported}"""
_SHOWN = (
    *("augment.flip", "inference.max_detections", "model.channels", "model.rpn.anchor_scale"),
    *("model.rpn.train_proposals", "model.rpn.proposals", "model.box_head.channels", "model.box_head.samples"),
    *("model.mask_head.convs", "model.mask_head.channels"),
    *(f"model.backbone.{key}" for key in ("patch_size", "embed_dim", "depths", "num_heads", "window_size")),
    *("model.backbone.drop_path_rate", "train.optimizer.weight_decay"),
)


def new_detection(
    given: str,
    config: OwnData,
    *,
    output: Path,
    name: str,
    side: int | None = None,
    minutes: float | None = None,
    force: bool = False,
) -> NewRecipe:
    """Write a recipe sized to images with objects, and to this machine.

    Args:
        given: what the user named, for people.
        config: where images and objects are; nothing is held back, so that all images are surveyed.
        output: the recipe's file.
        name: of the recipe.
        side: pixels of the shorter side that images are resized to; None chooses.
        minutes: of training; None is an hour on processor cores, and twelve on a GPU.
        force: whether the file may be overwritten.

    Raises:
        DataError: images and objects are missing, do not belong together, or are too few.
        RecipeError: the file exists already.
    """
    if not force:
        refuse_to_overwrite(output)
    train = _opened(config, "train")
    assert train is not None, "nothing is held back"
    if len(train) < FEWEST_IMAGES:
        raise DataError(
            f"{given}: {len(train)} training images with annotations are too few; expected at least {FEWEST_IMAGES}, "
            "and hundreds for a useful model; add images"
        )
    whole = config.format == "coco"
    counts = count_objects(train, whole=whole)
    sizes = sample_sizes(train, sample_with_objects(train, counts))
    parts = (train, _opened(config, "valid"), _opened(config, "test"))
    survey = survey_objects(given, parts, counts, sizes, whole=whole)
    machine = this_machine()

    def speed(model: MaskRcnnConfig, size: Size) -> float:
        return detector_speed(model, size, num_classes=survey.num_classes, masks=survey.masks)

    sized = size_recipe(name, config, survey, machine, speed, minutes=machine.minutes(minutes), side=side)
    held_back = hold_back(survey.train, survey.valid, survey.test)
    reasons = (
        *_what_was_found(survey, config, train, counts, sizes),
        *why_held_back(held_back, "the images", together="equal images stay together"),
        *sized.reasons,
    )
    write_recipe(output, sized.recipe, reasons, comments={"model": _INIT}, shown=_SHOWN)
    return NewRecipe(output, reasons, tuple(_warnings(train, survey, counts, sizes, output)))


def _opened(config: OwnData, split: Split) -> ObjectFiles | None:
    images = open_data(config, split)
    assert images is None or isinstance(images, ObjectFiles), "somebody's own data are files"
    return images


def _what_was_found(
    survey: ObjectSurvey, config: OwnData, train: ObjectFiles, counts: ObjectCounts, sizes: SampledSizes
) -> tuple[str, ...]:
    kind = {"coco": "COCO's json", "yolo": "YOLO's labels", "voc": "Pascal VOC's xml"}[config.format]
    images = f"{survey.train:,} training, {survey.valid:,} validation and {survey.test:,} test images"
    classes = [f"{name} {count:,}" for name, count in zip(train.class_names, counts.of_classes, strict=True)]
    lines = (
        f"{survey.path}: {kind}, {images} {'with' if survey.masks else 'without'} masks",
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

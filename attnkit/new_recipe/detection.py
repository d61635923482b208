"""A detection recipe for somebody's own images and objects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from attnkit.data.config import Split
from attnkit.data.data_root import listed
from attnkit.data.detection.object_files import ObjectFiles
from attnkit.data.open import open_data
from attnkit.engine.precision import autocast, find_device
from attnkit.errors import DataError
from attnkit.models.rcnn.config import MaskRcnnConfig
from attnkit.new_recipe.detection_data import OwnData
from attnkit.new_recipe.detection_look import Counts, Look, count_objects, look_at, some_with_objects
from attnkit.new_recipe.detection_size import FEW_IMAGES, Pictures, size_recipe
from attnkit.new_recipe.detection_text import recipe_text
from attnkit.new_recipe.image_recipe import NewRecipe, few_images, refuse_to_overwrite, why_held_back
from attnkit.new_recipe.sizing import this_machine
from attnkit.new_recipe.training_speed import seconds_per_step
from attnkit.run_dir import write_whole
from attnkit.structures.arrays import Size
from attnkit.structures.masks import Masks
from attnkit.structures.objects import Objects

FEWEST_IMAGES = 10
"""With fewer there is nothing to learn from, and nothing to hold back."""
_MEASURED_IMAGES = 2
_MEASURED_OBJECTS = 8


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
        config: where images and objects are; nothing is held back, for all images are to be looked at.
        output: the recipe's file.
        name: of the recipe.
        side: pixels of the shorter side that images are brought to; none chooses.
        minutes: of training; none is an hour on processor cores, and twelve on a GPU.
        force: whether the file may be written over.

    Raises:
        DataError: images and objects are missing, do not belong together, or are too few.
        RecipeError: the file is there already.
    """
    if not force:
        refuse_to_overwrite(output)
    train = _opened(config, "train")
    assert train is not None, "nothing is held back"
    if len(train) < FEWEST_IMAGES:
        raise DataError(
            f"{given}: {len(train)} training images with annotations are too few; expected {FEWEST_IMAGES} at least, "
            "and hundreds for a model worth having; add images"
        )
    counts = count_objects(train, whole=config.format == "coco")
    look = look_at(train, some_with_objects(train, counts))
    pictures = _pictures(given, config, train, counts, look)
    machine = this_machine()

    def speed(model: MaskRcnnConfig, size: Size) -> float:
        return training_speed(model, size, num_classes=pictures.num_classes, masks=pictures.masks)

    sizing = size_recipe(pictures, machine, speed, minutes=machine.minutes(minutes), side=side)
    held_back = why_held_back("the images", valid=sizing.valid_share, test=sizing.test_share)
    held_back = tuple(f"{line}; equal images stay together" for line in held_back)
    reasons = (*_what_was_found(pictures, config, train, counts, look), *held_back, *sizing.reasons)
    write_whole(output, recipe_text(name, config, sizing, reasons))
    return NewRecipe(output, reasons, _warnings(given, train, counts, look, output))


def _opened(config: OwnData, split: Split) -> ObjectFiles | None:
    images = open_data(config, split)
    assert images is None or isinstance(images, ObjectFiles), "somebody's own data are files"
    return images


def _pictures(given: str, config: OwnData, train: ObjectFiles, counts: Counts, look: Look) -> Pictures:
    """What is said of all images by those that were looked at."""
    valid, test = _opened(config, "valid"), _opened(config, "test")
    others = [count_objects(part, whole=config.format == "coco") for part in (valid, test) if part is not None]
    sides = np.sort(np.array(look.sizes), axis=1)
    quarter, half, most = np.quantile(look.box_sides, (0.25, 0.5, 0.9)).tolist()
    return Pictures(
        path=given,
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
        most_objects=max(int(one.objects.max()) for one in (counts, *others)),
        box_sides=(quarter, half, most),
    )


def training_speed(config: MaskRcnnConfig, size: Size, *, num_classes: int, masks: bool) -> float:
    """Images per second of the fastest of some training steps on random images, in the default precision."""
    device = find_device("auto")
    model = config.build(num_classes=num_classes, masks=masks).to(device).train()
    images = torch.randn(_MEASURED_IMAGES, 3, *size, device=device)
    objects = [_some_objects(size, masks=masks).to(device)] * _MEASURED_IMAGES

    def loss() -> Tensor:
        with autocast("auto", device):
            terms = model.losses(images, [size] * _MEASURED_IMAGES, objects)
        return torch.stack([term.float() for term in terms.values()]).sum()

    return _MEASURED_IMAGES / seconds_per_step(model, loss, device)


def _some_objects(size: Size, *, masks: bool) -> Objects:
    """Squares from one corner of an image to the other."""
    height, width = size
    side, last = max(1, min(size) // _MEASURED_OBJECTS), _MEASURED_OBJECTS - 1
    steps = range(_MEASURED_OBJECTS)
    starts = [(step * (width - side) // last, step * (height - side) // last) for step in steps]
    boxes = torch.tensor([[x, y, x + side, y + side] for x, y in starts], dtype=torch.float32)
    square = torch.ones(side, side, dtype=torch.uint8)
    return Objects(
        boxes=boxes,
        labels=torch.zeros(len(boxes), dtype=torch.int64),
        areas=torch.full((len(boxes),), float(side**2)),
        crowd=torch.zeros(len(boxes), dtype=torch.bool),
        masks=Masks.from_crops([(square, x, y) for x, y in starts], size) if masks else None,
    )


def _what_was_found(
    pictures: Pictures, config: OwnData, train: ObjectFiles, counts: Counts, look: Look
) -> tuple[str, ...]:
    kind = {"coco": "COCO's json", "yolo": "YOLO's labels", "voc": "Pascal VOC's xml"}[config.format]
    images = f"{pictures.train:,} training, {pictures.valid:,} validation and {pictures.test:,} test images"
    classes = [f"{name} {count:,}" for name, count in zip(train.class_names, counts.of_classes, strict=True)]
    lines = (
        f"{pictures.path}: {kind}, {images} {'with' if pictures.masks else 'without'} masks",
        f"classes: {len(classes):,}, as the data names them, and their objects in training: {listed(classes)}",
    )
    if look.looked_at < np.count_nonzero(counts.objects):
        counted = f"{len(counts.images):,} images" if len(counts.images) < len(train) else "all images"
        sizes = f"sizes are those of {look.looked_at:,} images with objects, evenly chosen"
        return (*lines, f"looked at: objects are counted on {counted}; {sizes}")
    return lines


def _warnings(given: str, train: ObjectFiles, counts: Counts, look: Look, output: Path) -> tuple[str, ...]:
    lines, see = [str(finding) for finding in train.left_out()], f"see attnkit data check {output}"
    images = len(counts.images)
    if counts.broken:
        lines.append(
            f"{given}: the annotations of {counts.broken:,} of {images + counts.broken:,} images cannot be read; {see}"
        )
    if look.broken:
        lines.append(
            f"{given}: {look.broken} of {look.looked_at} images looked at, or their annotations, are broken or do not "
            f"fit; {see}"
        )
    absent = [name for name, count in zip(train.class_names, counts.of_classes, strict=True) if not count]
    if absent:
        lines.append(
            f"{given}: no object of {listed(absent)} on {images:,} images; expected every class in training; {see}"
        )
    return (*lines, *few_images(given, len(train), few=FEW_IMAGES))

"""A detection recipe for somebody's own images and objects."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from attnkit.data.config import Split
from attnkit.data.data_root import listed
from attnkit.data.detection.detection_set import DetectionSet, open_detection
from attnkit.engine.precision import autocast, find_device
from attnkit.errors import DataError
from attnkit.models.rcnn.config import MaskRcnnConfig
from attnkit.recipes.detection.new_text import recipe_text
from attnkit.recipes.detection.own_data import OwnData
from attnkit.recipes.detection.size import FEW_IMAGES, Pictures, Size, size_recipe
from attnkit.recipes.new_image_recipe import NewRecipe, few_images, refuse_to_overwrite, sample, why_held_back
from attnkit.recipes.sizing import this_machine
from attnkit.recipes.training_speed import seconds_per_step
from attnkit.run_dir import write_whole
from attnkit.structures.masks import Masks
from attnkit.structures.objects import Objects

FEWEST_IMAGES = 10
"""With fewer there is nothing to learn from, and nothing to hold back."""
_MEASURED_IMAGES = 2
_MEASURED_OBJECTS = 8


@dataclass(frozen=True)
class _Look:
    """What some of the images hold; crowds, and what lies outside of its image, are no objects here."""

    sizes: list[Size]
    counts: list[int]
    """Objects of each."""
    box_sides: list[float]
    """Root of the area of each box over the shorter side of its image."""
    absent: list[str]
    """Classes."""
    looked_at: int
    broken: int


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
    train = open_detection(config, "train")
    assert train is not None, "nothing is held back"
    if len(train) < FEWEST_IMAGES:
        raise DataError(
            f"{given}: {len(train)} training images with annotations are too few; expected {FEWEST_IMAGES} at least, "
            "and hundreds for a model worth having; add images"
        )
    look = _look_at(train)
    pictures = _pictures(given, config, train, look)
    machine = this_machine()

    def speed(model: MaskRcnnConfig, size: Size) -> float:
        return training_speed(model, size, num_classes=pictures.num_classes, masks=pictures.masks)

    sizing = size_recipe(pictures, machine, speed, minutes=machine.minutes(minutes), side=side)
    held_back = why_held_back("the images", valid=sizing.valid_share, test=sizing.test_share)
    held_back = tuple(f"{line}; equal images stay together" for line in held_back)
    reasons = (*_what_was_found(pictures, config, train), *held_back, *sizing.reasons)
    write_whole(output, recipe_text(name, config, sizing, reasons))
    return NewRecipe(output, reasons, _warnings(given, train, look, output))


def _look_at(train: DetectionSet) -> _Look:
    """Sizes, objects and classes of some, evenly chosen."""
    chosen, errors = sample(len(train)), []
    sizes: list[Size] = []
    counts: list[int] = []
    sides: list[float] = []
    seen = np.zeros(len(train.class_names), dtype=bool)
    for index in chosen:
        try:
            size, objects = train.header_size(index), train.read_objects(index)
        except DataError as error:
            errors.append(error)
            continue
        width, height = (objects.boxes[:, 2:] - objects.boxes[:, :2]).T
        real = ~objects.crowd & (width * height > 0)
        sizes.append(size)
        counts.append(int(real.sum()))
        sides += ((width * height)[real].sqrt() / min(size)).tolist()
        seen[objects.labels[real].numpy()] = True
    if not sizes:
        raise errors[0]
    if not sides:
        raise DataError(
            f"{train.annotation_place(0)}: no object on {len(sizes)} images looked at; expected boxes of the objects; "
            "correct the annotations, or the path"
        )
    absent = [name for name, there in zip(train.class_names, seen, strict=True) if not there]
    return _Look(sizes, counts, sides, absent, looked_at=len(chosen), broken=len(errors))


def _pictures(given: str, config: OwnData, train: DetectionSet, look: _Look) -> Pictures:
    """What is said of all images by those that were looked at."""
    held_out: list[Split] = ["valid", "test"]
    valid, test = (0 if (part := open_detection(config, split)) is None else len(part) for split in held_out)
    sides = np.sort(np.array(look.sizes), axis=1)
    quarter, half, most = np.quantile(look.box_sides, (0.25, 0.5, 0.9)).tolist()
    return Pictures(
        path=given,
        train=len(train),
        valid=valid,
        test=test,
        with_objects=float(np.mean(np.array(look.counts) > 0)),
        num_classes=len(train.class_names),
        masks=train.has_masks,
        side=round(float(np.median(sides[:, 0]))),
        ratio=float(np.quantile(sides[:, 1] / sides[:, 0], 0.9)),
        objects=float(np.mean(look.counts)),
        most_objects=max(look.counts),
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


def _what_was_found(pictures: Pictures, config: OwnData, train: DetectionSet) -> tuple[str, str]:
    kind = {"coco": "COCO's json", "yolo": "YOLO's labels", "voc": "Pascal VOC's xml"}[config.format]
    counts = f"{pictures.train:,} training, {pictures.valid:,} validation and {pictures.test:,} test images"
    names = train.class_names
    return (
        f"{pictures.path}: {kind}, {counts} {'with' if pictures.masks else 'without'} masks",
        f"classes: {len(names):,}, as the data names them: {listed(names)}",
    )


def _warnings(given: str, train: DetectionSet, look: _Look, output: Path) -> tuple[str, ...]:
    lines = [str(finding) for finding in train.left_out()]
    if look.broken:
        lines.append(
            f"{given}: {look.broken} of {look.looked_at} images looked at, or their annotations, are broken or do not "
            f"fit; see attnkit data check {output}"
        )
    if look.absent:
        lines.append(
            f"{given}: no object of {listed(look.absent)} on {look.looked_at} images looked at; expected every class "
            f"in training; see attnkit data check {output}"
        )
    return (*lines, *few_images(given, len(train), few=FEW_IMAGES))

"""A segmentation recipe for somebody's own images and masks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from attnkit.data.config import Split
from attnkit.data.data_root import listed
from attnkit.data.segmentation.config import MaskFilesConfig
from attnkit.data.segmentation.mask_files import MaskFiles, open_mask_files
from attnkit.data.segmentation.named_ids import BlackAndWhiteError
from attnkit.data.segmentation.segmentation_set import pixels_per_class
from attnkit.engine.precision import autocast, find_device
from attnkit.errors import DataError
from attnkit.models.config import UperNetConfig
from attnkit.models.layers.resize import resize
from attnkit.new_recipe.image_recipe import NewRecipe, few_images, refuse_to_overwrite, sample, why_held_back
from attnkit.new_recipe.segmentation_size import FEW_IMAGES, Scenes, size_recipe
from attnkit.new_recipe.segmentation_text import recipe_text
from attnkit.new_recipe.sizing import this_machine
from attnkit.new_recipe.training_speed import seconds_per_step
from attnkit.run_dir import write_whole

FEWEST_IMAGES = 10
"""With fewer there is nothing to learn from, and nothing to hold back."""
_SPLITS: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training"),
    "valid": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
_MEASURED_IMAGES = 4


@dataclass(frozen=True)
class _Look:
    """What some of the images and masks hold."""

    side: int
    """Median of the shorter sides, in pixels."""
    shares: dict[str, float]
    masks_with: dict[str, int]
    looked_at: int
    broken: int


def new_segmentation(
    images: str,
    masks: str,
    *,
    output: Path,
    name: str,
    classes: str | None = None,
    crop: int | None = None,
    minutes: float | None = None,
    force: bool = False,
) -> NewRecipe:
    """Write a recipe sized to images with masks, and to this machine.

    Args:
        images: the folder of images, which may have folders for training, validation and test.
        masks: the folder of their masks, with the same folders below.
        output: the recipe's file.
        name: of the recipe.
        classes: a file of class names; none finds how many there are.
        crop: pixels of the side of what training sees at once; none chooses.
        minutes: of training; none is an hour on processor cores, and twelve on a GPU.
        force: whether the file may be written over.

    Raises:
        DataError: a folder is missing, has no images or masks that belong together, or too few.
        RecipeError: the file is there already.
    """
    if not force:
        refuse_to_overwrite(output)
    config = _data_config(images, masks, classes)
    try:
        config, train = _training_images(config)
        look = _look_at(train)
    except DataError as error:  # it speaks of a recipe, which there is none of yet
        raise DataError(str(error).replace("data.classes", "--classes")) from None
    if len(train) < FEWEST_IMAGES:
        raise DataError(
            f"{images}: {len(train)} training images with masks are too few; expected {FEWEST_IMAGES} at least, and "
            "hundreds for a model worth having; add images"
        )
    held_out = [open_mask_files(config, split) for split in ("valid", "test")]
    valid, test = (0 if part is None else len(part) for part in held_out)
    machine = this_machine()
    scenes = Scenes(images, len(train), valid, test, look.side, look.shares)
    sizing = size_recipe(scenes, machine, training_speed, minutes=machine.minutes(minutes), crop=crop)
    counts = f"{len(train):,} training, {valid:,} validation and {test:,} test images"
    found = f"{images}: {counts} with masks of {len(look.shares):,} classes"
    held_back = why_held_back("the images", valid=sizing.valid_share, test=sizing.test_share)
    held_back = tuple(f"{line}; equal images stay together" for line in held_back)
    reasons = (found, *_what_masks_mean(config, classes), *held_back, *sizing.reasons)
    write_whole(output, recipe_text(name, config, train.class_names, sizing, reasons))
    return NewRecipe(output, reasons, _warnings(images, train, look, output))


def _data_config(images: str, masks: str, classes: str | None) -> MaskFilesConfig:
    """Paths below the folder that holds both; nothing is held back, for all images are to be looked at."""
    for folder, option, holds in ((images, "--images", "images"), (masks, "--masks", "masks")):
        if not Path(folder).is_dir():
            raise DataError(f"{folder}: no such folder; expected a folder of {holds}; correct {option}")
    if classes and not Path(classes).is_file():
        raise DataError(f"{classes}: no such file; expected names of classes, .json or .txt; correct --classes")
    paths = [os.path.normpath(path) for path in (images, masks, *([classes] if classes else []))]
    if any(map(os.path.isabs, paths)):
        paths = [os.path.abspath(path) for path in paths]
    root = os.path.commonpath(paths[:2]) or "."
    below = [Path(os.path.relpath(path, root)).as_posix() for path in paths]
    return MaskFilesConfig.model_validate(
        {
            "format": "mask_files",
            "path": Path(root).as_posix(),
            **_splits(images, masks, below),
            "classes": below[2] if classes else None,
            "hold_back": {"valid": 0.0, "test": 0.0},
        }
    )


def _splits(images: str, masks: str, below: Sequence[str]) -> dict[Split, dict[str, str]]:
    """Folders of the splits where both have one; else all is for training."""
    found: dict[Split, dict[str, str]] = {}
    for split, names in _SPLITS.items():
        there = [name for name in names if (Path(images) / name).is_dir() and (Path(masks) / name).is_dir()]
        if there:
            found[split] = {"images": f"{below[0]}/{there[0]}", "masks": f"{below[1]}/{there[0]}"}
    if found and "train" not in found:
        raise DataError(
            f"{images}: has {next(iter(found.values()))['images'].rpartition('/')[2]}, as {masks} has, but nothing for "
            "training; expected a folder train in both; rename one"
        )
    return found or {"train": {"images": below[0], "masks": below[1]}}


def _training_images(config: MaskFilesConfig) -> tuple[MaskFilesConfig, MaskFiles]:
    """Open them; black and white masks are taken for background and object."""
    try:
        train = open_mask_files(config, "train")
    except BlackAndWhiteError:
        config = config.changed(classes={0: "background", 255: "object"}, ignore=())
        train = open_mask_files(config, "train")
    assert train is not None
    return config, train


def _look_at(train: MaskFiles) -> _Look:
    """Sizes and classes of some, evenly chosen."""
    pixels = np.zeros(len(train.class_names), dtype=np.int64)
    masks_with = np.zeros_like(pixels)
    sides, errors = [], []
    chosen = sample(len(train))
    for index in chosen:
        try:
            labels = train.read_labels(index)
        except DataError as error:
            errors.append(error)
            continue
        sides.append(min(labels.shape))
        counts = pixels_per_class(labels, len(pixels))
        pixels += counts
        masks_with += counts > 0
    if not sides:
        raise errors[0]
    if (masks_with > 0).sum() < 2:
        there = "one class alone" if masks_with.any() else "no class"
        raise DataError(
            f"{train.mask_place(0)}: {len(sides)} masks looked at hold {there}; expected two at least, 0, 1 and so on; "
            "make the masks anew, or say with --classes what pixel values mean"
        )
    names = train.class_names
    return _Look(
        side=round(median(sides)),
        shares=dict(zip(names, (pixels / pixels.sum()).tolist(), strict=True)),
        masks_with=dict(zip(names, masks_with.tolist(), strict=True)),
        looked_at=len(chosen),
        broken=len(errors),
    )


def training_speed(config: UperNetConfig, crop: int, num_classes: int) -> float:
    """Images per second of the fastest of some training steps on random images, in the default precision."""
    device = find_device("auto")
    model = config.build(num_classes=num_classes, image_size=crop).to(device).train()
    images = torch.randn(_MEASURED_IMAGES, 3, crop, crop, device=device)
    labels = torch.randint(num_classes, (_MEASURED_IMAGES, crop, crop), device=device)

    def loss() -> Tensor:
        with autocast("auto", device):
            heads = model.forward_heads(images)
        enlarged = [resize(logits.float(), (crop, crop)) for logits in heads if logits is not None]
        return torch.stack([F.cross_entropy(logits, labels) for logits in enlarged]).sum()

    return _MEASURED_IMAGES / seconds_per_step(model, loss, device)


def _what_masks_mean(config: MaskFilesConfig, classes: str | None) -> Iterable[str]:
    if isinstance(config.classes, Mapping):
        yield "masks: black and white, so 0 is taken for background and 255 for object: data.classes and data.ignore"
    elif not classes:
        yield "names: as many classes as the masks have numbers; give them their names in data.classes"


def _warnings(images: str, train: MaskFiles, look: _Look, output: Path) -> tuple[str, ...]:
    lines = [str(finding) for finding in train.left_out()]
    if look.broken:
        lines.append(
            f"{images}: {look.broken} of {look.looked_at} masks looked at are broken or do not fit their images; see "
            f"attnkit data check {output}"
        )
    if absent := [name for name, count in look.masks_with.items() if not count]:
        lines.append(
            f"{images}: no pixel of {listed(absent)} on {look.looked_at} masks looked at; expected every class in "
            "training; see attnkit data check, or correct data.classes"
        )
    return (*lines, *few_images(images, len(train), few=FEW_IMAGES))

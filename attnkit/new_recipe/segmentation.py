"""A segmentation recipe for somebody's own images and masks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median

import numpy as np

from attnkit.data.config import Split
from attnkit.data.finding import listed
from attnkit.data.segmentation.config import MaskFilesConfig
from attnkit.data.segmentation.mask_files import MaskFiles, MaskFileSplits
from attnkit.data.segmentation.named_ids import BlackAndWhiteError
from attnkit.data.segmentation.segmentation_set import pixels_per_class
from attnkit.errors import DataError
from attnkit.new_recipe.recipe_text import NewRecipe, recipe_text
from attnkit.new_recipe.segmentation_size import FEW_IMAGES, MaskSurvey, size_recipe
from attnkit.new_recipe.sizing import few_images, hold_back, sample, this_machine, why_held_back
from attnkit.new_recipe.speed import segmenter_speed
from attnkit.run_dir import write_whole

FEWEST_IMAGES = 10
"""With fewer there is nothing to learn from, and nothing to hold back."""
_SPLITS: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training"),
    "valid": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
_INIT = """\
To start from pretrained weights (attnkit import), uncomment this; backbone is then the model of their run.
Lower lr to 6e-5.
init: {from: runs/imported}"""
_SHOWN = (
    *("model.name", "model.channels", "model.auxiliary_channels", "model.pool_scales"),
    *(f"model.backbone.{key}" for key in ("patch_size", "embed_dim", "depths", "num_heads", "window_size")),
    *("model.backbone.drop_path_rate", "train.optimizer.weight_decay"),
)


def new_segmentation(
    images: str,
    masks: str,
    *,
    output: Path,
    name: str,
    classes: str | None = None,
    crop: int | None = None,
    minutes: float | None = None,
) -> NewRecipe:
    """Write a recipe sized to images with masks, and to this machine.

    Args:
        images: the folder of images, which may have folders for training, validation and test.
        masks: the folder of their masks, with the same folders below.
        output: the recipe's file.
        name: of the recipe.
        classes: a file of class names; None counts the classes of the masks.
        crop: pixels of the side of a training crop; None chooses.
        minutes: of training; None is an hour on processor cores, and twelve on a GPU.

    Raises:
        DataError: a folder is missing, has no images or masks that belong together, or too few.
    """
    config = _data_config(images, masks, classes)
    try:
        config, opened = _open(config)
        train = opened.training
        survey = survey_masks(images, train, *(_count(opened, split) for split in ("valid", "test")))
    except DataError as error:  # it names a key of a recipe, which does not exist yet
        raise DataError(str(error).replace("data.classes", "--classes")) from None
    if len(train) < FEWEST_IMAGES:
        raise DataError(
            f"{images}: {len(train)} training images with masks are too few; expected at least {FEWEST_IMAGES}, and "
            "hundreds for a useful model; add images"
        )
    machine = this_machine()
    data = config.changed(classes=config.classes or train.class_names)
    sized = size_recipe(name, data, survey, machine, segmenter_speed, minutes=machine.minutes(minutes), crop=crop)
    counts = f"{survey.train:,} training, {survey.valid:,} validation and {survey.test:,} test images"
    held_back = hold_back(survey.train, survey.valid, survey.test)
    reasons = (
        f"{images}: {counts} with masks of {len(survey.shares):,} classes",
        *_what_masks_mean(config, classes),
        *why_held_back(held_back, "the images", together="equal images stay together"),
        *sized.reasons,
    )
    write_whole(output, recipe_text(sized.recipe, reasons, comments={"model": _INIT}, shown=_SHOWN))
    return NewRecipe(output, reasons, _warnings(train, survey, output))


def _data_config(images: str, masks: str, classes: str | None) -> MaskFilesConfig:
    """Paths below the folder that holds both. Nothing is held back, so that all images are surveyed."""
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
    """Folders of the splits, if both have them; otherwise everything is for training."""
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


def _open(config: MaskFilesConfig) -> tuple[MaskFilesConfig, MaskFileSplits]:
    """Find images and masks; in black and white masks 0 is taken for background and 255 for object."""
    try:
        return config, MaskFileSplits(config)
    except BlackAndWhiteError:
        config = config.changed(classes={0: "background", 255: "object"}, ignore=())
        return config, MaskFileSplits(config)


def _count(opened: MaskFileSplits, split: Split) -> int:
    images = opened.open(split)
    return 0 if images is None else len(images)


def survey_masks(images: str, train: MaskFiles, valid: int, test: int) -> MaskSurvey:
    """Sizes and classes of a sample of the masks.

    Args:
        images: the folder, for people.
        train: the training images.
        valid: images of the validation set.
        test: images of the test set.

    Raises:
        DataError: none can be read, or they hold fewer than two classes.
    """
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
        there = "only one class" if masks_with.any() else "no class"
        raise DataError(
            f"{train.mask_place(0)}: {len(sides)} sampled masks hold {there}; expected at least two, 0, 1 and so on; "
            "make the masks again, or say with --classes what pixel values mean"
        )
    names = train.class_names
    return MaskSurvey(
        path=images,
        train=len(train),
        valid=valid,
        test=test,
        side=round(median(sides)),
        shares=dict(zip(names, (pixels / pixels.sum()).tolist(), strict=True)),
        masks_with=dict(zip(names, masks_with.tolist(), strict=True)),
        sampled=len(chosen),
        broken=len(errors),
    )


def _what_masks_mean(config: MaskFilesConfig, classes: str | None) -> Iterable[str]:
    if isinstance(config.classes, Mapping):
        yield "masks: black and white, so 0 is taken for background and 255 for object: data.classes and data.ignore"
    elif not classes:
        yield "names: as many classes as the masks have numbers; give them their names in data.classes"


def _warnings(train: MaskFiles, survey: MaskSurvey, output: Path) -> tuple[str, ...]:
    images, lines = survey.path, [str(finding) for finding in train.left_out()]
    if survey.broken:
        lines.append(
            f"{images}: {survey.broken} of {survey.sampled} sampled masks are broken or do not fit their images; see "
            f"attnkit data check {output}"
        )
    if absent := [name for name, count in survey.masks_with.items() if not count]:
        lines.append(
            f"{images}: no pixel of {listed(absent)} on {survey.sampled} sampled masks; expected every class in "
            "training; see attnkit data check, or correct data.classes"
        )
    return (*lines, *few_images(images, len(train), few=FEW_IMAGES))

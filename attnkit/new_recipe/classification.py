"""A classification recipe for somebody's own folder of images."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import numpy as np

from attnkit.data.classification.config import ImageFolderConfig
from attnkit.data.classification.image_folder import ImageFolders, find_image_folders
from attnkit.data.classification.image_set import FileImages
from attnkit.data.images.decode import image_size as size_in_header
from attnkit.errors import DataError
from attnkit.new_recipe.classification_size import FEW_IMAGES, FolderSurvey, size_recipe
from attnkit.new_recipe.recipe_text import NewRecipe, recipe_text
from attnkit.new_recipe.sizing import few_images, hold_back, sample, this_machine, why_held_back
from attnkit.new_recipe.speed import classifier_speed
from attnkit.run_dir import write_whole

FEWEST_IMAGES = 20
"""With fewer there is nothing to learn from, and nothing to hold back."""
FEW_PER_CLASS = 10
_INIT = """\
To start from pretrained weights (attnkit import), uncomment this; model is then the model of their run.
init: {from: runs/imported}"""
_SHOWN = tuple(
    f"model.{key}" for key in ("patch_size", "embed_dim", "depths", "num_heads", "window_size", "drop_path_rate")
)


def new_classification(
    data: str,
    *,
    output: Path,
    name: str,
    image_size: int | None = None,
    minutes: float | None = None,
) -> NewRecipe:
    """Write a recipe sized to a folder of images and to this machine.

    Args:
        data: the folder or archive, with a folder of images per class.
        output: the recipe's file.
        name: of the recipe.
        image_size: pixels; None chooses.
        minutes: of training; None is an hour on processor cores, and twelve on a GPU.

    Raises:
        DataError: the folder is missing or has no class folders, or too few images.
    """
    survey = survey_folder(data)
    machine = this_machine()
    sized = size_recipe(
        name, survey, machine, classifier_speed, minutes=machine.minutes(minutes), image_size=image_size
    )
    counts = f"{survey.train:,} training, {survey.valid:,} validation and {survey.test:,} test images"
    held_back = why_held_back(hold_back(survey.train, survey.valid, survey.test), "each class")
    reasons = (f"{data}: {counts} of {survey.classes:,} classes", *held_back, *sized.reasons)
    write_whole(output, recipe_text(sized.recipe, reasons, comments={"model": _INIT}, shown=_SHOWN))
    return NewRecipe(output, reasons, _warnings(survey, output))


def survey_folder(data: str) -> FolderSurvey:
    """Count the images of a folder, and read the headers of some.

    Raises:
        DataError: there is no class folder beside another, or too few images, or none can be read.
    """
    found = find_image_folders(ImageFolderConfig(format="image_folder", path=data))
    train = found.images("train")
    counts = np.bincount(train.labels, minlength=len(train.class_names)).tolist()
    if len(counts) < 2:
        raise DataError(
            f"{data}: only one class, {train.class_names[0]}; expected a folder per class, at least two; add the others"
        )
    if len(train) < FEWEST_IMAGES:
        raise DataError(
            f"{data}: {len(train)} training images are too few; expected at least {FEWEST_IMAGES}, and hundreds "
            "per class for a useful classifier; add images"
        )
    sides, broken = _sides(train)
    rarest = min(range(len(counts)), key=counts.__getitem__)
    return FolderSurvey(
        data,
        train=len(train),
        valid=_count(found, "valid"),
        test=_count(found, "test"),
        classes=len(counts),
        rarest=(train.class_names[rarest], counts[rarest]),
        side=round(median(sides)),
        broken=broken,
    )


def _count(found: ImageFolders, split: str) -> int:
    return sum(len(found.images(own)) for own in found.splits if own == split)


def _sides(images: FileImages) -> tuple[list[int], int]:
    """Shorter sides of some images, evenly chosen, and how many of these are broken."""
    sides, errors = [], []
    for index in sample(len(images)):
        try:
            sides.append(min(size_in_header(images.read_bytes(index), images.place(index))))
        except DataError as error:
            errors.append(error)
    if not sides:
        raise errors[0]
    return sides, len(errors)


def _warnings(survey: FolderSurvey, output: Path) -> tuple[str, ...]:
    lines = []
    if survey.broken:
        opened = len(sample(survey.train))
        lines.append(
            f"{survey.path}: {survey.broken} of {opened} sampled images are broken; see attnkit data check {output}"
        )
    name, count = survey.rarest
    if count < FEW_PER_CLASS:
        lines.append(
            f"{survey.path}: class {name} has {count} training images; expected at least {FEW_PER_CLASS}, and hundreds "
            "to be told apart well; add images"
        )
    return (*lines, *few_images(survey.path, survey.train, few=FEW_IMAGES))

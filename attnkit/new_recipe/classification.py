"""A classification recipe for somebody's own folder of images."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from attnkit.data.classification.config import ImageFolderConfig
from attnkit.data.classification.image_folder import ImageFolders, find_image_folders
from attnkit.data.classification.image_set import FileImages
from attnkit.data.images.decode import image_size as size_in_header
from attnkit.engine.precision import autocast, find_device
from attnkit.errors import DataError
from attnkit.models.config import SwinConfig
from attnkit.new_recipe.classification_size import FEW_IMAGES, SMALL_SIDE, Folder, Sizing, size_recipe
from attnkit.new_recipe.image_recipe import NewRecipe, few_images, refuse_to_overwrite, sample, why_held_back
from attnkit.new_recipe.recipe_text import recipe_head
from attnkit.new_recipe.sizing import this_machine
from attnkit.new_recipe.training_speed import seconds_per_step
from attnkit.run_dir import write_whole

FEWEST_IMAGES = 20
"""With fewer there is nothing to learn from, and nothing to hold back."""
FEW_PER_CLASS = 10
_MEASURED_IMAGES = 16


def new_classification(
    data: str,
    *,
    output: Path,
    name: str,
    image_size: int | None = None,
    minutes: float | None = None,
    force: bool = False,
) -> NewRecipe:
    """Write a recipe sized to a folder of images and to this machine.

    Args:
        data: the folder or archive, with a folder of images per class.
        output: the recipe's file.
        name: of the recipe.
        image_size: pixels; none chooses.
        minutes: of training; none is an hour on processor cores, and twelve on a GPU.
        force: whether the file may be written over.

    Raises:
        DataError: the folder is missing or has no class folders, or too few images.
        RecipeError: the file is there already.
    """
    if not force:
        refuse_to_overwrite(output)
    folder, broken = look_at(data)
    machine = this_machine()
    limit = machine.minutes(minutes)
    sizing = size_recipe(folder, machine, training_speed, minutes=limit, image_size=image_size)
    counts = f"{folder.train:,} training, {folder.valid:,} validation and {folder.test:,} test images"
    held_back = why_held_back("each class", valid=sizing.valid_share, test=sizing.test_share)
    reasons = (f"{data}: {counts} of {folder.classes:,} classes", *held_back, *sizing.reasons)
    write_whole(output, recipe_text(name, folder, sizing, reasons))
    return NewRecipe(output, reasons, _warnings(folder, broken, output))


def look_at(data: str) -> tuple[Folder, int]:
    """Count the images of a folder, and read the headers of some.

    Returns:
        What was seen, and how many of the headers were broken.
    """
    found = find_image_folders(ImageFolderConfig(format="image_folder", path=data))
    train = found.images("train")
    counts = np.bincount(train.labels, minlength=len(train.class_names)).tolist()
    if len(counts) < 2:
        raise DataError(
            f"{data}: one class alone, {train.class_names[0]}; expected a folder per class, two at least; "
            "add the others"
        )
    if len(train) < FEWEST_IMAGES:
        raise DataError(
            f"{data}: {len(train)} training images are too few; expected {FEWEST_IMAGES} at least, and hundreds "
            "per class for a classifier worth having; add images"
        )
    sides, broken = _sides(train)
    rarest = min(range(len(counts)), key=counts.__getitem__)
    return (
        Folder(
            data,
            train=len(train),
            valid=_count(found, "valid"),
            test=_count(found, "test"),
            classes=len(counts),
            rarest=(train.class_names[rarest], counts[rarest]),
            side=round(median(sides)),
        ),
        broken,
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


def training_speed(config: SwinConfig, image_size: int) -> float:
    """Images per second of the fastest of some training steps on random images, in the default precision."""
    device = find_device("auto")
    model = config.build(num_classes=10, image_size=image_size).to(device).train()
    images = torch.randn(_MEASURED_IMAGES, 3, image_size, image_size, device=device)
    labels = torch.arange(_MEASURED_IMAGES, device=device) % 10

    def loss() -> Tensor:
        with autocast("auto", device):
            logits = model(images)
        return F.cross_entropy(logits.float(), labels)

    return _MEASURED_IMAGES / seconds_per_step(model, loss, device)


def _warnings(folder: Folder, broken: int, output: Path) -> tuple[str, ...]:
    lines = []
    if broken:
        looked_at = len(sample(folder.train))
        lines.append(
            f"{folder.path}: {broken} of {looked_at} images looked at are broken; see attnkit data check {output}"
        )
    name, count = folder.rarest
    if count < FEW_PER_CLASS:
        lines.append(
            f"{folder.path}: class {name} has {count} training images; expected {FEW_PER_CLASS} at least, and hundreds "
            "to be told apart well; add images"
        )
    return (*lines, *few_images(folder.path, folder.train, few=FEW_IMAGES))


_WHOLE = "\n  crop_fraction: 1.0"
_STRONG = """
  auto: trivial
  erase: 0.25
  cutmix: 1.0
  mix_probability: 0.5"""


def recipe_text(name: str, folder: Folder, sizing: Sizing, reasons: tuple[str, ...]) -> str:
    """The recipe as YAML, its reasons on top."""
    model, shares = sizing.model, []
    shares += [f"valid: {sizing.valid_share:g}"] if sizing.valid_share not in (0.0, 0.1) else []
    shares += [f"test: {sizing.test_share:g}"] if sizing.test_share else []
    hold_back = f"\n  hold_back: {{{', '.join(shares)}}}" if shares else ""
    small = sizing.image_size <= SMALL_SIDE
    crop = f"\n  crop: shift\n  padding: {sizing.image_size // 8}" if small else f"\n  scale: [{_scale(sizing)}, 1.0]"
    return f"""\
{recipe_head("classification", name, reasons)}
data:
  format: image_folder
  path: {json.dumps(folder.path, ensure_ascii=False)}{hold_back}
image:
  size: {sizing.image_size}{_WHOLE if small else ""}
augment:{crop}{_STRONG if sizing.strong else ""}
# init: {{from: runs/imported}} # to begin with weights that exist (attnkit import), with the model of that run below
model:
  name: swin
  patch_size: {model.patch_size}
  embed_dim: {model.embed_dim}
  depths: {list(model.depths)}
  num_heads: {list(model.num_heads)}
  window_size: {model.window_size}
  drop_path_rate: {model.drop_path_rate}
loss:
  label_smoothing: 0.1
batch:
  images: {sizing.batch_images}
train:
  steps: {sizing.steps}
  accumulate: {sizing.accumulate}
  optimizer: {{name: adamw, weight_decay: 0.05}}
  schedule: {{name: cosine, lr: {sizing.lr}, warmup_steps: {sizing.warmup_steps}, final_lr: 1e-5}}
  clip_norm: 5.0
  validate_every: {max(1, sizing.steps // 15)}
  save_every: {max(1, sizing.steps // 30)}
  keep_last: 3
  average_last: 3
"""


def _scale(sizing: Sizing) -> float:
    """The least share of an image that a crop shows: of large collections that of the papers."""
    return 0.08 if sizing.strong and sizing.epoch > 200 else 0.35

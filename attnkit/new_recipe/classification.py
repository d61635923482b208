"""A classification recipe for somebody's own folder of images, and why it is as large as it is.

From scratch a Swin needs fewer images than a ViT, for its windows know which pixels are neighbours.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from attnkit.data.classification.config import AugmentConfig, ImageConfig, ImageFolderConfig
from attnkit.data.classification.image_folder import ImageFolders, find_image_folders
from attnkit.data.classification.image_set import FileImages
from attnkit.data.config import HoldBackConfig
from attnkit.data.images.decode import image_size as size_in_header
from attnkit.engine.config import CosineConfig
from attnkit.errors import DataError
from attnkit.models.config import SwinConfig
from attnkit.new_recipe.networks import (
    CLASSIFIERS,
    SMALL_IMAGE,
    SMALL_IMAGE_CLASSIFIERS,
    SWIN_KEYS,
    ClassifierNetwork,
    classifier_bytes,
    supported,
)
from attnkit.new_recipe.recipe_text import NewRecipe, init_comment, write_recipe
from attnkit.new_recipe.sizing import (
    ImageSurvey,
    Machine,
    SizedRecipe,
    few_images,
    largest_affordable,
    power_of_two,
    read_each,
    refuse_too_few,
    sample,
    this_machine,
    training_length,
    why_held_back,
    why_no_larger,
)
from attnkit.new_recipe.speed import classifier_speed
from attnkit.recipes.base import ImageBatchConfig
from attnkit.recipes.classification.recipe import ClassificationLossConfig, ClassificationRecipe

FEWEST_IMAGES = 20
FEW_PER_CLASS = 10
FEW_IMAGES = 20_000
"""With fewer, pretrained weights help more than anything else here."""
MEDIUM_SIDE = 96
"""Up to this many pixels the network has three stages, else four, as in the paper."""
LARGEST_SIDE = 224
LEAST_EPOCHS = 10
"""A network that gets fewer in the time available is replaced by a smaller one, or gets smaller images."""
PLENTY_OF_EPOCHS = 30
"""With fewer, strong augmentation costs more than it gives."""
MANY_STEPS = 200
"""Of an epoch; from then on strong augmentation crops as the papers do."""


@dataclass(frozen=True)
class FolderSurvey(ImageSurvey):
    """What was found in somebody's folder of images."""

    classes: int
    rarest: tuple[str, int]
    """The class with the fewest training images, and how many."""
    broken: int = 0
    """Images that cannot be read, of those that were opened."""


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
    reasons = (
        f"{data}: {survey.counts} of {survey.classes:,} classes",
        *why_held_back(survey.held_back, "each class"),
        *sized.reasons,
    )
    shown = [f"model.{key}" for key in SWIN_KEYS]
    return write_recipe(
        output, sized.recipe, reasons, _warnings(survey, output), shown=shown, comments=init_comment("model")
    )


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
    refuse_too_few(
        data, len(train), least=FEWEST_IMAGES, what="training images", hundreds="per class for a useful classifier"
    )
    sides, broken = read_each(sample(len(train)), lambda index: _shorter_side(train, index))
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


def _shorter_side(images: FileImages, index: int) -> int:
    return min(size_in_header(images.read_bytes(index), images.place(index)))


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


def size_recipe(
    name: str,
    survey: FolderSurvey,
    machine: Machine,
    speed: Callable[[SwinConfig, int], float],
    *,
    minutes: float,
    image_size: int | None,
) -> SizedRecipe[ClassificationRecipe]:
    """Choose image size, network, batches and steps.

    `speed` measures the training images a second of a model at an image size; `image_size` is that of the user.
    """
    held_back = survey.held_back
    sizes = [image_size] if image_size is not None else _sizes(survey.side, machine)
    (network, size), rate, too_slow = largest_affordable(
        [(network, size) for size in sizes for network in _networks(survey, size)],
        lambda candidate: speed(candidate[0].config(candidate[1]), candidate[1]),
        minutes=minutes,
        images=LEAST_EPOCHS * survey.train,
    )
    batch, accumulate = _batch(held_back.left, size, machine, network)
    per_step, epochs = batch * accumulate, _epochs(held_back.left)
    length = training_length(held_back.left, per_step=per_step, epochs=epochs, rate=rate, minutes=minutes)
    strong = length.epochs >= PLENTY_OF_EPOCHS
    shares = {"test": held_back.test} | ({"valid": held_back.valid} if held_back.valid else {})
    small = size <= SMALL_IMAGE
    lr, warmup_steps = _lr(per_step, network), max(1, min(length.steps // 10, 20 * length.epoch))
    recipe = ClassificationRecipe(
        task="classification",
        name=name,
        data=ImageFolderConfig(
            format="image_folder", path=survey.path, hold_back=HoldBackConfig.model_validate(shares)
        ),
        image=ImageConfig(size=size, crop_fraction=1.0) if small else ImageConfig(size=size),
        augment=_augment(size, strong=strong, many=length.epoch > MANY_STEPS),
        model=network.config(size),
        loss=ClassificationLossConfig(label_smoothing=0.1),
        batch=ImageBatchConfig(images=batch),
        train=length.train(
            schedule=CosineConfig(name="cosine", lr=lr, warmup_steps=warmup_steps, final_lr=1e-5),
            accumulate=accumulate,
            weight_decay=0.05,
            clip_norm=5.0,
            validations=15,
            keep_last=3,
            average_last=3,
        ),
    )
    model, parts = network.config(size), f", in {accumulate} parts that fit into memory" if accumulate > 1 else ""
    reasons = (
        _why_size(survey, size, chosen=image_size is not None, too_slow=too_slow),
        f"network: {network.name}, patches of {model.patch_size}, windows of {model.window_size}: {network.why}; "
        "from scratch a Swin needs fewer images than a ViT",
        _why_augmentation(length.epochs, strong=strong),
        f"batch: {per_step} images{parts}; {length.epoch_line}",
        *length.reasons(machine, rate),
    )
    return SizedRecipe(recipe, length, reasons)


def _augment(size: int, *, strong: bool, many: bool) -> AugmentConfig:
    """Small images are shifted, others cropped: of large collections as in the papers."""
    crop = {"scale": (0.08 if strong and many else 0.35, 1.0)}
    shift = {"crop": "shift", "padding": size // 8}
    more = {"auto": "trivial", "erase": 0.25, "cutmix": 1.0, "mix_probability": 0.5} if strong else {}
    return AugmentConfig.model_validate((shift if size <= SMALL_IMAGE else crop) | more)


def _sizes(side: int, machine: Machine) -> list[int]:
    """Image sizes to try, the largest first, in steps that windows divide evenly."""
    if side <= SMALL_IMAGE:
        return [max(16, -(-side // 8) * 8)]
    if side <= MEDIUM_SIDE:
        return [max(SMALL_IMAGE + 16, side // 16 * 16)]
    largest = min(side // 32 * 32, LARGEST_SIDE)
    # on processor cores 224 pixels are slow; objects can be recognised at fewer
    sizes = [largest] if machine.is_gpu else [min(largest, 128)]
    return [*sizes, *(size for size in (96, 64) if not machine.is_gpu and size < sizes[0])]


def _networks(survey: FolderSurvey, size: int) -> list[ClassifierNetwork]:
    """Networks for an image size, the largest first, that the number of images supports."""
    return supported(CLASSIFIERS if size > MEDIUM_SIDE else SMALL_IMAGE_CLASSIFIERS, survey.train)


def _epochs(images: int) -> int:
    """How often images are of use: ImageNet-1k is published with 300 epochs, and few images need more rounds."""
    return 300 if images < 5000 else 200 if images < 100_000 else 300 if images < 3_000_000 else 90


def _batch(images: int, size: int, machine: Machine, network: ClassifierNetwork) -> tuple[int, int]:
    """Images per batch, and batches per step: some twenty steps an epoch at least, and what memory holds."""
    wanted = 1024 if network.published and images > 200_000 else 256 if machine.is_gpu else 128
    wanted = power_of_two(min(wanted, max(16, images // 20)))
    fits = power_of_two(max(1, machine.fitting_images(classifier_bytes(network.config(size), size))))
    batch = min(wanted, fits, images)
    return max(1, batch), max(1, wanted // max(1, batch)) if batch < min(wanted, images) else 1


def _lr(batch: int, network: ClassifierNetwork) -> float:
    """The paper's 1e-3 at 1,024 images for its own sizes; small networks tolerate more, by the root of the batch."""
    if network.published:
        return float(f"{1e-3 * min(1.0, (batch / 1024) ** 0.5):.2g}")
    return float(f"{1e-3 * (batch / 128) ** 0.5:.2g}")


def _why_size(survey: FolderSurvey, size: int, *, chosen: bool, too_slow: int) -> str:
    if chosen:
        return f"image size: {size} pixels, as you ask"
    why = f"the shorter side of the images has {survey.side}"
    why += why_no_larger(too_slow, epochs=LEAST_EPOCHS, can_be_larger=size < survey.side // 32 * 32, more="more detail")
    return f"image size: {size} pixels: {why}"


def _why_augmentation(epochs: float, *, strong: bool) -> str:
    if strong:
        return (
            "augmentation: strong (TrivialAugment, cutmix, erasing): training goes through the images often, "
            "and would memorise them otherwise; mirrored too, so --set augment.flip=0 where left and right matter"
        )
    return (
        f"augmentation: light (crops, mirroring): {epochs:.3g} times through the images need little regularisation; "
        "--set augment.flip=0 where left and right matter"
    )

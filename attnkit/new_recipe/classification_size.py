"""How large a classification recipe should be for a folder of images and a machine, and why. Free of torch.

From scratch a Swin needs fewer images than a ViT, for its windows know which pixels are neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from attnkit.data.classification.config import AugmentConfig, ImageConfig, ImageFolderConfig
from attnkit.data.config import HoldBackConfig
from attnkit.engine.config import AdamWConfig, CosineConfig, TrainConfig
from attnkit.models.config import SwinConfig
from attnkit.new_recipe.networks import (
    CLASSIFIERS,
    SMALL_IMAGE,
    SMALL_IMAGE_CLASSIFIERS,
    ClassifierNetwork,
    classifier_bytes,
    supported,
)
from attnkit.new_recipe.sizing import (
    Machine,
    SizedRecipe,
    TrainingLength,
    hold_back,
    largest_affordable,
    power_of_two,
    training_length,
    why_no_larger,
)
from attnkit.recipes.base import ImageBatchConfig
from attnkit.recipes.classification.recipe import ClassificationLossConfig, ClassificationRecipe

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
class FolderSurvey:
    """What was found in somebody's folder of images."""

    path: str
    train: int
    """Images, those that will be held back among them."""
    valid: int
    test: int
    classes: int
    rarest: tuple[str, int]
    """The class with the fewest training images, and how many."""
    side: int
    """Median of the shorter sides, in pixels."""
    broken: int = 0
    """Images that cannot be read, of those that were opened."""


Speed = Callable[[SwinConfig, int], float]
"""Training images per second of a model at an image size."""


def size_recipe(
    name: str, survey: FolderSurvey, machine: Machine, speed: Speed, *, minutes: float, image_size: int | None
) -> SizedRecipe[ClassificationRecipe]:
    """Choose image size, network, batches and steps.

    Args:
        name: of the recipe.
        survey: the images.
        machine: what will train.
        speed: measures a network there.
        minutes: of training.
        image_size: pixels, where the user chose.
    """
    held_back = hold_back(survey.train, survey.valid, survey.test)
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
        train=_train(length, accumulate, lr=_lr(per_step, network)),
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


def _train(length: TrainingLength, accumulate: int, *, lr: float) -> TrainConfig:
    warmup_steps = max(1, min(length.steps // 10, 20 * length.epoch))
    return TrainConfig(
        steps=length.steps,
        accumulate=accumulate,
        optimizer=AdamWConfig(name="adamw", weight_decay=0.05),
        schedule=CosineConfig(name="cosine", lr=lr, warmup_steps=warmup_steps, final_lr=1e-5),
        clip_norm=5.0,
        validate_every=max(1, length.steps // 15),
        save_every=max(1, length.steps // 30),
        keep_last=3,
        average_last=3,
    )


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

"""How large a classification recipe should be for a folder of images and a machine, and why. Free of torch.

From scratch a Swin needs fewer images than a ViT, for its windows know which pixels are neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from attnkit.models.config import SwinConfig
from attnkit.new_recipe.networks import (
    CLASSIFIER_BASE,
    CLASSIFIER_MICRO,
    CLASSIFIER_NANO,
    CLASSIFIER_SEVEN,
    CLASSIFIER_SMALL,
    CLASSIFIER_TINY,
    SMALL_IMAGE,
    ClassifierNetwork,
    classifier_bytes,
)
from attnkit.new_recipe.sizing import (
    Affordable,
    Machine,
    hold_back,
    largest_affordable,
    power_of_two,
    training_length,
    why_no_larger,
)

FEW_IMAGES = 20_000
"""With fewer, pretrained weights help more than anything else here."""
MEDIUM_SIDE = 96
"""Up to this many pixels the network has three stages, else four, as in the paper."""
LARGEST_SIDE = 224
LEAST_EPOCHS = 10
"""A network that gets fewer in the time available is replaced by a smaller one, or gets smaller images."""
PLENTY_OF_EPOCHS = 30
"""With fewer, strong augmentation costs more than it gives."""


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


@dataclass(frozen=True)
class Sizing:
    """The numbers of a recipe that depend on the images and the machine."""

    model: SwinConfig
    image_size: int
    batch_images: int
    accumulate: int
    steps: int
    epoch: int
    """Steps of an epoch."""
    warmup_steps: int
    lr: float
    strong: bool
    """Whether augmentation is strong."""
    valid_share: float
    test_share: float
    reasons: tuple[str, ...]
    """One line per choice: what, and why."""


def size_recipe(
    survey: FolderSurvey, machine: Machine, speed: Speed, *, minutes: float, image_size: int | None
) -> Sizing:
    """Choose image size, network, batches and steps.

    Args:
        survey: the images.
        machine: what will train.
        speed: measures a network there.
        minutes: of training.
        image_size: pixels, where the user chose.
    """
    valid_share, test_share, images = hold_back(survey.train, survey.valid, survey.test)
    (network, size), rate, too_slow = _choose(survey, machine, speed, minutes=minutes, image_size=image_size)
    model = network.config(size)
    batch, accumulate = _batch(images, size, machine, network)
    per_step = batch * accumulate
    length = training_length(images, per_step=per_step, epochs=_epochs(images), rate=rate, minutes=minutes)
    strong = length.epochs >= PLENTY_OF_EPOCHS
    return Sizing(
        model=model,
        image_size=size,
        batch_images=batch,
        accumulate=accumulate,
        steps=length.steps,
        epoch=length.epoch,
        warmup_steps=max(1, min(length.steps // 10, 20 * length.epoch)),
        lr=_lr(per_step, network),
        strong=strong,
        valid_share=valid_share,
        test_share=test_share,
        reasons=(
            _why_size(survey, size, chosen=image_size is not None, too_slow=too_slow),
            f"network: {network.name}, patches of {model.patch_size}, windows of {model.window_size}: {network.why}; "
            "from scratch a Swin needs fewer images than a ViT",
            _why_augmentation(length.epochs, strong=strong),
            f"batch: {per_step} images"
            + (f", in {accumulate} parts that fit into memory" if accumulate > 1 else "")
            + f"; {length.epoch_line}",
            *length.reasons(machine, rate),
        ),
    )


def _choose(
    survey: FolderSurvey, machine: Machine, speed: Speed, *, minutes: float, image_size: int | None
) -> Affordable[tuple[ClassifierNetwork, int]]:
    """The largest network and image size with which training goes through the images often enough."""
    sizes = [image_size] if image_size is not None else _sizes(survey.side, machine)
    candidates = [(network, size) for size in sizes for network in _networks(survey, size)]

    def rate_of(candidate: tuple[ClassifierNetwork, int]) -> float:
        network, size = candidate
        return speed(network.config(size), size)

    return largest_affordable(candidates, rate_of, minutes=minutes, images=LEAST_EPOCHS * survey.train)


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
    family = (
        (CLASSIFIER_BASE, CLASSIFIER_SMALL, CLASSIFIER_TINY, CLASSIFIER_MICRO)
        if size > MEDIUM_SIDE
        else (CLASSIFIER_SEVEN, CLASSIFIER_NANO)
    )
    return [network for network in family if survey.train >= network.least_images]


def _epochs(images: int) -> int:
    """How often images are of use: ImageNet-1k is published with 300 epochs, and few images need more rounds."""
    return 300 if images < 5000 else 200 if images < 100_000 else 300 if images < 3_000_000 else 90


def _batch(images: int, size: int, machine: Machine, network: ClassifierNetwork) -> tuple[int, int]:
    """Images per batch, and batches per step: some twenty steps an epoch at least, and what memory holds."""
    wanted = (
        1024
        if network in (CLASSIFIER_TINY, CLASSIFIER_SMALL, CLASSIFIER_BASE) and images > 200_000
        else 256
        if machine.is_gpu
        else 128
    )
    wanted = power_of_two(min(wanted, max(16, images // 20)))
    fits = power_of_two(max(1, machine.fitting_images(classifier_bytes(network.config(size), size))))
    batch = min(wanted, fits, images)
    return max(1, batch), max(1, wanted // max(1, batch)) if batch < min(wanted, images) else 1


def _lr(batch: int, network: ClassifierNetwork) -> float:
    """The paper's 1e-3 at 1,024 images for its own sizes; small networks tolerate more, by the root of the batch."""
    if network in (CLASSIFIER_TINY, CLASSIFIER_SMALL, CLASSIFIER_BASE):
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

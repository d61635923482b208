"""How large a segmentation recipe should be for images, masks and a machine, and why. Free of torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from attnkit.models.config import UperNetConfig
from attnkit.new_recipe.segmentation_networks import (
    BASE,
    FLAT,
    MICRO,
    NANO,
    SMALL_SIDE,
    TINY,
    Network,
    activation_bytes,
)
from attnkit.new_recipe.sizing import Machine, hold_back, largest_affordable, power_of_two, training_length

FEW_IMAGES = 2000
"""With fewer, weights that exist help more than anything else here."""
MOST_ON_CORES, MOST_ON_GPU = 320, 512
"""Pixels of the side of a crop."""
LEAST_EPOCHS = 30
"""A network that gets fewer in the time that there is gives way to a smaller one, or to smaller crops."""
UNEVEN = 200.0
"""Pixels of the most frequent class over those of the rarest, from which on rare ones weigh more."""
MOSTLY = 0.6
"""Share of one class from which on no crop is drawn again for having much of it."""


@dataclass(frozen=True)
class Scenes:
    """What was seen of somebody's images and masks."""

    path: str
    """For people."""
    train: int
    """Images, those that will be held back among them."""
    valid: int
    test: int
    side: int
    """Median of the shorter sides, in pixels."""
    shares: dict[str, float]
    """Of the labelled pixels, by class."""

    @property
    def unevenness(self) -> float:
        """Of the classes that there are."""
        there = [share for share in self.shares.values() if share]
        return max(there) / min(there)


Speed = Callable[[UperNetConfig, int, int], float]
"""Training images per second of a model, at a crop of so many pixels, of so many classes."""


@dataclass(frozen=True)
class Sizing:
    """The numbers of a recipe that depend on the images and the machine."""

    model: UperNetConfig
    crop: int
    short_side: int | None
    batch_images: int
    steps: int
    warmup_steps: int
    lr: float
    weighted: bool
    """Whether rare classes weigh more."""
    most_of_one_class: float
    valid_share: float
    test_share: float
    reasons: tuple[str, ...]
    """One line per choice: what, and why."""


def size_recipe(scenes: Scenes, machine: Machine, speed: Speed, *, minutes: float, crop: int | None) -> Sizing:
    """Choose crop, network, batches and steps.

    Args:
        scenes: the images and masks.
        machine: what will train.
        speed: measures a network there.
        minutes: of training.
        crop: pixels, where the user chose.
    """
    valid_share, test_share, images = hold_back(scenes.train, scenes.valid, scenes.test)
    network, size, rate, tried = _choose(scenes, machine, speed, minutes=minutes, crop=crop)
    short_side = size * 3 // 2 if scenes.side > 2 * size else None
    model = network.config(size)
    batch = _batch(images, size, machine, model, len(scenes.shares))
    length = training_length(images, per_step=batch, epochs=_epochs(images), rate=rate, minutes=minutes)
    weighted, mostly = scenes.unevenness > UNEVEN, max(scenes.shares.values()) > MOSTLY
    return Sizing(
        model=model,
        crop=size,
        short_side=short_side,
        batch_images=batch,
        steps=length.steps,
        warmup_steps=min(1500, max(1, length.steps // 10)),
        lr=float(f"{network.lr * (batch / 16) ** 0.5:.2g}"),
        weighted=weighted,
        most_of_one_class=1.0 if mostly else 0.75,
        valid_share=valid_share,
        test_share=test_share,
        reasons=(
            *_why_crop(scenes, size, short_side, chosen=crop is not None, tried=tried),
            f"network: {network.name}: {network.why}; a Swin needs fewer images than a ViT",
            f"classes: {_why_weights(scenes, weighted=weighted)}",
            _why_augmentation(mostly=mostly),
            f"batch: {batch} images; {length.epoch_line}",
            *length.reasons(machine, f"{rate:,.3g}"),
        ),
    )


def _choose(
    scenes: Scenes, machine: Machine, speed: Speed, *, minutes: float, crop: int | None
) -> tuple[Network, int, float, int]:
    """The largest network and crop that see the images often enough; its images a second; how many were too large."""
    sizes = [crop] if crop is not None else _crops(scenes.side, machine)
    candidates = [(network, size) for size in sizes for network in _networks(scenes, size, machine)]

    def rate_of(candidate: tuple[Network, int]) -> float:
        network, size = candidate
        return speed(network.config(size), size, len(scenes.shares))

    images = LEAST_EPOCHS * scenes.train
    (network, size), rate, tried = largest_affordable(candidates, rate_of, minutes=minutes, images=images)
    return network, size, rate, tried


def _crops(side: int, machine: Machine) -> list[int]:
    """Sides of crops to try, the largest first, in steps that the stages divide evenly."""
    if side <= SMALL_SIDE:
        return [max(32, side // 16 * 16)]
    largest = min(max(96 + 32, side // 32 * 32), MOST_ON_GPU if machine.is_gpu else MOST_ON_CORES)
    return [largest, *(size for size in (384, 256, 192, 128) if size < largest)]


def _networks(scenes: Scenes, size: int, machine: Machine) -> list[Network]:
    """Networks for a crop, the largest first, that the number of images supports."""
    if size <= SMALL_SIDE:
        return [FLAT]
    family = (BASE, TINY, MICRO, NANO) if machine.is_gpu else (MICRO, NANO)
    return [network for network in family if scenes.train >= network.least_images]


def _epochs(images: int) -> int:
    """How often images are of use: the 160 thousand steps of ADE20K are 127 epochs, and few images need more."""
    return 400 if images < 1000 else 250 if images < 5000 else 127


def _batch(images: int, crop: int, machine: Machine, model: UperNetConfig, num_classes: int) -> int:
    """Two at least, as batch norm needs; what memory holds, and some ten steps an epoch."""
    wanted = min(16 if machine.is_gpu else 8, max(4, images // 10))
    fits = int(machine.memory / 2 / activation_bytes(model, crop, num_classes))
    return power_of_two(max(2, min(wanted, fits, images)))


def _why_crop(scenes: Scenes, size: int, short_side: int | None, *, chosen: bool, tried: int) -> tuple[str, ...]:
    why = "as you say" if chosen else f"the shorter side of the images has {scenes.side}"
    if tried:
        why += f"; what is larger would see them under {LEAST_EPOCHS} times in the time that there is"
    elif not chosen and size < scenes.side // 32 * 32:
        why += "; more costs time by its square: --image-size"
    line = f"crop: {size} x {size} pixels: {why}"
    if short_side is None:
        return (line,)
    return (
        line,
        f"size: images are brought to a shorter side of {short_side} pixels, so that a crop shows enough of one",
    )


def _why_weights(scenes: Scenes, *, weighted: bool) -> str:
    shares = scenes.shares
    there = [name for name in shares if shares[name]]
    most, least = max(there, key=shares.__getitem__), min(there, key=shares.__getitem__)
    balance = f"{_percent(shares[most])} of the pixels are {most}, {_percent(shares[least])} {least}"
    if weighted:
        return f"{balance}: rare ones weigh more, loss.class_weights=median_frequency"
    return f"{balance}: all weigh the same; if rare ones are missed, --set loss.class_weights=median_frequency"


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.995 else f"{100 * share:.4g} %"


def _why_augmentation(*, mostly: bool) -> str:
    line = "augmentation: sizes, crops, mirroring, colours; --set augment.flip=0 where left and right matter, "
    line += "--set augment.photometric=false where colours do"
    return f"{line}; one class is most of the pixels, so crops may be all of it" if mostly else line

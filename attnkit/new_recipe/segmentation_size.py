"""How large a segmentation recipe should be for images, masks and a machine, and why. Free of torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from attnkit.data.segmentation.config import MaskFilesConfig, SegmentationAugmentConfig, SegmentationImageConfig
from attnkit.engine.config import AdamWConfig, PolyConfig, TrainConfig
from attnkit.models.config import UperNetConfig
from attnkit.new_recipe.networks import (
    SEGMENTER_FLAT,
    SEGMENTERS,
    SMALL_CROP,
    SegmenterNetwork,
    segmenter_bytes,
    supported,
)
from attnkit.new_recipe.sizing import (
    Machine,
    SizedRecipe,
    hold_back,
    largest_affordable,
    power_of_two,
    training_length,
    why_no_larger,
)
from attnkit.recipes.base import ImageBatchConfig
from attnkit.recipes.segmentation.recipe import SegmentationLossConfig, SegmentationRecipe

FEW_IMAGES = 2000
"""With fewer, pretrained weights help more than anything else here."""
MOST_ON_CORES, MOST_ON_GPU = 320, 512
"""Pixels of the side of a crop."""
LEAST_EPOCHS = 30
"""A network that gets fewer in the time available is replaced by a smaller one, or gets smaller crops."""
UNEVEN = 200.0
"""Pixels of the most frequent class over those of the rarest, from which on rare ones get more weight."""
MOSTLY = 0.6
"""Share of one class from which on crops may be all of it."""


@dataclass(frozen=True)
class MaskSurvey:
    """What was found in somebody's images and masks."""

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
    masks_with: Mapping[str, int] = field(default_factory=dict)
    """Sampled masks in which a class occurs."""
    sampled: int = 0
    """Images that were opened with their masks."""
    broken: int = 0
    """Of these, the ones that cannot be read."""

    @property
    def unevenness(self) -> float:
        """Pixels of the most frequent class over those of the rarest that occurs."""
        there = [share for share in self.shares.values() if share]
        return max(there) / min(there)


Speed = Callable[[UperNetConfig, int, int], float]
"""Training images per second of a model, at a crop of so many pixels, of so many classes."""


def size_recipe(
    name: str,
    data: MaskFilesConfig,
    survey: MaskSurvey,
    machine: Machine,
    speed: Speed,
    *,
    minutes: float,
    crop: int | None,
) -> SizedRecipe[SegmentationRecipe]:
    """Choose crop, network, batches and steps.

    Args:
        name: of the recipe.
        data: where images and masks are.
        survey: what was found in them.
        machine: what will train.
        speed: measures a network there.
        minutes: of training.
        crop: pixels, where the user chose.
    """
    held_back = hold_back(survey.train, survey.valid, survey.test)
    (network, size), rate, too_slow = largest_affordable(
        [
            (net, size)
            for size in ([crop] if crop else _crops(survey.side, machine))
            for net in _networks(survey, size, machine)
        ],
        lambda candidate: speed(candidate[0].config(candidate[1]), candidate[1], len(survey.shares)),
        minutes=minutes,
        images=LEAST_EPOCHS * survey.train,
    )
    short_side = size * 3 // 2 if survey.side > 2 * size else None
    model = network.config(size)
    batch = _batch(held_back.left, size, machine, model, len(survey.shares))
    length = training_length(held_back.left, per_step=batch, epochs=_epochs(held_back.left), rate=rate, minutes=minutes)
    weighted, mostly = survey.unevenness > UNEVEN, max(survey.shares.values()) > MOSTLY
    recipe = SegmentationRecipe(
        task="segmentation",
        name=name,
        data=data.changed(hold_back=held_back.config),
        image=SegmentationImageConfig(crop=(size, size), short_side=short_side),
        augment=SegmentationAugmentConfig(most_of_one_class=1.0 if mostly else 0.75),
        model=model,
        loss=SegmentationLossConfig(class_weights="median_frequency" if weighted else "none"),
        batch=ImageBatchConfig(images=batch),
        train=_train(length.steps, lr=float(f"{network.lr * (batch / 16) ** 0.5:.2g}")),
    )
    reasons = (
        *_why_crop(survey, size, short_side, chosen=crop is not None, too_slow=too_slow),
        f"network: {network.name}: {network.why}; a Swin needs fewer images than a ViT",
        f"classes: {_why_weights(survey, weighted=weighted)}",
        _why_augmentation(mostly=mostly),
        f"batch: {batch} images; {length.epoch_line}",
        *length.reasons(machine, rate),
    )
    return SizedRecipe(recipe, length, reasons)


def _train(steps: int, *, lr: float) -> TrainConfig:
    return TrainConfig(
        steps=steps,
        optimizer=AdamWConfig(name="adamw", weight_decay=0.01),
        schedule=PolyConfig(name="poly", lr=lr, warmup_steps=min(1500, max(1, steps // 10))),
        clip_norm=1.0,
        validate_every=max(1, steps // 15),
        save_every=max(1, steps // 30),
        keep_last=3,
        average_last=1,
    )


def _crops(side: int, machine: Machine) -> list[int]:
    """Sides of crops to try, the largest first, in steps that the stages divide evenly."""
    if side <= SMALL_CROP:
        return [max(32, side // 16 * 16)]
    largest = min(max(96 + 32, side // 32 * 32), MOST_ON_GPU if machine.is_gpu else MOST_ON_CORES)
    return [largest, *(size for size in (384, 256, 192, 128) if size < largest)]


def _networks(survey: MaskSurvey, size: int, machine: Machine) -> list[SegmenterNetwork]:
    """Networks for a crop, the largest first, that the number of images supports."""
    if size <= SMALL_CROP:
        return [SEGMENTER_FLAT]
    return supported(SEGMENTERS, survey.train, published=machine.is_gpu)


def _epochs(images: int) -> int:
    """How often images are of use: the 160 thousand steps of ADE20K are 127 epochs, and few images need more."""
    return 400 if images < 1000 else 250 if images < 5000 else 127


def _batch(images: int, crop: int, machine: Machine, model: UperNetConfig, num_classes: int) -> int:
    """Two at least, as batch norm needs; what memory holds, and some ten steps an epoch."""
    wanted = min(16 if machine.is_gpu else 8, max(4, images // 10))
    fits = machine.fitting_images(segmenter_bytes(model, crop, num_classes))
    return power_of_two(max(2, min(wanted, fits, images)))


def _why_crop(survey: MaskSurvey, size: int, short_side: int | None, *, chosen: bool, too_slow: int) -> tuple[str, ...]:
    why = "as you ask" if chosen else f"the shorter side of the images has {survey.side}"
    why += why_no_larger(too_slow, epochs=LEAST_EPOCHS, can_be_larger=not chosen and size < survey.side // 32 * 32)
    line = f"crop: {size} x {size} pixels: {why}"
    if short_side is None:
        return (line,)
    return (
        line,
        f"size: images are brought to a shorter side of {short_side} pixels, so that a crop shows enough of one",
    )


def _why_weights(survey: MaskSurvey, *, weighted: bool) -> str:
    shares = survey.shares
    there = [name for name in shares if shares[name]]
    most, least = max(there, key=shares.__getitem__), min(there, key=shares.__getitem__)
    balance = f"{_percent(shares[most])} of the pixels are {most}, {_percent(shares[least])} {least}"
    if weighted:
        return f"{balance}: rare ones get more weight, loss.class_weights=median_frequency"
    return f"{balance}: all have the same weight; if rare ones are missed, --set loss.class_weights=median_frequency"


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.995 else f"{100 * share:.4g} %"


def _why_augmentation(*, mostly: bool) -> str:
    line = "augmentation: sizes, crops, mirroring, colours; --set augment.flip=0 where left and right matter, "
    line += "--set augment.photometric=false where colours do"
    return f"{line}; one class is most of the pixels, so crops may be all of it" if mostly else line

"""How large a detection recipe should be for images, their objects and a machine, and why. Free of torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from attnkit.data.detection.enough_detections import USUAL_DETECTIONS, enough_detections
from attnkit.models.rcnn.config import MaskRcnnConfig, RpnConfig
from attnkit.new_recipe.detection_networks import MICRO, NANO, PATCH_SIZE, SMALL, TINY, Network, activation_bytes
from attnkit.new_recipe.sizing import Machine, hold_back, largest_affordable, power_of_two, training_length
from attnkit.structures.arrays import Size

FEW_IMAGES = 10_000
"""With fewer, weights that exist help more than anything else (He et al. 2018, arXiv:1811.08883)."""
MOST_ON_CORES, MOST_ON_GPU = 320, 800
"""Pixels of the shorter side."""
LEAST_SIDE = 128
LEAST_OBJECT = 8
"""Pixels of the side of a box, two cells of the finest map; smaller ones are enlarged where there is room."""
LEAST_EPOCHS = 20
"""A network that gets fewer in the time that there is gives way to a smaller one, or to smaller images."""
_STRIDE = 32
_SCALES = (8, 4, 2)
"""Sides of anchors in cells; the largest is that of the papers."""
_LEVELS = 5
_VARIED = (0.75, 0.875, 1.0, 1.125, 1.25)
"""Shorter sides in training, times that of use."""


@dataclass(frozen=True)
class Pictures:
    """What was seen of somebody's images and objects. Crowds are no objects here."""

    path: str
    """For people."""
    train: int
    """Images, those that will be held back among them."""
    valid: int
    test: int
    with_objects: float
    """Share of the images; the others are not trained on."""
    num_classes: int
    masks: bool
    """Whether objects have some."""
    outlined: float
    """Share of the objects with an outline."""
    side: int
    """Median of the shorter sides, in pixels."""
    ratio: float
    """Longer side over shorter one, of nine in ten images at most."""
    objects: float
    """Per image, in the mean."""
    most_objects: int
    """On one image."""
    box_sides: tuple[float, float, float]
    """Roots of the areas of boxes over the shorter sides of their images: a quarter, the half and nine tenths of the
    objects have at most these."""


Speed = Callable[[MaskRcnnConfig, Size], float]
"""Training images per second of a model, at a size."""


@dataclass(frozen=True)
class Sizing:
    """The numbers of a recipe that depend on the images and the machine."""

    model: MaskRcnnConfig
    short_side: int
    long_side: int
    short_sides: tuple[int, ...]
    """In training."""
    max_detections: int
    batch_images: int
    steps: int
    warmup_steps: int
    lr: float
    valid_share: float
    test_share: float
    reasons: tuple[str, ...]
    """One line per choice: what, and why."""


def size_recipe(pictures: Pictures, machine: Machine, speed: Speed, *, minutes: float, side: int | None) -> Sizing:
    """Choose sizes, anchors, network, batches and steps.

    Args:
        pictures: the images and objects.
        machine: what will train.
        speed: measures a network there.
        minutes: of training.
        side: pixels of the shorter side, where the user chose.
    """
    valid_share, test_share, images = hold_back(pictures.train, pictures.valid, pictures.test)
    images = max(1, round(images * pictures.with_objects))
    network, short, rate, tried = _choose(pictures, machine, speed, minutes=minutes, side=side)
    model = _model(network, pictures, short)
    batch = _batch(images, machine, model, pictures, _shape(pictures, short))
    length = training_length(images, per_step=batch, epochs=_epochs(images), rate=rate, minutes=minutes)
    short_sides = tuple(_rounded(short * factor, to=16) for factor in _VARIED)
    detections = enough_detections(pictures.most_objects)
    return Sizing(
        model=model,
        short_side=short,
        long_side=_rounded_up(short_sides[-1] * pictures.ratio),
        short_sides=short_sides,
        max_detections=detections,
        batch_images=batch,
        steps=length.steps,
        warmup_steps=min(500, max(1, length.steps // 10)),
        lr=float(f"{network.lr * (batch / 4) ** 0.5:.2g}"),
        valid_share=valid_share,
        test_share=test_share,
        reasons=(
            _why_size(pictures, short, chosen=side is not None, tried=tried),
            f"augmentation: shorter sides of {short_sides[0]} to {short_sides[-1]} pixels, mirroring left and right; "
            "--set augment.flip=0 where left and right matter, --set augment.flip_vertical=0.5 where images have no up",
            _why_anchors(pictures, short, model.rpn.anchor_scale),
            _why_masks(pictures),
            _why_detections(pictures, detections),
            f"network: {network.name}: {network.why}; {model.rpn.proposals:,} proposals of an image are looked at",
            f"batch: {batch} images; {length.epoch_line}",
            *length.reasons(machine, f"{rate:,.3g}"),
        ),
    )


def _choose(
    pictures: Pictures, machine: Machine, speed: Speed, *, minutes: float, side: int | None
) -> tuple[Network, int, float, int]:
    """The largest network and size that see the images often enough; its images a second; how many were too large."""
    sides = [side] if side is not None else _sides(pictures, machine)
    candidates = [(network, short) for short in sides for network in _networks(pictures, machine)]

    def rate_of(candidate: tuple[Network, int]) -> float:
        network, short = candidate
        return speed(_model(network, pictures, short), _shape(pictures, short))

    images = round(LEAST_EPOCHS * pictures.train * pictures.with_objects)
    (network, short), rate, tried = largest_affordable(candidates, rate_of, minutes=minutes, images=images)
    return network, short, rate, tried


def _sides(pictures: Pictures, machine: Machine) -> list[int]:
    """Shorter sides to try, the largest first: that of the images, or what makes small objects large enough."""
    wanted = min(max(pictures.side, LEAST_OBJECT / pictures.box_sides[0]), 2 * pictures.side)
    most = MOST_ON_GPU if machine.is_gpu else MOST_ON_CORES
    largest = min(max(LEAST_SIDE, _rounded(wanted, to=_STRIDE)), most)
    return [largest, *(side for side in (640, 512, 384, 256, 192, LEAST_SIDE) if side < largest)]


def _networks(pictures: Pictures, machine: Machine) -> list[Network]:
    """Networks, the largest first, that the number of images supports."""
    family = (SMALL, TINY, MICRO, NANO) if machine.is_gpu else (MICRO, NANO)
    return [network for network in family if pictures.train >= network.least_images]


def _model(network: Network, pictures: Pictures, short: int) -> MaskRcnnConfig:
    most = pictures.most_objects
    model = network.config(
        anchor_scale=_anchor_scale(pictures, short),
        proposals=300 if most <= 50 else 600 if most <= 150 else 1000,
        samples=128 if pictures.objects <= 10 else 256,
    )
    return model.changed(rpn=_with_room(model.rpn, enough_detections(most)))


def _with_room(rpn: RpnConfig, detections: int) -> RpnConfig:
    """With no fewer proposals than detections, for each of these begins as one of those."""
    room = {name: max(getattr(rpn, name), detections) for name in ("train_proposals", "proposals")}
    return rpn.changed(**room)


def _anchor_scale(pictures: Pictures, short: int) -> int:
    """The largest whose smallest anchor is at most one and a half times as wide as a quarter of the objects are."""
    small = pictures.box_sides[0] * short
    return next((scale for scale in _SCALES if PATCH_SIZE * scale <= 1.5 * small), _SCALES[-1])


def _shape(pictures: Pictures, short: int) -> Size:
    """Height and width of a usual image, padded as a batch is."""
    return _rounded_up(short), _rounded_up(short * pictures.ratio)


def _epochs(images: int) -> int:
    """How often images are of use without weights that exist: COCO's 72 times, and few images need more."""
    return 200 if images < 1000 else 100 if images < 10_000 else 72


def _batch(images: int, machine: Machine, model: MaskRcnnConfig, pictures: Pictures, size: Size) -> int:
    """What memory holds, and some ten steps an epoch."""
    wanted = min(16 if machine.is_gpu else 4, max(2, images // 10))
    bytes_of_one = activation_bytes(model, size, num_classes=pictures.num_classes, masks=pictures.masks)
    fits = int(machine.memory / 2 / bytes_of_one)
    return power_of_two(max(1, min(wanted, fits, images)))


def _why_size(pictures: Pictures, short: int, *, chosen: bool, tried: int) -> str:
    why = "as you say" if chosen else f"half of the images have {pictures.side} or fewer"
    if not chosen and short > pictures.side:
        if pictures.box_sides[0] * pictures.side < LEAST_OBJECT:
            why += f", and a quarter of their objects would be under {LEAST_OBJECT} wide"
        elif short == LEAST_SIDE:
            why += f"; {LEAST_SIDE} are the least"
    if tried:
        why += f"; what is larger would see them under {LEAST_EPOCHS} times in the time that there is"
    elif not chosen and short < pictures.side // _STRIDE * _STRIDE:
        why += "; more costs time by its square: --image-size"
    return f"size: a shorter side of {short} pixels: {why}"


def _why_anchors(pictures: Pictures, short: int, scale: float) -> str:
    quarter, half, most = (short * share for share in pictures.box_sides)
    first, last = PATCH_SIZE * scale, PATCH_SIZE * scale * 2 ** (_LEVELS - 1)
    return (
        f"anchors: {first:g} to {last:g} pixels wide, for a quarter of the objects have at most {quarter:.3g} at that "
        f"size, half {half:.3g}, nine in ten {most:.3g}: model.rpn.anchor_scale={scale:g}"
    )


def _why_masks(pictures: Pictures) -> str:
    if pictures.masks:
        return (
            "masks: the objects have some, so there is a mask head; boxes alone take less time: --set data.masks=false"
        )
    have = (
        f"{pictures.outlined:.0%} of the objects have one, too few," if pictures.outlined else "the objects have none,"
    )
    return f"masks: {have} so there is no mask head, and boxes alone are scored"


def _why_detections(pictures: Pictures, detections: int) -> str:
    seen = f"objects: {pictures.objects:.3g} an image, {pictures.most_objects:,} at most"
    if detections == USUAL_DETECTIONS:
        return f"{seen}: {USUAL_DETECTIONS} detections of an image are enough"
    return (
        f"{seen}: up to {detections:,} detections of an image are given and scored, inference.max_detections; the "
        f"usual {USUAL_DETECTIONS} would hide what is beyond them"
    )


def _rounded(number: float, *, to: int) -> int:
    return max(to, round(number / to) * to)


def _rounded_up(number: float) -> int:
    return -int(-number // _STRIDE) * _STRIDE

"""How large a detection recipe should be for images, their objects and a machine, and why. Free of torch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from attnkit.data.detection.config import DetectionAugmentConfig, DetectionImageConfig
from attnkit.data.detection.enough_detections import USUAL_DETECTIONS, enough_detections
from attnkit.engine.config import PolyConfig, TrainConfig
from attnkit.models.rcnn.config import MaskRcnnConfig
from attnkit.new_recipe.networks import DETECTOR_PATCH, DETECTORS, DetectorNetwork, detector_bytes, supported
from attnkit.new_recipe.own_data import OwnData
from attnkit.new_recipe.sizing import (
    ImageSurvey,
    Machine,
    SizedRecipe,
    TrainingLength,
    largest_affordable,
    power_of_two,
    training_length,
    why_no_larger,
)
from attnkit.recipes.detection.recipe import DetectionBatchConfig, DetectionInferenceConfig, DetectionRecipe
from attnkit.structures.arrays import Size

FEW_IMAGES = 10_000
"""With fewer, pretrained weights help more than anything else (He et al. 2018, arXiv:1811.08883)."""
MOST_ON_CORES, MOST_ON_GPU = 320, 800
"""Pixels of the shorter side."""
LEAST_SIDE = 128
LEAST_OBJECT = 8
"""Pixels of the side of a box, two cells of the finest map; smaller ones are enlarged where there is room."""
LEAST_EPOCHS = 20
"""A network that gets fewer in the time available is replaced by a smaller one, or gets smaller images."""
AVERAGED = 2000
"""From so many steps on an average of the weights is kept, which covers the last five hundred or so."""
_STRIDE = 32
_SCALES = (8, 4, 2)
"""Sides of anchors in cells; the largest is that of the papers."""
_LEVELS = 5
_VARIED = (0.75, 0.875, 1.0, 1.125, 1.25)
"""Shorter sides in training, times that of use."""


@dataclass(frozen=True)
class ObjectSurvey(ImageSurvey):
    """What was found in somebody's images and objects. Crowds do not count as objects here."""

    with_objects: float
    """Share of the images; the others are not trained on."""
    num_classes: int
    masks: bool
    """Whether enough objects have an outline for a mask head."""
    outlined: float
    """Share of the objects with an outline."""
    ratio: float
    """Longer side over shorter one, of nine in ten images at most."""
    objects: float
    """Per image, in the mean."""
    most_objects: int
    """On one image."""
    box_sides: tuple[float, float, float]
    """Roots of the areas of boxes over the shorter sides of their images: a quarter, the half and nine tenths of the
    objects have at most these."""


def size_recipe(
    name: str,
    data: OwnData,
    survey: ObjectSurvey,
    machine: Machine,
    speed: Callable[[MaskRcnnConfig, Size], float],
    *,
    minutes: float,
    side: int | None,
) -> SizedRecipe[DetectionRecipe]:
    """Choose sizes, anchors, network, batches and steps.

    `speed` measures the training images a second of a model at a size; `side`, the shorter one, is that of the user.
    """
    held_back = survey.held_back
    images = max(1, round(held_back.left * survey.with_objects))
    sides = [side] if side is not None else _sides(survey, machine)
    networks = supported(DETECTORS, survey.train, published=machine.is_gpu)
    (network, short), rate, too_slow = largest_affordable(
        [(network, short) for short in sides for network in networks],
        lambda candidate: speed(_model(*candidate, survey), _shape(survey, candidate[1])),
        minutes=minutes,
        images=round(LEAST_EPOCHS * survey.train * survey.with_objects),
    )
    model = _model(network, short, survey)
    batch = _batch(images, machine, model, survey, _shape(survey, short))
    length = training_length(images, per_step=batch, epochs=_epochs(images), rate=rate, minutes=minutes)
    short_sides = tuple(_rounded(short * factor, to=16) for factor in _VARIED)
    detections = enough_detections(survey.most_objects)
    recipe = DetectionRecipe(
        task="detection",
        name=name,
        data=data.changed(hold_back=held_back.config),
        image=DetectionImageConfig(short_side=short, long_side=_rounded_up(short_sides[-1] * survey.ratio)),
        augment=DetectionAugmentConfig(short_sides=short_sides, flip=0.5),
        model=model,
        inference=DetectionInferenceConfig(max_detections=detections),
        batch=DetectionBatchConfig(images=batch),
        train=_train(length, lr=float(f"{network.lr * (batch / 4) ** 0.5:.2g}")),
    )
    reasons = (
        _why_size(survey, short, chosen=side is not None, too_slow=too_slow),
        _why_augmentation(short_sides),
        _why_anchors(survey, short, model.rpn.anchor_scale),
        _why_masks(survey),
        _why_detections(survey, detections),
        f"network: {network.name}: {network.why}; {model.rpn.proposals:,} proposals per image",
        f"batch: {batch} images; {length.epoch_line}",
        *length.reasons(machine, rate),
    )
    return SizedRecipe(recipe, length, reasons)


def _train(length: TrainingLength, *, lr: float) -> TrainConfig:
    return length.train(
        schedule=PolyConfig(name="poly", lr=lr, warmup_steps=min(500, max(1, length.steps // 10))),
        weight_decay=0.05,
        clip_norm=5.0,
        ema_decay=0.998 if length.steps >= AVERAGED else None,
        validations=6,
        keep_last=1,
        average_last=1,
    )


def _sides(survey: ObjectSurvey, machine: Machine) -> list[int]:
    """Shorter sides to try, the largest first: that of the images, or what makes small objects large enough."""
    wanted = min(max(survey.side, LEAST_OBJECT / survey.box_sides[0]), 2 * survey.side)
    most = MOST_ON_GPU if machine.is_gpu else MOST_ON_CORES
    largest = min(max(LEAST_SIDE, _rounded(wanted, to=_STRIDE)), most)
    return [largest, *(side for side in (640, 512, 384, 256, 192, LEAST_SIDE) if side < largest)]


def _model(network: DetectorNetwork, short: int, survey: ObjectSurvey) -> MaskRcnnConfig:
    most = survey.most_objects
    return network.config(
        anchor_scale=_anchor_scale(survey, short),
        proposals=300 if most <= 50 else 600 if most <= 150 else 1000,
        samples=128 if survey.objects <= 10 else 256,
        detections=enough_detections(most),
    )


def _anchor_scale(survey: ObjectSurvey, short: int) -> int:
    """The largest whose smallest anchor is at most one and a half times as wide as a quarter of the objects are."""
    small = survey.box_sides[0] * short
    return next((scale for scale in _SCALES if DETECTOR_PATCH * scale <= 1.5 * small), _SCALES[-1])


def _shape(survey: ObjectSurvey, short: int) -> Size:
    """Height and width of a usual image, padded as a batch is."""
    return _rounded_up(short), _rounded_up(short * survey.ratio)


def _epochs(images: int) -> int:
    """How often images are of use without pretrained weights: COCO's 72 times, and few images need more."""
    return 200 if images < 1000 else 100 if images < 10_000 else 72


def _batch(images: int, machine: Machine, model: MaskRcnnConfig, survey: ObjectSurvey, size: Size) -> int:
    """What memory holds, and some ten steps an epoch."""
    wanted = min(16 if machine.is_gpu else 4, max(2, images // 10))
    fits = machine.fitting_images(detector_bytes(model, size, masks=survey.masks))
    return power_of_two(max(1, min(wanted, fits, images)))


def _why_size(survey: ObjectSurvey, short: int, *, chosen: bool, too_slow: int) -> str:
    why = "as you ask" if chosen else f"half of the images have {survey.side} or fewer"
    if not chosen and short > survey.side:
        if survey.box_sides[0] * survey.side < LEAST_OBJECT:
            why += f", and a quarter of their objects would be under {LEAST_OBJECT} wide"
        elif short == LEAST_SIDE:
            why += f"; {LEAST_SIDE} is the minimum"
    can_be_larger = not chosen and short < survey.side // _STRIDE * _STRIDE
    why += why_no_larger(too_slow, epochs=LEAST_EPOCHS, can_be_larger=can_be_larger)
    return f"size: a shorter side of {short} pixels: {why}"


def _why_augmentation(short_sides: Sequence[int]) -> str:
    return (
        f"augmentation: shorter sides of {short_sides[0]} to {short_sides[-1]} pixels, mirroring left and right; --set "
        "augment.flip=0 where left and right matter, --set augment.flip_vertical=0.5 where images have no up"
    )


def _why_anchors(survey: ObjectSurvey, short: int, scale: float) -> str:
    quarter, half, most = (short * share for share in survey.box_sides)
    first, last = DETECTOR_PATCH * scale, DETECTOR_PATCH * scale * 2 ** (_LEVELS - 1)
    return (
        f"anchors: {first:g} to {last:g} pixels wide, because a quarter of the objects have at most {quarter:.3g} at "
        f"that size, half {half:.3g}, nine in ten {most:.3g}: model.rpn.anchor_scale={scale:g}"
    )


def _why_masks(survey: ObjectSurvey) -> str:
    if survey.masks:
        return (
            "masks: the objects have outlines, so there is a mask head; boxes alone take less time: "
            "--set data.masks=false"
        )
    have = (
        f"{survey.outlined:.0%} of the objects have an outline, too few,"
        if survey.outlined
        else "the objects have no outlines,"
    )
    return f"masks: {have} so there is no mask head, and boxes alone are scored"


def _why_detections(survey: ObjectSurvey, detections: int) -> str:
    found = f"objects: {survey.objects:.3g} per image, {survey.most_objects:,} at most"
    if detections == USUAL_DETECTIONS:
        return f"{found}: {USUAL_DETECTIONS} detections per image are enough"
    return (
        f"{found}: up to {detections:,} detections per image are kept and scored, inference.max_detections; the "
        f"usual {USUAL_DETECTIONS} would lose the rest"
    )


def _rounded(number: float, *, to: int) -> int:
    return max(to, round(number / to) * to)


def _rounded_up(number: float) -> int:
    return -int(-number // _STRIDE) * _STRIDE

"""A segmentation recipe for somebody's own images and masks, and why it is as large as it is."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np

from attnkit.data.finding import listed
from attnkit.data.segmentation.config import MaskFilesConfig, SegmentationAugmentConfig, SegmentationImageConfig
from attnkit.data.segmentation.mask_files import MaskFiles, MaskFileSplits
from attnkit.data.segmentation.named_ids import BlackAndWhiteError
from attnkit.data.segmentation.segmentation_set import LabelMap, pixels_per_class
from attnkit.engine.config import PolyConfig
from attnkit.errors import DataError
from attnkit.models.config import UperNetConfig
from attnkit.new_recipe.networks import (
    SEGMENTER_FLAT,
    SEGMENTERS,
    SMALL_CROP,
    SWIN_KEYS,
    SegmenterNetwork,
    segmenter_bytes,
    supported,
)
from attnkit.new_recipe.own_data import mask_data
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
from attnkit.new_recipe.speed import segmenter_speed
from attnkit.recipes.base import ImageBatchConfig
from attnkit.recipes.segmentation.recipe import SegmentationLossConfig, SegmentationRecipe
from attnkit.structures.arrays import IntArray

FEWEST_IMAGES = 10
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
_SHOWN = (
    *("model.name", "model.channels", "model.auxiliary_channels", "model.pool_scales"),
    *(f"model.backbone.{key}" for key in SWIN_KEYS),
    "train.optimizer.weight_decay",
)


@dataclass(frozen=True)
class MaskSurvey(ImageSurvey):
    """What was found in somebody's images and masks."""

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
    config = mask_data(images, masks, classes)
    try:
        config, opened = _open(config)
        train = opened.training
        valid, test = (opened.open(split) for split in ("valid", "test"))
        survey = _survey(images, train, len(valid or ()), len(test or ()))
    except DataError as error:  # it names a key of a recipe, which does not exist yet
        raise DataError(str(error).replace("data.classes", "--classes")) from None
    what = "training images with masks"
    refuse_too_few(images, len(train), least=FEWEST_IMAGES, what=what, hundreds="for a useful model")
    machine = this_machine()
    data = config.changed(classes=config.classes or train.class_names)
    sized = size_recipe(name, data, survey, machine, segmenter_speed, minutes=machine.minutes(minutes), crop=crop)
    reasons = (
        f"{images}: {survey.counts} with masks of {len(survey.shares):,} classes",
        *_what_masks_mean(config, classes),
        *why_held_back(survey.held_back, "the images", together="equal images stay together"),
        *sized.reasons,
    )
    comments = init_comment("backbone", lr="6e-5")
    warnings = _warnings(train, survey, output)
    return write_recipe(output, sized.recipe, reasons, warnings, shown=_SHOWN, comments=comments)


def _open(config: MaskFilesConfig) -> tuple[MaskFilesConfig, MaskFileSplits]:
    """Find images and masks; in black and white masks 0 is taken for background and 255 for object."""
    try:
        return config, MaskFileSplits(config)
    except BlackAndWhiteError:
        config = config.changed(classes={0: "background", 255: "object"}, ignore=())
        return config, MaskFileSplits(config)


def _survey(images: str, train: MaskFiles, valid: int, test: int) -> MaskSurvey:
    """Sizes and classes of a sample of the masks; `valid` and `test` are how many images those sets have."""
    chosen, names = sample(len(train)), train.class_names
    masks, broken = read_each(chosen, lambda index: _count_pixels(train.read_labels(index), len(names)))
    sides, pixels_of_masks = zip(*masks, strict=True)
    pixels, masks_with = np.sum(pixels_of_masks, axis=0), np.count_nonzero(pixels_of_masks, axis=0)
    if (masks_with > 0).sum() < 2:
        there = "only one class" if masks_with.any() else "no class"
        raise DataError(
            f"{train.mask_place(0)}: {len(sides)} sampled masks hold {there}; expected at least two, 0, 1 and so on; "
            "make the masks again, or say with --classes what pixel values mean"
        )
    return MaskSurvey(
        path=images,
        train=len(train),
        valid=valid,
        test=test,
        side=round(median(sides)),
        shares=dict(zip(names, (pixels / pixels.sum()).tolist(), strict=True)),
        masks_with=dict(zip(names, masks_with.tolist(), strict=True)),
        sampled=len(chosen),
        broken=broken,
    )


def _count_pixels(labels: LabelMap, num_classes: int) -> tuple[int, IntArray]:
    """The shorter side of a mask, and its pixels of each class."""
    return min(labels.shape), pixels_per_class(labels, num_classes)


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


def size_recipe(
    name: str,
    data: MaskFilesConfig,
    survey: MaskSurvey,
    machine: Machine,
    speed: Callable[[UperNetConfig, int, int], float],
    *,
    minutes: float,
    crop: int | None,
) -> SizedRecipe[SegmentationRecipe]:
    """Choose crop, network, batches and steps.

    `speed` measures the training images a second of a model, at a crop of so many pixels, of so many classes; `crop` is
    that of the user.
    """
    held_back = survey.held_back
    crops = [crop] if crop else _crops(survey.side, machine)
    (network, size), rate, too_slow = largest_affordable(
        [(network, size) for size in crops for network in _networks(survey, size, machine)],
        lambda candidate: speed(candidate[0].config(candidate[1]), candidate[1], len(survey.shares)),
        minutes=minutes,
        images=LEAST_EPOCHS * survey.train,
    )
    short_side = size * 3 // 2 if survey.side > 2 * size else None
    model = network.config(size)
    batch = _batch(held_back.left, size, machine, model, len(survey.shares))
    length = training_length(held_back.left, per_step=batch, epochs=_epochs(held_back.left), rate=rate, minutes=minutes)
    lr = float(f"{network.lr * (batch / 16) ** 0.5:.2g}")
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
        train=length.train(
            schedule=PolyConfig(name="poly", lr=lr, warmup_steps=min(1500, max(1, length.steps // 10))),
            weight_decay=0.01,
            clip_norm=1.0,
            validations=15,
            keep_last=3,
            average_last=1,
        ),
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

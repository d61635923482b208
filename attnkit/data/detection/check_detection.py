"""A linter for images and their objects: what in them will hurt training or scoring, why, and how to fix it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from attnkit.data.config import Split
from attnkit.data.detection.check_objects import ObjectsCheck
from attnkit.data.detection.config import DetectionDataConfig, DetectionShapesConfig
from attnkit.data.detection.detection_set import DetectionSet
from attnkit.data.detection.enough_detections import USUAL_LIMITS, DetectionLimits
from attnkit.data.finding import DataReport, Finding, listed
from attnkit.data.images.check_splits import Progress, SplitCheck, SplitStats, check_splits, hash_of
from attnkit.structures.arrays import FloatArray

_SMALL, _LARGE = 32**2, 96**2
"""COCO's bounds between small, medium and large, in square pixels."""
_UNSEEN = "how well they are found cannot be measured"


@dataclass
class DetectionStats(SplitStats):
    """Figures of a split and its objects."""

    objects: dict[str, int] = field(default_factory=dict)
    """How many there are of each class; crowds are left out, here and below."""
    images_with: dict[str, int] = field(default_factory=dict)
    """How many images have an object of the class."""
    crowds: int = 0
    empty_images: int = 0
    """How many images have no object."""
    most_objects: int = 0
    """How many objects the fullest image has."""
    full_images: int = 0
    """How many images have more objects than a detector finds; see DetectionLimits."""
    by_size: tuple[int, int, int] = (0, 0, 0)
    """Objects that are small, medium and large, as COCO divides them."""
    usual_sides: tuple[float, float, float] | None = None
    """Square roots of the areas of boxes: the 10th, 50th and 90th percentile; None where there are no boxes."""
    has_masks: bool = False
    usual_short_side: int | None = None
    """Median of the shorter sides of the images."""


def check_detection(
    config: DetectionDataConfig,
    data: Mapping[Split, DetectionSet | None],
    *,
    quick: bool = False,
    limits: DetectionLimits = USUAL_LIMITS,
    progress: Progress | None = None,
) -> DataReport[DetectionStats]:
    """Look for everything in a recipe's data that makes training fail or its scores misleading.

    Args:
        data: its opened splits; none is opened before the one before it was checked.
        quick: draw the outlines of some images of each split, and read no more than the headers of images; what is cut
            off later, what stands twice, and outlines that do not fit their boxes go unseen. Where images are held
            back, files that are of one size and begin alike are read whole, as in training: equal ones stay together.
    """

    def start(split: Split, images: DetectionSet) -> SplitCheck[DetectionSet, DetectionStats]:
        return _DetectionCheck(split, images, with_areas=config.format == "coco", limits=limits)

    return check_splits(data, start, partial(_missing, config), quick=quick, progress=progress)


def _missing(config: DetectionDataConfig, split: Split, trained: int) -> tuple[str, str]:
    """No images are named, and no share of the training images is held back, or one that comes to none of them."""
    share = 0.0 if isinstance(config, DetectionShapesConfig) else getattr(config.hold_back, split)
    what, fix = "no images", f"name {split} images and their annotations as data.{split}"
    if share:
        what += f", for data.hold_back.{split}={share:g} of {trained} is none"
    fix += f", or set data.hold_back.{split}={max(0.1, 1 / trained):.1g}" if trained > 1 else ", or add images"
    return what, fix


class _DetectionCheck(SplitCheck[DetectionSet, DetectionStats]):
    """Checks every image of a split and its objects."""

    def __init__(self, split: Split, images: DetectionSet, *, with_areas: bool, limits: DetectionLimits) -> None:
        super().__init__(split, images, DetectionStats(len(images), has_masks=images.has_masks))
        self._limits, self._objects = limits, ObjectsCheck(images, with_areas=with_areas)

    def read(self, index: int, *, decode: bool, chosen: bool) -> None:
        """Read the objects of an image, and its header or all of it."""
        self.sizes[index] = size = self.images.header_size(index)
        drawn = None
        if decode:
            pixels, drawn = self.images.read(index)
            self.hashes[index] = hash_of(pixels)
        elif chosen:
            drawn = self.images.read_objects(index)
        self._objects.add(index, self.images.annotations(index), size, drawn)

    def run(self, *, quick: bool, progress: Progress | None = None) -> None:
        """Read every image, then count their objects."""
        super().run(quick=quick, progress=progress)
        self._count()

    def _count(self) -> None:
        stats, names, table = self.stats, self.images.class_names, self._objects.table()
        one = ~table.crowd
        labels, images = table.labels[one], table.images[one]
        stats.objects = dict(zip(names, np.bincount(labels, minlength=len(names)).tolist(), strict=True))
        pairs = np.unique(images * len(names) + labels)
        with_class = np.bincount(pairs % len(names), minlength=len(names))
        stats.images_with = dict(zip(names, with_class.tolist(), strict=True))
        stats.crowds = int(table.crowd.sum())
        per_image = np.bincount(images, minlength=len(self.images))
        read = self.sizes.prod(1) > 0
        stats.empty_images = int((read & (per_image == 0)).sum())
        stats.full_images = int((per_image > self._limits.objects).sum())
        stats.most_objects = int(per_image.max(initial=0))
        self._measure(table.sizes()[one], table.box_areas()[one])

    def _measure(self, areas: FloatArray, boxes: FloatArray) -> None:
        stats, sizes = self.stats, self.sizes.prod(1)
        small, large = int((areas < _SMALL).sum()), int((areas > _LARGE).sum())
        stats.by_size = small, len(areas) - small - large, large
        if len(boxes):
            low, middle, high = np.quantile(np.sqrt(boxes), (0.1, 0.5, 0.9)).tolist()
            stats.usual_sides = low, middle, high
        if known := np.flatnonzero(sizes).tolist():
            stats.usual_short_side = int(np.median(self.sizes[known].min(1)))

    def findings(self, trained: SplitCheck[DetectionSet, DetectionStats]) -> list[Finding]:
        """What is wrong with images and objects, and what training does not have."""
        return [
            *self.unreadable("images or their annotations are broken or do not fit", "fix them too"),
            *self._other_classes(trained.images),
            *self._objects.findings(),
            *self._full_images(),
            *self._balance(),
            *self.repeated(),
        ]

    def _other_classes(self, trained: DetectionSet) -> list[Finding]:
        own, place = self.images, f"data.{self.split}"
        found = self.other_classes(own.class_names, trained.class_names)
        if not found and own.category_ids != trained.category_ids:
            what = f"category ids {listed(own.category_ids)}, but training has {listed(trained.category_ids)}"
            why = "written results have the ids of training, and fit only its json"
            found.append(Finding("warning", place, what, why, "give the categories the same ids in both"))
        if trained.has_masks and not own.has_masks:
            what, why = "boxes alone, but the training objects have masks", "masks cannot be scored"
            found.append(Finding("warning", place, what, why, "add outlines, or leave them out with data.masks=false"))
        return found

    def _full_images(self) -> list[Finding]:
        """Objects of an image beyond those that the detector finds."""
        stats = self.stats
        if not stats.full_images:
            return []
        place, most = f"data.{self.split}", stats.most_objects
        return [self._limits.finding(place, full_images=stats.full_images, images=stats.images, most_objects=most)]

    def _balance(self) -> list[Finding]:
        counts, place = self.stats.objects, f"data.{self.split}"
        if not any(counts.values()):
            what, fix = "no image has an object", "add annotations, or correct where they are"
            if self.split == "train":
                return [Finding("error", place, what, "there is nothing to learn", fix)]
            return [Finding("warning", place, what, _UNSEEN, fix)]
        found = []
        if absent := [name for name, count in counts.items() if not count]:
            what = f"no object of {len(absent)} of {len(counts)} classes, {listed(absent)}"
            why = "they cannot be learned" if self.split == "train" else _UNSEEN
            found.append(Finding("warning", place, what, why, "add images of them"))
        return [*found, *self.on_few_images(self.stats.images_with)] if self.split == "train" else found

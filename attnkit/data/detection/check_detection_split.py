"""The part of the data check that looks at the images of one split, and at how many objects of each class they have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from attnkit.data.config import Split
from attnkit.data.data_root import listed
from attnkit.data.detection.check_objects import ObjectsCheck
from attnkit.data.detection.detection_set import DetectionSet
from attnkit.data.detection.enough_detections import DetectionLimits
from attnkit.data.finding import Finding
from attnkit.data.images.check_equal_images import Hashes, hash_of, repeated_images
from attnkit.errors import DataError

_TOLD_EVERY = 500
_MOST_NAMED = 10
_QUICK_IMAGES = 200
"""Of a split whose outlines are drawn in a quick look, evenly chosen."""
_FEW_IMAGES = 5
"""That a class is to be seen on in training."""
_SMALL, _LARGE = 32**2, 96**2
"""COCO's bounds between small, medium and large, in square pixels."""
_UNSEEN = "how well they are found cannot be seen"


@dataclass
class DetectionStats:
    """Figures of a split."""

    images: int = 0
    objects: dict[str, int] = field(default_factory=dict)
    """Of each class, crowds left out; so are they below."""
    images_with: dict[str, int] = field(default_factory=dict)
    """How many images have an object of the class."""
    crowds: int = 0
    empty_images: int = 0
    """Without any object."""
    most_objects: int = 0
    """On one image."""
    full_images: int = 0
    """With more objects than a detector finds; see DetectionLimits."""
    by_size: tuple[int, int, int] = (0, 0, 0)
    """Objects that are small, medium and large, as COCO tells them apart."""
    usual_sides: tuple[float, float, float] | None = None
    """Of the roots of the areas of boxes: the tenth, the half and nine tenths; None where there are none."""
    has_masks: bool = False
    broken: int = 0
    """Images and annotations of one, of what was looked at."""
    smallest: tuple[int, int] | None = None
    """Height and width of the image of the smallest area; None if none could be read."""
    largest: tuple[int, int] | None = None
    usual_short_side: int | None = None
    """Half of the images have a shorter side of at most this."""


class DetectionSplitCheck:
    """Looks at every image of a split and its objects."""

    def __init__(self, split: Split, images: DetectionSet, *, with_areas: bool, limits: DetectionLimits) -> None:
        """Take the images; none is read yet.

        Args:
            split: which one.
            images: of the split.
            with_areas: whether their annotations are of a kind that says areas.
            limits: how many objects of an image the detector finds.
        """
        self.split, self.images, self._limits = split, images, limits
        self.stats = DetectionStats(len(images), has_masks=images.has_masks)
        self.hashes: Hashes = np.zeros(len(images), dtype=np.uint64)
        self._sizes = np.zeros((len(images), 2), dtype=np.int64)
        self._objects = ObjectsCheck(images, with_areas=with_areas)
        self._broken: list[str] = []

    def look(self, *, quick: bool, progress: Callable[[Split, int, int], None] | None = None) -> None:
        """Read every image and its objects; quick: see `check_detection`."""
        total = len(self.images)
        chosen = set(np.linspace(0, total - 1, min(total, _QUICK_IMAGES)).astype(int).tolist()) if quick else set()
        for index in range(total):
            try:
                self._look_at(index, decode=not quick, draw=index in chosen)
            except DataError as error:
                self._broken += str(error).splitlines()
            if progress is not None and (index + 1) % _TOLD_EVERY == 0:
                progress(self.split, index + 1, total)
        self._sum_up()

    def _look_at(self, index: int, *, decode: bool, draw: bool) -> None:
        size = self.images.header_size(index)
        self._sizes[index] = size
        drawn = None
        if decode:
            pixels, drawn = self.images.read(index)
            self.hashes[index] = hash_of(pixels)
        elif draw:
            drawn = self.images.read_objects(index)
        self._objects.add(index, self.images.annotations(index), size, drawn)

    def _sum_up(self) -> None:
        stats, names, seen = self.stats, self.images.class_names, self._objects.seen()
        stats.broken = len(self._broken)
        one = ~seen.crowd
        labels, images = seen.labels[one], seen.images[one]
        stats.objects = dict(zip(names, np.bincount(labels, minlength=len(names)).tolist(), strict=True))
        pairs = np.unique(images * len(names) + labels)
        with_class = np.bincount(pairs % len(names), minlength=len(names))
        stats.images_with = dict(zip(names, with_class.tolist(), strict=True))
        stats.crowds = int(seen.crowd.sum())
        per_image = np.bincount(images, minlength=len(self.images))
        read = self._sizes.prod(1) > 0
        stats.empty_images = int((read & (per_image == 0)).sum())
        stats.full_images = int((per_image > self._limits.objects).sum())
        stats.most_objects = int(per_image.max(initial=0))
        self._sum_up_sizes(seen.sizes()[one], seen.box_areas()[one])

    def _sum_up_sizes(self, areas: NDArray[np.float64], boxes: NDArray[np.float64]) -> None:
        stats, sizes = self.stats, self._sizes.prod(1)
        small, large = int((areas < _SMALL).sum()), int((areas > _LARGE).sum())
        stats.by_size = small, len(areas) - small - large, large
        if len(boxes):
            low, middle, high = np.quantile(np.sqrt(boxes), (0.1, 0.5, 0.9)).tolist()
            stats.usual_sides = low, middle, high
        if known := np.flatnonzero(sizes).tolist():
            ends = min(known, key=sizes.__getitem__), max(known, key=sizes.__getitem__)
            stats.smallest, stats.largest = (tuple(self._sizes[end].tolist()) for end in ends)
            stats.usual_short_side = int(np.median(self._sizes[known].min(1)))

    def findings(self, *, trained: DetectionSet) -> list[Finding]:
        """What was found, after looking; `trained` are the training images."""
        return [
            *self._unreadable(),
            *self._other_classes(trained),
            *self._objects.findings(),
            *self._full_images(),
            *self._balance(),
            *repeated_images(self),
        ]

    def _unreadable(self) -> list[Finding]:
        """Broken images stop evaluation; in training others stand in for them."""
        found = [Finding.from_error(message) for message in self._broken[:_MOST_NAMED]]
        if more := self._broken[_MOST_NAMED:]:
            what = f"{len(more)} more images or their annotations are broken or do not fit"
            found.append(Finding("error", f"data.{self.split}", what, "all should be whole", "fix them too"))
        if self.split == "train" and len(self._broken) < len(self.images):
            return [Finding("warning", one.place, one.what, one.why, one.fix) for one in found]
        return found

    def _other_classes(self, trained: DetectionSet) -> list[Finding]:
        own, place = self.images, f"data.{self.split}"
        found = []
        if own.class_names != trained.class_names:
            what = (
                f"{len(own.class_names)} classes, {listed(own.class_names)}, but training has "
                f"{len(trained.class_names)}, {listed(trained.class_names)}"
            )
            why = "a class would be scored as another one"
            found.append(Finding("error", place, what, why, "give both the same categories"))
        elif own.category_ids != trained.category_ids:
            what = f"category ids {_numbers(own.category_ids)}, but training has {_numbers(trained.category_ids)}"
            why = "results that are written carry those of training, and fit no json but its own"
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
        return [
            self._limits.finding(
                f"data.{self.split}",
                full_images=stats.full_images,
                images=stats.images,
                most_objects=stats.most_objects,
            )
        ]

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
            why = "they cannot be learnt" if self.split == "train" else _UNSEEN
            found.append(Finding("warning", place, what, why, "add images of them"))
        if self.split != "train":
            return found
        few = [f"{name} ({count})" for name, count in self.stats.images_with.items() if 0 < count < _FEW_IMAGES]
        if few and len(self.images) > _FEW_IMAGES:
            what = f"on fewer than {_FEW_IMAGES} images are {len(few)} of {len(counts)} classes, {listed(few)}"
            found.append(Finding("warning", place, what, "a class is hardly learnt from so few", "add images of them"))
        return found


def _numbers(ids: Sequence[int]) -> str:
    return listed([str(number) for number in ids])

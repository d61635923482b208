"""The part of the data check that looks at the images and masks of one split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from attnkit.data.config import Split
from attnkit.data.data_root import listed
from attnkit.data.finding import Finding, and_more
from attnkit.data.images.check_equal_images import Hashes, hash_of
from attnkit.data.segmentation.check_mask_values import OutsideValues
from attnkit.data.segmentation.mask_classes import MaskCounts, counts_of
from attnkit.data.segmentation.mask_files import MaskFiles
from attnkit.data.segmentation.segmentation_set import SegmentationSet
from attnkit.errors import DataError
from attnkit.structures.arrays import IntArray

_TOLD_EVERY = 500
_MOST_NAMED = 10
_QUICK_MASKS = 200
"""Of a split that are decoded in a quick look, evenly chosen."""
_RARE = 0.001
"""Share of the labelled pixels."""
_FEW_IMAGES = 5
"""That a class is to be seen on in training."""
_MOSTLY = 0.97
"""Share of the labelled pixels of one class, of which nearly all of a score comes then."""
_HALF = 0.5


@dataclass
class SegmentationStats:
    """Figures of a split."""

    images: int = 0
    masks_read: int = 0
    """Whose pixels were counted; a quick look decodes some."""
    pixels: dict[str, int] = field(default_factory=dict)
    """Of each class, over the masks read."""
    images_with: dict[str, int] = field(default_factory=dict)
    """How many of the masks read have a pixel of the class."""
    ignored_pixels: int = 0
    broken: int = 0
    """Images and masks, of what was looked at."""
    smallest: tuple[int, int] | None = None
    """Height and width of the image of the smallest area; None if none could be read."""
    largest: tuple[int, int] | None = None


class SegmentationSplitCheck:
    """Looks at every image of a split and its mask."""

    def __init__(self, split: Split, images: SegmentationSet) -> None:
        """Take the images; none is read yet."""
        self.split, self.images = split, images
        self.stats = SegmentationStats(len(images))
        self.hashes: Hashes = np.zeros(len(images), dtype=np.uint64)
        self._sizes = np.zeros((len(images), 2), dtype=np.int64)
        self._counts: IntArray = np.zeros((len(images), len(images.class_names)), dtype=np.int64)
        self._ignored: IntArray = np.zeros(len(images), dtype=np.int64)
        self._read = np.zeros(len(images), dtype=np.bool_)
        self._outside = OutsideValues(split, images)
        self._broken: list[str] = []

    def look(self, *, quick: bool, progress: Callable[[Split, int, int], None] | None = None) -> None:
        """Read every image and mask; quick: see `check_segmentation`."""
        total = len(self.images)
        chosen = set(np.linspace(0, total - 1, min(total, _QUICK_MASKS)).astype(int).tolist()) if quick else set()
        for index in range(total):
            try:
                self._sizes[index] = self.images.size(index)
                if not quick:
                    self._decode(index)
                elif index in chosen:
                    self._count(index)
            except DataError as error:
                self._broken += str(error).splitlines()
            if progress is not None and (index + 1) % _TOLD_EVERY == 0:
                progress(self.split, index + 1, total)
        self._sum_up()

    def _sum_up(self) -> None:
        stats, names = self.stats, self.images.class_names
        stats.broken = len(self._broken)
        stats.masks_read = int(self._read.sum())
        stats.pixels = dict(zip(names, self._counts.sum(0).tolist(), strict=True))
        stats.images_with = dict(zip(names, (self._counts > 0).sum(0).tolist(), strict=True))
        stats.ignored_pixels = int(self._ignored.sum())
        areas = self._sizes.prod(1)
        if known := np.flatnonzero(areas).tolist():
            ends = min(known, key=areas.__getitem__), max(known, key=areas.__getitem__)
            stats.smallest, stats.largest = (tuple(self._sizes[end].tolist()) for end in ends)

    def _decode(self, index: int) -> None:
        """Both, and each once."""
        if isinstance(self.images, MaskFiles):
            self._count(index)
            pixels = self.images.read_image(index)
        else:
            pixels, labels = self.images.read(index)
            self._add(index, counts_of(labels.numpy(), len(self.images.class_names)))
        self.hashes[index] = hash_of(pixels)

    def _count(self, index: int) -> None:
        """The mask alone."""
        images = self.images
        if isinstance(images, MaskFiles):
            counts = images.classes.count(images.read_values(index), images.mask_place(index))
            self._outside.add(index, counts)
            self._add(index, counts)
        else:
            self._add(index, counts_of(images.read_labels(index), len(images.class_names)))

    def _add(self, index: int, counts: MaskCounts) -> None:
        self._counts[index], self._ignored[index] = counts.per_class, sum(counts.ignored.values())
        self._read[index] = True

    def findings(self, *, trained: tuple[str, ...]) -> list[Finding]:
        """What was found, after looking; `trained` are the classes of the training images."""
        return [
            *self._unreadable(),
            *self._outside.findings(),
            *self._other_classes(trained),
            *self._without_class(),
            *self._balance(),
            *self._duplicates(),
        ]

    def _unreadable(self) -> list[Finding]:
        """Broken images stop evaluation; in training others stand in for them."""
        found = [Finding.from_error(message) for message in self._broken[:_MOST_NAMED]]
        if more := self._broken[_MOST_NAMED:]:
            what = f"{len(more)} more images or masks are broken or do not fit"
            found.append(Finding("error", f"data.{self.split}", what, "all should be whole", "fix them too"))
        if self.split == "train" and len(self._broken) < len(self.images):
            return [Finding("warning", one.place, one.what, one.why, one.fix) for one in found]
        return found

    def _other_classes(self, trained: tuple[str, ...]) -> list[Finding]:
        own = self.images.class_names
        if own == trained:
            return []
        what = f"{len(own)} classes, {listed(own)}, but training has {len(trained)}, {listed(trained)}"
        why = "a class would be scored as another one"
        return [Finding("error", f"data.{self.split}", what, why, "give both the same categories")]

    def _without_class(self) -> list[Finding]:
        """Masks whose pixels are all ignored, and many pixels that are."""
        empty = np.flatnonzero(self._read & (self._counts.sum(1) == 0) & (self._ignored > 0))
        found, place = [], f"data.{self.split}"
        if len(empty) and len(empty) == self._read.sum():
            what, why = "all pixels of all masks are ignored", "there is nothing to learn or to score"
            return [Finding("error", place, what, why, "see data.ignore, data.classes and data.reduce_zero_label")]
        if len(empty):
            what = f"all pixels are ignored{and_more(len(empty))}"
            why = "there is nothing to learn or to score on such an image"
            found.append(Finding("warning", self.images.mask_place(int(empty[0])), what, why, "label it, or remove it"))
        pixels, ignored = int(self._counts.sum()), int(self._ignored.sum())
        if ignored > _HALF * (pixels + ignored):
            what = f"{ignored / (pixels + ignored):.0%} of the pixels are ignored"
            why = "the model is never told what is there, and its scores say nothing of it"
            found.append(Finding("warning", place, what, why, "see data.ignore; give them a class if they are of one"))
        return found

    def _balance(self) -> list[Finding]:
        pixels, names, place = self._counts.sum(0), self.images.class_names, f"data.{self.split}"
        if not pixels.sum():
            return []
        found = []
        whole = self._read.all()
        if (absent := [name for name, count in zip(names, pixels, strict=True) if not count]) and whole:
            what = f"no pixel of {len(absent)} of {len(names)} classes, {listed(absent)}"
            why = "they cannot be learnt" if self.split == "train" else "how well they are found cannot be seen"
            found.append(Finding("warning", place, what, why, "add images of them, or correct data.classes"))
        return [*found, *self._training_balance(place)] if self.split == "train" else found

    def _training_balance(self, place: str) -> list[Finding]:
        pixels, names = self._counts.sum(0), self.images.class_names
        shares, masks = pixels / pixels.sum(), (self._counts > 0).sum(0)
        found = []
        if len(names) == 1:
            what = f"one class alone, {names[0]}"
            fix = "give the rest of the images a class too: see data.classes and data.ignore"
            found.append(Finding("error", place, what, "there is nothing to tell apart", fix))
        elif shares.max() > _MOSTLY:
            what = f"{shares.max():.1%} of the pixels are {names[int(shares.argmax())]}"
            why = "a model that always says so is nearly always right"
            fix = "see the scores per class; loss.class_weights=median_frequency helps"
            found.append(Finding("warning", place, what, why, fix))
        rare = [f"{name} ({share:.2%})" for name, share in zip(names, shares, strict=True) if 0 < share < _RARE]
        if rare:
            what = f"under {_RARE:.1%} of the pixels are of {len(rare)} of {len(names)} classes, {listed(rare)}"
            fix = "loss.class_weights=median_frequency; see the scores per class"
            found.append(Finding("warning", place, what, "the loss hardly sees them", fix))
        few = [f"{name} ({count})" for name, count in zip(names, masks, strict=True) if 0 < count < _FEW_IMAGES]
        if few and self._read.all() and len(self.images) > _FEW_IMAGES:
            what = f"on fewer than {_FEW_IMAGES} images are {len(few)} of {len(names)} classes, {listed(few)}"
            found.append(Finding("warning", place, what, "a class is hardly learnt from so few", "add images of them"))
        return found

    def _duplicates(self) -> list[Finding]:
        """Images that stand twice in this split."""
        order = np.argsort(self.hashes, kind="stable")
        ordered = self.hashes[order]
        again = np.flatnonzero((ordered[1:] == ordered[:-1]) & (ordered[1:] != 0)) + 1
        if not len(again):
            return []
        first, second = (self.images.place(int(order[again[0] - back])) for back in (1, 0))
        what = f"the same image stands there twice, at {first}{and_more(len(again))}"
        return [Finding("warning", second, what, "it counts double", "remove all but one")]

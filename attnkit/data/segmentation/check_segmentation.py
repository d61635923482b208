"""A linter for images and masks: what in them will hurt training or scoring, why, and how to fix it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from attnkit.data.config import Split
from attnkit.data.finding import DataReport, Finding, and_more, listed
from attnkit.data.images.check_splits import Progress, SplitCheck, SplitStats, check_splits, hash_of
from attnkit.data.segmentation.mask_classes import MaskCounts, counts_of
from attnkit.data.segmentation.mask_files import MaskFiles
from attnkit.data.segmentation.named_ids import WHITE, black_and_white
from attnkit.data.segmentation.segmentation_set import SegmentationSet
from attnkit.structures.arrays import IntArray

_RARE = 0.001
"""Share of the labelled pixels."""
_MOSTLY = 0.97
"""Share of the labelled pixels of one class, of which nearly all of a score comes then."""
_HALF = 0.5
_GREYS = 20
"""So many values outside the classes between black and white: a mask that was resized as photographs are."""


@dataclass
class SegmentationStats(SplitStats):
    """Figures of a split and its masks."""

    masks_read: int = 0
    """How many masks had their pixels counted; a quick check decodes some of them."""
    pixels: dict[str, int] = field(default_factory=dict)
    """How many pixels each class has in the masks read."""
    images_with: dict[str, int] = field(default_factory=dict)
    """How many of the masks read have a pixel of the class."""
    ignored_pixels: int = 0


def check_segmentation(
    data: Mapping[Split, SegmentationSet | None],
    *,
    quick: bool = False,
    progress: Progress | None = None,
) -> DataReport[SegmentationStats]:
    """Look for everything in a recipe's data that makes training fail or its scores misleading.

    Args:
        data: the opened splits; none is opened before the one before it was checked.
        quick: decode some masks of each split, and read no more than the headers of images and of the other masks; what
            is cut off later, what stands twice, and what other masks hold goes unseen.
    """
    return check_splits(data, _SegmentationCheck, _missing, quick=quick, progress=progress)


def _missing(split: Split, trained: int) -> tuple[str, str]:
    fix = f"name folders of {split} images and masks as data.{split}, or set data.hold_back.{split}=0.1"
    return "no images", fix


class _SegmentationCheck(SplitCheck[SegmentationSet, SegmentationStats]):
    """Checks every image of a split and its mask."""

    def __init__(self, split: Split, images: SegmentationSet) -> None:
        super().__init__(split, images, SegmentationStats(len(images)))
        self._counts: IntArray = np.zeros((len(images), len(images.class_names)), dtype=np.int64)
        self._ignored: IntArray = np.zeros(len(images), dtype=np.int64)
        self._read = np.zeros(len(images), dtype=np.bool_)
        self._outside = _OutsideValues(split, images)

    def read(self, index: int, *, decode: bool, chosen: bool) -> None:
        """Read the mask of an image, and its header or all of it."""
        self.sizes[index] = self.images.size(index)
        if decode:
            self._decode(index)
        elif chosen:
            self._count(index)

    def run(self, *, quick: bool, progress: Progress | None = None) -> None:
        """Read every image and mask, then add up their pixels."""
        super().run(quick=quick, progress=progress)
        stats, names = self.stats, self.images.class_names
        stats.masks_read = int(self._read.sum())
        stats.pixels = dict(zip(names, self._counts.sum(0).tolist(), strict=True))
        stats.images_with = dict(zip(names, (self._counts > 0).sum(0).tolist(), strict=True))
        stats.ignored_pixels = int(self._ignored.sum())

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

    def findings(self, trained: SplitCheck[SegmentationSet, SegmentationStats]) -> list[Finding]:
        """What is wrong with images and masks, and what training does not have."""
        return [
            *self.unreadable("images or masks are broken or do not fit", "fix them too"),
            *self._outside.findings(),
            *self.other_classes(self.images.class_names, trained.images.class_names),
            *self._without_class(),
            *self._balance(),
            *self.repeated(),
        ]

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
            why = "the model never learns what is there, and no score covers it"
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
            why = "they cannot be learned" if self.split == "train" else "how well they are found cannot be measured"
            found.append(Finding("warning", place, what, why, "add images of them, or correct data.classes"))
        return [*found, *self._training_balance(place)] if self.split == "train" else found

    def _training_balance(self, place: str) -> list[Finding]:
        pixels, names = self._counts.sum(0), self.images.class_names
        shares = pixels / pixels.sum()
        found = []
        if len(names) == 1:
            what = f"one class alone, {names[0]}"
            fix = "give the rest of the images a class too: see data.classes and data.ignore"
            found.append(Finding("error", place, what, "there is nothing to tell apart", fix))
        elif shares.max() > _MOSTLY:
            what = f"{shares.max():.1%} of the pixels are {names[int(shares.argmax())]}"
            why = "a model that always predicts it is nearly always right"
            fix = "see the scores per class; loss.class_weights=median_frequency helps"
            found.append(Finding("warning", place, what, why, fix))
        rare = [f"{name} ({share:.2%})" for name, share in zip(names, shares, strict=True) if 0 < share < _RARE]
        if rare:
            what = f"under {_RARE:.1%} of the pixels are of {len(rare)} of {len(names)} classes, {listed(rare)}"
            fix = "loss.class_weights=median_frequency; see the scores per class"
            found.append(Finding("warning", place, what, "they hardly count in the loss", fix))
        return [*found, *self.on_few_images(self.stats.images_with)] if self._read.all() else found


class _OutsideValues:
    """Collects, mask by mask, the values that are neither of a class nor ignored."""

    def __init__(self, split: Split, images: SegmentationSet) -> None:
        self._split, self._images = split, images
        self._first: dict[int, int] = {}
        """The first image of each value."""
        self._masks: dict[int, int] = {}
        self._wrong_masks = 0
        self._white: list[int] = []
        """Images whose masks hold 0 and an ignored 255 alone."""
        self._known: set[int] = set()
        """Values of classes and ignored ones that are there."""

    def add(self, index: int, counts: MaskCounts) -> None:
        """Take the counts of one mask."""
        for value in counts.outside:
            self._first.setdefault(value, index)
            self._masks[value] = self._masks.get(value, 0) + 1
        self._wrong_masks += bool(counts.outside)
        self._known.update(counts.ignored)
        if isinstance(self._images, MaskFiles):
            there = np.array(self._images.classes.ids)[counts.per_class > 0].tolist()
            self._known.update(there)
            if there == [0] and counts.ignored.keys() == {WHITE} and not counts.outside:
                self._white.append(index)

    def findings(self) -> list[Finding]:
        """What was found, after the last mask."""
        if not isinstance(self._images, MaskFiles):
            return []
        classes = self._images.classes
        if self._split == "train" and self._known == {0, WHITE} and WHITE in classes.ignored and not self._masks:
            return [Finding.from_error(str(black_and_white(f"data.{self._split}", [0, WHITE])))]
        if not self._masks:
            return self._some_white()
        values = sorted(self._masks)
        place = self._images.mask_place(self._first[values[0]])
        what = f"pixel value{'s' * (len(values) > 1)} {listed(values)} of no class"
        what += f", in {self._wrong_masks} masks" if self._wrong_masks > 1 else ""
        why = f"expected {listed(classes.ids)}, or {listed(classes.ignored)} to be ignored"
        return [Finding("error", place, what, why, self._fix(values)), *self._some_white()]

    def _some_white(self) -> list[Finding]:
        """Masks of 0 and white among those of class ids: their objects are ignored."""
        if not self._white:
            return []
        more = f", as are {len(self._white) - 1} more" if len(self._white) > 1 else ""
        what = f"its pixels are 0 and {WHITE} alone{more}, and {WHITE} is ignored"
        why = "expected the ids of what is there"
        fix = "make it again if its objects are white; nothing is wrong if there are none"
        return [Finding("warning", self._images.mask_place(self._white[0]), what, why, fix)]

    def _fix(self, values: list[int]) -> str:
        if values == [WHITE]:
            return (
                "if the masks are black and white, say what that means: data.classes={0: background, 255: object} and "
                "data.ignore=[]; if 255 is of no class, data.ignore=[255]"
            )
        if len(values) >= _GREYS:
            return (
                "if the masks were resized or saved as JPEG, make them again, resized to the nearest pixel and as PNG; "
                "else add to data.classes"
            )
        return "add to data.classes or data.ignore, or fix the masks"

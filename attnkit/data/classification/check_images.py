"""A linter for labelled images: what in them will hurt training or scoring, why, and how to fix it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from attnkit.data.classification.image_set import ArrayImages, FileImages, ImageSet
from attnkit.data.config import Split
from attnkit.data.finding import DO, DataReport, Finding, and_more, listed
from attnkit.data.images.check_splits import Progress, SplitCheck, SplitStats, check_splits, hash_of
from attnkit.data.images.decode import image_size
from attnkit.errors import DataError

_FEW_PER_CLASS = 10
_UNEVEN = 10.0
"""Images of the largest class over those of the smallest."""
_LONG = 5.0
"""Longer side over the shorter."""
_TINY, _HUGE = 16, 6000
"""Pixels of the shorter side; of the longer."""


@dataclass
class ImageStats(SplitStats):
    """Figures of a split."""

    per_class: dict[str, int] = field(default_factory=dict)


def check_images(
    data: Mapping[Split, ImageSet | None],
    *,
    quick: bool = False,
    progress: Progress | None = None,
) -> DataReport[ImageStats]:
    """Look for everything in a recipe's data that makes training fail or its scores misleading.

    Args:
        data: the opened splits; none is opened before the one before it was checked.
        quick: read only the headers of image files; what is cut off later, and what stands twice, goes unseen.
    """
    return check_splits(data, _ImageCheck, _missing, quick=quick, progress=progress)


def _missing(split: Split, trained: int) -> tuple[str, str]:
    return "no images", f"add a folder of {split} images, or set data.hold_back.{split}=0.1"


class _ImageCheck(SplitCheck[ImageSet, ImageStats]):
    """Checks every image of a split."""

    def __init__(self, split: Split, images: ImageSet) -> None:
        counts = np.bincount(images.labels, minlength=len(images.class_names)).tolist()
        per_class = dict(zip(images.class_names, counts, strict=True))
        super().__init__(split, images, ImageStats(len(images), per_class=per_class))

    def read(self, index: int, *, decode: bool, chosen: bool) -> None:
        """Read an image, or only the header of its file."""
        images = self.images
        if not decode and isinstance(images, ArrayImages):
            if message := images.broken(index):
                raise DataError(message)
            self.sizes[index] = images.size
        elif not decode and isinstance(images, FileImages):
            self.sizes[index] = image_size(images.tree.source(int(images.numbers[index])), images.place(index))
        else:
            pixels = images.read(index)
            self.sizes[index] = pixels.shape[1:]
            self.hashes[index] = hash_of(pixels)

    def findings(self, trained: SplitCheck[ImageSet, ImageStats]) -> list[Finding]:
        """What is wrong with the images and their classes."""
        return [
            *self.unreadable("images are broken", "copy them again"),
            *self._classes(),
            *self._duplicates(),
            *self._odd_sizes(),
        ]

    def _classes(self) -> list[Finding]:
        counts, place = self.stats.per_class, f"data.{self.split}"
        if self.split != "train":
            missing = [name for name, count in counts.items() if not count]
            if not missing:
                return []
            what = f"no image of {len(missing)} of {len(counts)} classes, {listed(missing)}"
            why = "how well they are told apart cannot be measured"
            return [Finding("warning", place, what, why, "add some, or hold more back")]
        found = []
        if len(counts) == 1:
            what = f"one class alone, {next(iter(counts))}"
            found.append(Finding("error", place, what, "there is nothing to tell apart", "add another class"))
        if few := [f"{name} ({count})" for name, count in counts.items() if count < _FEW_PER_CLASS]:
            what = f"fewer than {_FEW_PER_CLASS} images of {len(few)} of {len(counts)} classes, {listed(few)}"
            found.append(Finding("warning", place, what, "a class is hardly learned from so few", "add images"))
        most, least = (choose(counts, key=counts.__getitem__) for choose in (max, min))
        if counts[most] > _UNEVEN * counts[least]:
            what = f"{counts[most]} images of {most}, but {counts[least]} of {least}"
            why = "the model will prefer frequent classes"
            found.append(Finding("warning", place, what, why, "add images of the rare classes; see scores per class"))
        return found

    def _duplicates(self) -> list[Finding]:
        """Images that stand twice in this split."""
        second, first = self.repeats()
        labels = self.images.labels
        apart = labels[second] != labels[first]
        found = []
        for rows, classes, why, fix in (
            (np.flatnonzero(apart), "with another class", "one of the two labels is wrong", "remove one of them"),
            (np.flatnonzero(~apart), "twice", "it counts double", "remove all but one"),
        ):
            if len(rows):
                place, earlier = self.images.place(int(second[rows[0]])), self.images.place(int(first[rows[0]]))
                what = f"the same image is there {classes}, at {earlier}{and_more(len(rows), verbs=DO)}"
                found.append(Finding("warning", place, what, why, fix))
        return found

    def _odd_sizes(self) -> list[Finding]:
        shorter, longer = self.sizes.min(1, initial=1 << 30), self.sizes.max(1, initial=0)
        read = longer > 0
        found = []
        for odd, what, why, fix in (
            (read & (longer > _LONG * shorter), "very long", "a crop shows little of it", "cut it into parts"),
            (
                read & (shorter < _TINY),
                "very small",
                "there is little to see on it",
                "remove it, or take a larger copy",
            ),
            (read & (longer > _HUGE), "very large", "decoding takes most of the time", "make it smaller once"),
        ):
            if count := int(odd.sum()):
                first = int(np.flatnonzero(odd)[0])
                height, width = self.sizes[first].tolist()
                what += f", {width} x {height} pixels{and_more(count)}"
                found.append(Finding("warning", self.images.place(first), what, why, fix))
        return found

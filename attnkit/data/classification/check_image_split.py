"""The part of the data check that looks at the images of one split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from attnkit.data.classification.image_set import ArrayImages, FileImages, ImageSet
from attnkit.data.config import Split
from attnkit.data.file_tree import FolderTree
from attnkit.data.finding import Finding
from attnkit.data.images.check_equal_images import Hashes, hash_of
from attnkit.data.images.decode import image_size
from attnkit.errors import DataError

_TOLD_EVERY = 500
_MOST_NAMED = 10
_FEW_PER_CLASS = 10
_UNEVEN = 10.0
"""Images of the largest class over those of the smallest."""
_LONG = 5.0
"""Longer side over the shorter."""
_TINY, _HUGE = 16, 6000
"""Pixels of the shorter side; of the longer."""


@dataclass
class ImageStats:
    """Figures of a split."""

    images: int = 0
    per_class: dict[str, int] = field(default_factory=dict)
    broken: int = 0
    """Of what was looked at."""
    smallest: tuple[int, int] | None = None
    """Height and width of the image of the smallest area; None if none could be read."""
    largest: tuple[int, int] | None = None


class ImageSplitCheck:
    """Looks at every image of a split."""

    def __init__(self, split: Split, images: ImageSet) -> None:
        """Take the images; none is read yet."""
        self.split, self.images = split, images
        counts = np.bincount(images.labels, minlength=len(images.class_names)).tolist()
        self.stats = ImageStats(len(images), dict(zip(images.class_names, counts, strict=True)))
        self.hashes: Hashes = np.zeros(len(images), dtype=np.uint64)
        """Of the pixels; 0 where an image was not read."""
        self._sizes = np.zeros((len(images), 2), dtype=np.int64)
        self._broken: list[str] = []

    def look(self, *, quick: bool, progress: Callable[[Split, int, int], None] | None = None) -> None:
        """Read every image, or only the headers of files."""
        for index in range(len(self.images)):
            try:
                self._look_at(index, quick=quick)
            except DataError as error:
                self._broken.append(str(error))
            if progress is not None and (index + 1) % _TOLD_EVERY == 0:
                progress(self.split, index + 1, len(self.images))
        self.stats.broken = len(self._broken)
        areas = self._sizes.prod(1)
        if known := np.flatnonzero(areas).tolist():
            ends = min(known, key=areas.__getitem__), max(known, key=areas.__getitem__)
            self.stats.smallest, self.stats.largest = (tuple(self._sizes[end].tolist()) for end in ends)

    def _look_at(self, index: int, *, quick: bool) -> None:
        images = self.images
        if quick and isinstance(images, ArrayImages):
            if message := images.broken(index):
                raise DataError(message)
            self._sizes[index] = images.size
        elif quick and isinstance(images, FileImages):
            in_folder = isinstance(images.tree, FolderTree)  # of a file, only the beginning is read
            source = images.path(index) if in_folder else images.read_bytes(index)
            self._sizes[index] = image_size(source, images.place(index))
        else:
            pixels = images.read(index)
            self._sizes[index] = pixels.shape[1:]
            self.hashes[index] = hash_of(pixels)

    def findings(self, *, trained: ImageStats) -> list[Finding]:
        """What was found, after looking; `trained` are the figures of the training images."""
        return [*self._unreadable(), *self._classes(trained), *self._duplicates(), *self._odd_sizes()]

    def _unreadable(self) -> list[Finding]:
        """Broken images stop evaluation; in training others stand in for them."""
        found = [Finding.from_error(message) for message in self._broken[:_MOST_NAMED]]
        if more := self._broken[_MOST_NAMED:]:
            what = f"{len(more)} more images are broken"
            found.append(Finding("error", f"data.{self.split}", what, "all should be whole", "copy them again"))
        if self.split == "train" and len(self._broken) < len(self.images):
            return [Finding("warning", one.place, one.what, one.why, one.fix) for one in found]
        return found

    def _classes(self, trained: ImageStats) -> list[Finding]:
        counts, place = self.stats.per_class, f"data.{self.split}"
        if self.split != "train":
            missing = [name for name, count in counts.items() if not count]
            if not missing:
                return []
            what = f"no image of {len(missing)} of {len(counts)} classes, {_listed(missing)}"
            why = "how well they are told apart cannot be seen"
            return [Finding("warning", place, what, why, "add some, or hold more back")]
        found = []
        if len(counts) == 1:
            what = f"one class alone, {next(iter(counts))}"
            found.append(Finding("error", place, what, "there is nothing to tell apart", "add another class"))
        if few := [f"{name} ({count})" for name, count in counts.items() if count < _FEW_PER_CLASS]:
            what = f"fewer than {_FEW_PER_CLASS} images of {len(few)} of {len(counts)} classes, {_listed(few)}"
            found.append(Finding("warning", place, what, "a class is hardly learnt from so few", "add images"))
        most, least = (choose(counts, key=counts.__getitem__) for choose in (max, min))
        if counts[most] > _UNEVEN * counts[least]:
            what = f"{counts[most]} images of {most}, but {counts[least]} of {least}"
            why = "the model will rather say what is frequent"
            found.append(Finding("warning", place, what, why, "add images of the rare classes; see scores per class"))
        return found

    def _duplicates(self) -> list[Finding]:
        """Images that stand twice in this split."""
        order = np.argsort(self.hashes, kind="stable")
        ordered = self.hashes[order]
        again = np.flatnonzero((ordered[1:] == ordered[:-1]) & (ordered[1:] != 0)) + 1
        labels = self.images.labels
        apart = labels[order[again]] != labels[order[again - 1]]
        found = []
        for places, classes, why, fix in (
            (again[apart], "with another class", "one of the two labels is wrong", "remove one of them"),
            (again[~apart], "twice", "it counts double", "remove all but one"),
        ):
            if len(places):
                first, second = (self.images.place(int(order[places[0] - back])) for back in (1, 0))
                more = (
                    f", and so {'do' if len(places) > 2 else 'does'} {len(places) - 1} more" if places[1:].size else ""
                )
                what = f"the same image stands there {classes}, at {first}{more}"
                found.append(Finding("warning", second, what, why, fix))
        return found

    def _odd_sizes(self) -> list[Finding]:
        shorter, longer = self._sizes.min(1, initial=1 << 30), self._sizes.max(1, initial=0)
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
                height, width = self._sizes[first].tolist()
                more = f", and so {'are' if count > 2 else 'is'} {count - 1} more" if count > 1 else ""
                place = self.images.place(first)
                found.append(Finding("warning", place, f"{what}, {width} x {height} pixels{more}", why, fix))
        return found


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:_MOST_NAMED])
    return shown if len(names) <= _MOST_NAMED else f"{shown} and {len(names) - _MOST_NAMED} more"

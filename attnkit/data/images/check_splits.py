"""What the checks of image data have in common: each image of each split is read once, and equal ones are found."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from torch import Tensor

from attnkit.data.config import SPLITS, Split
from attnkit.data.finding import DO, MOST_NAMED, WHY_HELD_OUT, DataReport, Finding, and_more, listed, warning_at_first
from attnkit.data.images.numbered_images import NumberedImages
from attnkit.errors import DataError
from attnkit.structures.arrays import IntArray, Size

_REPORTED_EVERY = 500
_QUICK_IMAGES = 200
"""Images of a split whose annotations are read by a quick check, evenly chosen."""
_FEW_IMAGES = 5
"""Fewer images of a class than this are too few to learn it from."""

Progress = Callable[[Split, int, int], None]
"""Called now and then with a split, how many of its images have been checked, and how many it has."""


@dataclass
class SplitStats:
    """Figures of a split."""

    images: int = 0
    broken: int = 0
    """Images and annotations that cannot be read, of those that were checked."""
    smallest: Size | None = None
    """Height and width of the image with the smallest area; None if none could be read."""
    largest: Size | None = None


Images = TypeVar("Images", bound=NumberedImages)
Stats = TypeVar("Stats", bound=SplitStats)


class SplitCheck(ABC, Generic[Images, Stats]):
    """Reads every image of a split, then says what is wrong with them."""

    def __init__(self, split: Split, images: Images, stats: Stats) -> None:
        self.split, self.images, self.stats = split, images, stats
        self.hashes = np.zeros(len(images), dtype=np.uint64)
        """(N,) of the pixels; 0 where an image was not read."""
        self.sizes: IntArray = np.zeros((len(images), 2), dtype=np.int64)
        """(N, 2) heights and widths; 0 where an image was not read."""
        self._broken: list[str] = []

    @abstractmethod
    def read(self, index: int, *, decode: bool, chosen: bool) -> None:
        """Read one image.

        Args:
            index: which one.
            decode: whether all of it is decoded.
            chosen: whether its annotations are read where the image is not decoded.

        Raises:
            DataError: it is broken.
        """

    @abstractmethod
    def findings(self, trained: "SplitCheck[Images, Stats]") -> list[Finding]:
        """What is wrong, after all were read; `trained` is the check of the training images."""

    def run(self, *, quick: bool, progress: Progress | None = None) -> None:
        """Read every image; quick: see the checks of the tasks."""
        total = len(self.images)
        chosen = set(np.linspace(0, total - 1, min(total, _QUICK_IMAGES)).astype(int).tolist()) if quick else set()
        for index in range(total):
            try:
                self.read(index, decode=not quick, chosen=index in chosen)
            except DataError as error:
                self._broken += str(error).splitlines()
            if progress is not None and (index + 1) % _REPORTED_EVERY == 0:
                progress(self.split, index + 1, total)
        self.stats.broken = len(self._broken)
        areas = self.sizes.prod(1)
        if known := np.flatnonzero(areas).tolist():
            ends = min(known, key=areas.__getitem__), max(known, key=areas.__getitem__)
            self.stats.smallest, self.stats.largest = (tuple(self.sizes[end].tolist()) for end in ends)

    def unreadable(self, what: str, fix: str) -> list[Finding]:
        """Broken images, which stop evaluation; in training others replace them."""
        found = [Finding.from_error(message) for message in self._broken[:MOST_NAMED]]
        if more := self._broken[MOST_NAMED:]:
            found.append(Finding("error", f"data.{self.split}", f"{len(more)} more {what}", "all should be whole", fix))
        if self.split == "train" and len(self._broken) < len(self.images):
            return [Finding("warning", one.place, one.what, one.why, one.fix) for one in found]
        return found

    def other_classes(self, own: tuple[str, ...], trained: tuple[str, ...]) -> list[Finding]:
        """Classes that are not those of training."""
        if own == trained:
            return []
        what = f"{len(own)} classes, {listed(own)}, but training has {len(trained)}, {listed(trained)}"
        why = "a class would be scored as another one"
        return [Finding("error", f"data.{self.split}", what, why, "give both the same categories")]

    def on_few_images(self, images_with: Mapping[str, int]) -> list[Finding]:
        """Classes that hardly any image has, by how many have them."""
        few = [f"{name} ({count})" for name, count in images_with.items() if 0 < count < _FEW_IMAGES]
        if not few or len(self.images) <= _FEW_IMAGES:
            return []
        what = f"on fewer than {_FEW_IMAGES} images are {len(few)} of {len(images_with)} classes, {listed(few)}"
        why = "a class is hardly learned from so few"
        return [Finding("warning", f"data.{self.split}", what, why, "add images of them")]

    def repeats(self) -> tuple[IntArray, IntArray]:
        """(M,) images that are in the split already, and (M,) the one before each that it is equal to."""
        order = np.argsort(self.hashes, kind="stable")
        ordered = self.hashes[order]
        again = np.flatnonzero((ordered[1:] == ordered[:-1]) & (ordered[1:] != 0)) + 1
        return order[again], order[again - 1]

    def repeated(self) -> list[Finding]:
        """Images that are in the split twice."""
        second, first = self.repeats()
        if not len(second):
            return []
        places = [self.images.place(row) for row in second.tolist()]
        what = f"the same image is there twice, at {self.images.place(int(first[0]))}"
        return warning_at_first(places, what, "it counts double", "remove all but one")


def check_splits(
    data: Mapping[Split, Images | None],
    start: Callable[[Split, Images], SplitCheck[Images, Stats]],
    missing: Callable[[Split, int], tuple[str, str]],
    *,
    quick: bool,
    progress: Progress | None,
) -> DataReport[Stats]:
    """Check all splits of a recipe's data, and say what is wrong with them.

    Args:
        data: the opened splits; none is opened before the one before it was checked.
        start: begins the check of a split.
        missing: of a split that is not there, and the number of training images: what is missing, and what to do.
    """
    found: list[Finding] = []
    report = DataReport[Stats]()
    checks: dict[Split, SplitCheck[Images, Stats]] = {}
    try:
        for split in SPLITS:
            images = data[split]
            if images is None:
                if not (quick and split == "test"):
                    trained = len(checks["train"].images) if "train" in checks else 0
                    what, fix = missing(split, trained)
                    found.append(Finding("warning", f"data.{split}", what, WHY_HELD_OUT[split].format("images"), fix))
                continue
            found += images.left_out()
            check = checks[split] = start(split, images)
            check.run(quick=quick, progress=progress)
            found += check.findings(checks["train"])
            report.stats[split] = check.stats
    except DataError as error:
        found += map(Finding.from_error, str(error).splitlines())
    pairs: tuple[tuple[Split, Split], ...] = (("valid", "train"), ("test", "train"), ("test", "valid"))
    for split, other in pairs:
        if split in checks and other in checks:
            found += _shared_by(checks[split], checks[other])
    report.findings = sorted(dict.fromkeys(found), key=lambda finding: finding.severity)  # two splits may leave one out
    return report


def hash_of(pixels: Tensor) -> int:
    """64 bits of an image, never 0."""
    content = f"{tuple(pixels.shape)}".encode() + pixels.numpy().tobytes()
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big") or 1


def _shared_by(held_out: SplitCheck[Images, Stats], other: SplitCheck[Images, Stats]) -> list[Finding]:
    """Images of a split that are in another one too."""
    known, first = np.unique(other.hashes, return_index=True)
    if not len(known):
        return []
    slots = np.minimum(np.searchsorted(known, held_out.hashes), len(known) - 1)
    both = np.flatnonzero((known[slots] == held_out.hashes) & (held_out.hashes != 0))
    if not len(both):
        return []
    theirs = other.images.place(int(first[slots[both[0]]]))
    more = and_more(len(both), verbs=DO, total=len(held_out.images))
    return [
        Finding(
            "warning",
            held_out.images.place(int(both[0])),
            f"the same image is in {other.split} too, at {theirs}{more}",
            "the score is too good where the model has seen the answer",
            f"remove these images from {other.split}",
        )
    ]

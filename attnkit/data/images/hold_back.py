"""Which training images are held back for validation and test: a share of each class, or of all, chosen by hash.

The names of the images and the seed decide, not their order. The smallest hashes of a class are its test images, the
largest its validation images: when files are added hardly any image moves, and none from one held-back set to another.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from functools import cached_property
from typing import Generic, TypeVar

import numpy as np

from attnkit.data.config import HoldBackConfig, Split
from attnkit.data.file_tree import FileTree
from attnkit.data.images.numbered_images import NumberedImages
from attnkit.structures.arrays import IntArray

_BEGINNING = 4096
"""Bytes."""

Images = TypeVar("Images", bound=NumberedImages)


class ImageSplits(ABC, Generic[Images]):
    """The splits of a data set, each opened when it is asked for; what is read for several of them is read once."""

    def __init__(self, hold_back: HoldBackConfig) -> None:
        """Take what is held back for a split that has no images of its own."""
        self._hold_back = hold_back

    @abstractmethod
    def has(self, split: Split) -> bool:
        """Whether a split has images of its own; `train` has."""

    @abstractmethod
    def read(self, split: Split) -> Images:
        """The images that a split has of its own.

        Raises:
            DataError: they are not found, or do not have the form that the recipe says.
        """

    @abstractmethod
    def share_out(self, images: Images, config: HoldBackConfig, *, valid: bool, test: bool) -> dict[Split, IntArray]:
        """Rows of the training images that each split gets; see `hold_back`."""

    def open(self, split: Split) -> Images | None:
        """The images of a split; None if it has none, and no training image is held back for it.

        Raises:
            DataError: they are not found, or do not have the form that the recipe says.
        """
        if split != "train":
            if self.has(split):
                return self.read(split)
            if not getattr(self._hold_back, split):
                return None
        rows = self._shares[split]
        if not len(rows):
            return None
        return self.training if len(rows) == len(self.training) else self.training.select(rows)

    @cached_property
    def training(self) -> Images:
        """All training images, those that are held back for other splits too.

        Raises:
            DataError: as `read`.
        """
        return self.read("train")

    @cached_property
    def _shares(self) -> dict[Split, IntArray]:
        wanted = {"valid": not self.has("valid"), "test": not self.has("test")}
        return self.share_out(self.training, self._hold_back, **wanted)


def hold_back(
    labels: IntArray, name: Callable[[int], str], config: HoldBackConfig, *, valid: bool, test: bool
) -> dict[Split, IntArray]:
    """Share images out.

    Args:
        labels: (N,), the class of each.
        name: of each, the same on every machine and wherever the data lies.
        valid: whether a validation set is wanted; where the data has its own, it is not.
        test: the same for a test set.

    Returns:
        Rows of each split, ascending. Each class keeps a training image at least.
    """
    shares = config.test if test else 0.0, config.valid if valid else 0.0
    taken: dict[Split, list[IntArray]] = {"train": [], "valid": [], "test": []}
    keys = np.array([_key(name(row), config.seed) for row in range(len(labels))] if any(shares) else [0] * len(labels))
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        rows = rows[np.argsort(keys[rows], kind="stable")]
        first, last = _counts(len(rows), *shares)
        taken["test"].append(rows[:first])
        taken["train"].append(rows[first : len(rows) - last])
        taken["valid"].append(rows[len(rows) - last :])
    return {split: np.sort(np.concatenate(parts)) if parts else np.arange(0) for split, parts in taken.items()}


def _counts(total: int, test: float, valid: float) -> tuple[int, int]:
    """How many of a class go to test and to validation: rounded, and one is left over."""
    first = min(round(total * test), total - 1)
    return first, min(round(total * valid), total - 1 - first)


def _key(name: str, seed: int) -> int:
    digest = hashlib.blake2b(f"{seed}:{name}".encode(errors="surrogateescape"), digest_size=7).digest()
    return int.from_bytes(digest, "big")


def hold_files_back(
    tree: FileTree, numbers: IntArray, name: Callable[[int], str], config: HoldBackConfig, *, valid: bool, test: bool
) -> dict[Split, IntArray]:
    """Share images out that are of no class; equal files stay together.

    Args:
        name: of each image, by its row; the same wherever the data lies.

    Returns:
        Rows of each split, ascending.
    """
    valid, test = valid and config.valid > 0, test and config.test > 0
    if not valid and not test:
        return {"train": np.arange(len(numbers)), "valid": np.arange(0), "test": np.arange(0)}
    first = _first_of_equals(tree, numbers)
    ones = np.unique(first)
    labels = np.zeros(len(ones), dtype=np.int64)
    shares = hold_back(labels, lambda row: name(int(ones[row])), config, valid=valid, test=test)
    return {split: np.flatnonzero(np.isin(first, ones[share])) for split, share in shares.items()}


def _first_of_equals(tree: FileTree, numbers: IntArray) -> IntArray:
    """For each image the row of the first one with the same bytes.

    Of files that share their size the beginning is read, and the whole of those that share that too.
    """
    sizes = np.array([tree.size(number) for number in numbers.tolist()], dtype=np.int64)
    alike = [rows for rows in _groups(sizes.tolist()) if sizes[rows[0]] > 0]
    first = np.arange(len(numbers))
    for rows in alike:
        beginnings = [_digest(_beginning(tree, int(numbers[row]))) for row in rows]
        for places in _groups(beginnings):
            same = [rows[place] for place in places]
            for equal in _groups([_digest(tree.read(int(numbers[row]))) for row in same]):
                first[[same[place] for place in equal]] = same[equal[0]]
    return first


def _groups(values: Sequence[Hashable]) -> list[list[int]]:
    """Places of the values that are there several times, ascending."""
    places: dict[Hashable, list[int]] = {}
    for place, value in enumerate(values):
        places.setdefault(value, []).append(place)
    return [group for group in places.values() if len(group) > 1]


def _beginning(tree: FileTree, number: int) -> bytes:
    source = tree.source(number)
    if isinstance(source, bytes):
        return source[:_BEGINNING]
    try:
        with source.open("rb", buffering=0) as file:
            return file.read(_BEGINNING)
    except OSError:
        return tree.read(number)[:_BEGINNING]  # which says in our words what is wrong


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()

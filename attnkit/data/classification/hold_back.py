"""Which training images are held back for validation and test: a share of each class, chosen by hash.

The names of the images and the seed decide, not their order. The smallest hashes of a class are its test images, the
largest its validation images: when files are added hardly any image moves, and none from one held-back set to another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np

from attnkit.data.classification.image_set import ImageSet, IntArray
from attnkit.data.config import HoldBackConfig, Split


def held_back(
    labels: IntArray, name: Callable[[int], str], config: HoldBackConfig, *, valid: bool, test: bool
) -> dict[Split, IntArray]:
    """Share images out.

    Args:
        labels: (N,), the class of each.
        name: of each, the same on every machine and wherever the data lies.
        config: the shares of each class, and the seed.
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


def split_off(
    images: ImageSet,
    split: Split,
    config: HoldBackConfig,
    *,
    has_valid: bool,
    has_test: bool,
    name: Callable[[int], str] = str,
) -> ImageSet | None:
    """The part of training images that one split gets, or None if it gets none.

    Args:
        images: all that the data has for training.
        split: train, or one that the data has no own images for.
        config: the shares of each class.
        has_valid: whether the data has validation images of its own.
        has_test: whether it has test images of its own.
        name: of each image; where it has none, its number.
    """
    rows = held_back(images.labels, name, config, valid=not has_valid, test=not has_test)[split]
    if not len(rows):
        return None
    return images if len(rows) == len(images) else images.select(rows)


def _counts(total: int, test: float, valid: float) -> tuple[int, int]:
    """How many of a class go to test and to validation: rounded, and one is left over."""
    first = min(round(total * test), total - 1)
    return first, min(round(total * valid), total - 1 - first)


def _key(name: str, seed: int) -> int:
    digest = hashlib.blake2b(f"{seed}:{name}".encode(errors="surrogateescape"), digest_size=7).digest()
    return int.from_bytes(digest, "big")

"""Which training images are held back where they are of no class: a share of all, and equal files stay together."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np

from attnkit.data.classification.hold_back import held_back
from attnkit.data.classification.image_set import IntArray
from attnkit.data.config import HoldBackConfig, Split
from attnkit.data.file_tree import FileTree


def hold_files_back(
    tree: FileTree,
    numbers: IntArray,
    split: Split,
    config: HoldBackConfig,
    *,
    has_valid: bool,
    has_test: bool,
    name: Callable[[int], str],
) -> IntArray:
    """The part of the training images that one split gets.

    Args:
        tree: where the images are.
        numbers: (N,) of all training images in the tree.
        split: train, or one that the data has no own images for.
        config: the shares.
        has_valid: whether the data has validation images of its own.
        has_test: whether it has test images of its own.
        name: of each image, by its row; the same wherever the data lies.

    Returns:
        Rows, ascending.
    """
    valid, test = not has_valid and config.valid > 0, not has_test and config.test > 0
    if not valid and not test:
        return np.arange(len(numbers) if split == "train" else 0)
    first = _first_of_equals(tree, numbers)
    ones = np.unique(first)
    labels = np.zeros(len(ones), dtype=np.int64)
    shares = held_back(labels, lambda row: name(int(ones[row])), config, valid=valid, test=test)
    return np.flatnonzero(np.isin(first, ones[shares[split]]))


def _first_of_equals(tree: FileTree, numbers: IntArray) -> IntArray:
    """For each image the row of the first one with the same bytes. Only files that share their size are read."""
    sizes = np.array([tree.size(number) for number in numbers.tolist()], dtype=np.int64)
    known, which, counts = np.unique(sizes, return_inverse=True, return_counts=True)
    first, seen = np.arange(len(numbers)), dict[bytes, int]()
    for row in np.flatnonzero((counts[which] > 1) & (known[which] > 0)).tolist():
        digest = hashlib.blake2b(tree.read(int(numbers[row])), digest_size=16).digest()
        first[row] = seen.setdefault(digest, row)
    return first

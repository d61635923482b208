"""Reading the images of a batch, some of which may be broken.

In training another image of the epoch stands in for a broken one; in evaluation all broken ones of a batch are named.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import numpy as np

from attnkit.errors import DataError
from attnkit.structures.arrays import IntArray

One = TypeVar("One")
Read = TypeVar("Read")

Broken = dict[int, str]
"""By number of the image, why it cannot be read."""

Reader = Callable[[IntArray], tuple[Read, Broken]]
"""Reads several images, in the order of their numbers, and says which are broken: these are left out."""

_MOST_BROKEN_IN_A_ROW = 100
_MOST_NAMED = 10


class OneByOne(Generic[One]):
    """A Reader for one batch: it reads each image once, however often it is asked for."""

    def __init__(self, read: Callable[[int], One]) -> None:
        """Take what reads an image of a number, or raises DataError."""
        self._read = read
        self._known: dict[int, One] = {}

    def __call__(self, indices: IntArray) -> tuple[list[One], Broken]:
        """Images and what belongs to them."""
        broken: Broken = {}
        for index in dict.fromkeys(indices.tolist()):
            try:
                if index not in self._known:
                    self._known[index] = self._read(index)
            except DataError as error:
                broken[index] = str(error)
        return [self._known[index] for index in indices.tolist() if index not in broken], broken


def read_all(read: Reader[Read], indices: IntArray) -> Read:
    """Read images none of which may be broken.

    Raises:
        DataError: some are, a line for each.
    """
    images, broken = read(indices)
    if broken:
        raise _unreadable(broken)
    return images


def read_or_replace(read: Reader[Read], order: IntArray, places: IntArray) -> tuple[Read, IntArray, Broken]:
    """Read the images at places of an order; for what is broken, the next in the order that is not.

    Returns:
        Images, the places where they stand in the order, what was broken.

    Raises:
        DataError: so many in a row are that something else must be wrong.
    """
    broken: Broken = {}
    for _ in range(_MOST_BROKEN_IN_A_ROW):
        images, new = read(order[places])
        if not new:
            return images, places, broken
        broken |= new
        places = np.where(np.isin(order[places], list(broken)), (places + 1) % len(order), places)
    raise _unreadable(broken)


def _unreadable(broken: Broken) -> DataError:
    """A line for each of the first images that cannot be read."""
    messages = list(broken.values())
    if more := messages[_MOST_NAMED:]:
        messages = [*messages[:_MOST_NAMED], f"and {len(more)} more images of one batch cannot be read"]
    return DataError("\n".join(messages))

"""The batches of an epoch: which images are in them, reading these, and making one batch after the other.

What an epoch's batches hold depends on seed and epoch alone: not on the workers, nor on where an epoch is entered. In
training another image of the epoch replaces a broken one; in evaluation all broken ones of a batch are named.
"""

from abc import ABC
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np
import torch
from torch import Tensor

from attnkit.data.finding import MOST_NAMED
from attnkit.data.images.image_randomness import UIntArray, image_seeds
from attnkit.data.images.image_workers import made_in_order
from attnkit.errors import DataError
from attnkit.structures.arrays import IntArray

One = TypeVar("One")
Batch = TypeVar("Batch")
Read = TypeVar("Read")

Broken = dict[int, str]
"""By number of the image, why it cannot be read."""

Reader = Callable[[IntArray], tuple[Read, Broken]]
"""Reads several images, in the order of their numbers, and says which are broken: these are left out."""

_MOST_BROKEN_IN_A_ROW = 100

Job = tuple[int, int]
"""An epoch and the number of a batch in it, both counted from 0."""


class BatchOfImages(ABC):
    """B images with all that a task knows of them: a dataclass, each field of which has B entries or is None."""

    __dataclass_fields__: ClassVar[dict[str, Any]]
    indices: IntArray
    """(B,) which images of the set these are."""

    def __len__(self) -> int:
        return len(self.indices)

    def to(self, device: torch.device | str) -> Self:
        """The same batch on a device."""
        return self._changed(lambda part: part.to(device, non_blocking=True) if isinstance(part, Tensor) else part)

    def halves(self) -> tuple[Self, Self]:
        """Two batches of half the images each.

        Raises:
            ValueError: there is only one image.
        """
        if len(self) < 2:
            raise ValueError("a batch of one image cannot be halved")
        middle = len(self) // 2
        return self._changed(lambda part: part[:middle]), self._changed(lambda part: part[middle:])

    def _changed(self, change: Callable[[Any], Any]) -> Self:
        names = self.__dataclass_fields__
        parts = {name: getattr(self, name) for name in names}
        return type(self)(**{name: None if part is None else change(part) for name, part in parts.items()})


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


def read_or_replace(read: Reader[Read], order: IntArray, positions: IntArray) -> tuple[Read, IntArray, Broken]:
    """Read the images at some positions of an order; a broken one is replaced by the next that is not.

    Returns:
        Images, their positions in the order, what was broken.

    Raises:
        DataError: so many in a row are that something else must be wrong.
    """
    broken: Broken = {}
    for _ in range(_MOST_BROKEN_IN_A_ROW):
        images, new = read(order[positions])
        if not new:
            return images, positions, broken
        broken |= new
        positions = np.where(np.isin(order[positions], list(broken)), (positions + 1) % len(order), positions)
    raise _unreadable(broken)


def _unreadable(broken: Broken) -> DataError:
    """A line for each of the first images that cannot be read."""
    messages = list(broken.values())
    if more := messages[MOST_NAMED:]:
        messages = [*messages[:MOST_NAMED], f"and {len(more)} more images of one batch cannot be read"]
    return DataError("\n".join(messages))


@dataclass(frozen=True)
class Drawn(Generic[Read]):
    """B images of an epoch, as they were read, for one batch."""

    images: Read
    indices: IntArray
    """(B,) which images of the set these are."""
    seeds: UIntArray
    """(B,) what to vary each by."""
    broken: Broken
    """The images that were replaced."""


class EpochOrder:
    """The images of every epoch, shuffled, cut into batches."""

    def __init__(self, count: int, *, batch_size: int, seed: int, repeats: int = 1) -> None:
        """Take how to shuffle and to cut.

        Args:
            seed: of the order, and of what is drawn for each image and batch.
            repeats: how often in a row an image is in an epoch, which then has fewer different ones.
        """
        self._count, self._batch_size, self._seed, self._repeats = count, batch_size, seed, repeats
        self._known: tuple[int, IntArray] | None = None
        self.batches_per_epoch = max(1, count // batch_size)

    def draw(self, job: Job, read: Reader[Read]) -> Drawn[Read]:
        """Read the images of a batch.

        Raises:
            DataError: too many cannot be read.
        """
        epoch, number = job
        order = self._order(epoch)
        positions = np.arange(number * self._batch_size, min((number + 1) * self._batch_size, len(order)))
        images, positions, broken = read_or_replace(read, order, positions)
        indices = order[positions]
        return Drawn(images, indices, image_seeds(self._seed, epoch, indices, positions % self._repeats), broken)

    def batch_rng(self, job: Job) -> np.random.Generator:
        """Random numbers for a batch as a whole, other than those of its images."""
        return np.random.default_rng([self._seed, *job, 1])

    def _order(self, epoch: int) -> IntArray:
        """Which image is at which position; kept, for the next batch needs it again."""
        if self._known is None or self._known[0] != epoch:
            shuffled = np.random.default_rng([self._seed, epoch, 0]).permutation(self._count)
            self._known = epoch, np.repeat(shuffled, self._repeats)[: self._count]
        return self._known[1]


class EpochBatches(Generic[Batch]):
    """The batches of every epoch, made here or by workers; each broken image is warned of once.

    Attributes:
        batches_per_epoch: of every epoch. The last batch is left out if it is not full, unless it is the only one.
        workers: processes that make batches.
    """

    def __init__(
        self,
        make: Callable[[Job], tuple[Batch, Broken]],
        batches_per_epoch: int,
        *,
        workers: int,
        warn: Callable[[str], None] | None,
    ) -> None:
        """Take what makes a batch.

        Args:
            make: a batch, and which images were replaced; see `made_in_order`.
            workers: processes that make batches; 0 is this one.
            warn: called once for each image that cannot be read; another of the epoch replaces it.
        """
        self._make, self._warn = make, warn
        self.batches_per_epoch, self.workers = batches_per_epoch, workers
        self._warned: set[int] = set()

    def num_batches(self, epoch: int) -> int:
        """How many batches an epoch has: all have as many."""
        return self.batches_per_epoch

    def batches(self, epoch: int, start: int = 0, every: int = 1) -> Iterator[Batch]:
        """The batches of an epoch, counted from 0: number `start`, and every `every`-th one behind it.

        Raises:
            DataError: so many images in a row cannot be read that something else must be wrong.
        """
        jobs = [(epoch, number) for number in range(start, self.batches_per_epoch, every)]
        for batch, broken in made_in_order(self._make, jobs, self.workers):
            self._warn_once(broken)
            yield batch

    def _warn_once(self, broken: Broken) -> None:
        for index, message in broken.items():
            if index not in self._warned and self._warn is not None:
                self._warn(f"{message}; another image replaces it")
            self._warned.add(index)


class EvalBatches(Generic[Batch]):
    """The batches of an evaluation: all images of a set once, in their order; again and again."""

    def __init__(self, make: Callable[[IntArray], list[Batch]], count: int, *, batch_size: int, workers: int) -> None:
        """Take what makes batches.

        Args:
            make: the batches of some images, in their order: one, or several where sizes differ.
            batch_size: how many images are read at a time.
            workers: processes that make batches; 0 is this one.
        """
        self._make, self._jobs, self.workers = make, in_their_order(count, batch_size), workers

    def __iter__(self) -> Iterator[Batch]:
        """The batches.

        Raises:
            DataError: images cannot be read, a line for each of up to `batch_size` of them.
        """
        for batches in made_in_order(self._make, self._jobs, self.workers):
            yield from batches


def in_their_order(count: int, batch_size: int) -> list[IntArray]:
    """The numbers of all images of a set, once, in batches: what evaluation reads."""
    return [np.arange(start, min(start + batch_size, count)) for start in range(0, count, batch_size)]

"""Which images are in which batch of an epoch, where images are of many sizes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from attnkit.data.images.batches import Job
from attnkit.data.images.image_randomness import UIntArray, image_seeds
from attnkit.structures.arrays import IntArray


class Batches(NamedTuple):
    """Images in batches."""

    rows: list[IntArray]
    spare: IntArray
    """Images that are in no batch."""


@dataclass(frozen=True)
class BatchLimit:
    """What a batch may hold at most.

    Attributes:
        images: how many.
        pixels: of all with their padding, which is up to the highest and the widest of them; an image that has more
            is alone. None: no bound.
    """

    images: int
    pixels: int | None

    def split(self, rows: IntArray, padded: IntArray) -> Batches:
        """Divide images into batches, each as large as the limit allows; spare are the last, which fill none.

        The order is that of `rows`, which are rows of `padded`, (N, 2): what each is padded to for itself.
        """
        batches, start, high, wide = [], 0, 0, 0
        for place, (height, width) in enumerate(padded[rows].tolist()):
            higher, wider, count = max(high, height), max(wide, width), place - start
            too_many = self.pixels is not None and (count + 1) * higher * wider > self.pixels
            if count == self.images or (count and too_many):
                batches.append(rows[start:place])
                start, higher, wider = place, height, width
            high, wide = higher, wider
        if len(rows) - start < self.images:
            return Batches(batches, rows[start:])
        return Batches([*batches, rows[start:]], rows[:0])


class ObjectOrder:
    """The images of every epoch, shuffled and divided into batches.

    Upright images are together, and the others, as in mmdetection, for a batch is padded to its highest and its widest
    image. What is left of both makes mixed batches.

    Without a bound on pixels an epoch has as many full batches as its images make. With one their number follows from
    the sizes that are drawn for the first epoch, and others are brought to it: of more batches some are left out, by
    chance, and where there are fewer the largest are halved.
    """

    def __init__(
        self,
        indices: IntArray,
        sizes: IntArray,
        padded_sizes: Callable[[IntArray, UIntArray], IntArray],
        *,
        limit: BatchLimit,
        seed: int,
    ) -> None:
        """Set how to shuffle and to divide.

        Args:
            indices: (N,) which images of the set take part.
            sizes: (N, 2) of each, as it is read.
            padded_sizes: from sizes (N, 2), and a seed for each, to what each is padded to when that is drawn.
            seed: of the order, and of what is drawn for each image.
        """
        self._indices, self._sizes, self._padded_sizes = indices, sizes, padded_sizes
        self._limit, self._seed = limit, seed
        self._known: tuple[int, Batches, IntArray] | None = None
        self.batches_per_epoch = max(1, len(self._shuffled(0, self._padded(0)).rows))

    def draw(self, job: Job) -> tuple[IntArray, int]:
        """The images of the epoch with those of a batch in front, and how many these are.

        The others may replace broken ones: they begin with those that fit into the batch as it is padded.
        """
        epoch, number = job
        made, padded = self._epoch(epoch)
        rows = made.rows[number]
        others = np.concatenate([*made.rows[number + 1 :], made.spare, *made.rows[:number]])
        fits = (padded[others] <= padded[rows].max(0)).all(1)
        return self._indices[np.concatenate([rows, others[fits], others[~fits]])], len(rows)

    def seeds(self, epoch: int, indices: IntArray) -> UIntArray:
        """What is drawn for images of the set in an epoch depends on these alone."""
        return image_seeds(self._seed, epoch, indices, np.zeros_like(indices))

    def _epoch(self, epoch: int) -> tuple[Batches, IntArray]:
        """The rows of its batches, and what every image is padded to; kept, for the next batch needs it again."""
        if self._known is None or self._known[0] != epoch:
            padded = self._padded(epoch)
            self._known = epoch, self._brought_to_number(self._shuffled(epoch, padded)), padded
        return self._known[1:]

    def _padded(self, epoch: int) -> IntArray:
        return self._padded_sizes(self._sizes, self.seeds(epoch, self._indices))

    def _shuffled(self, epoch: int, padded: IntArray) -> Batches:
        """All images in shuffled batches."""
        rng = np.random.default_rng([self._seed, epoch, 0])
        order = rng.permutation(len(self._indices))
        upright = padded[order, 0] > padded[order, 1]
        alike = [self._limit.split(order[group], padded) for group in (~upright, upright)]
        mixed = self._limit.split(np.concatenate([group.spare for group in alike]), padded)
        batches = [batch for group in (*alike, mixed) for batch in group.rows]
        return Batches([batches[place] for place in rng.permutation(len(batches))], mixed.spare)

    def _brought_to_number(self, found: Batches) -> Batches:
        """The same batches, as many as in every epoch."""
        batches = [batch for batch in (*found.rows, found.spare) if len(batch)]
        while len(batches) < self.batches_per_epoch:
            largest = max(range(len(batches)), key=lambda place: len(batches[place]))
            rows = batches[largest]
            batches[largest : largest + 1] = [rows[: len(rows) // 2], rows[len(rows) // 2 :]]
        more = batches[self.batches_per_epoch :]
        return Batches(batches[: self.batches_per_epoch], np.concatenate([found.spare[:0], *more]))

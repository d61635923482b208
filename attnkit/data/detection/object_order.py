"""Which images stand in which batch of an epoch, where images are of many sizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from attnkit.data.images.epoch_batches import Job
from attnkit.data.images.image_randomness import UIntArray, image_seeds
from attnkit.structures.arrays import IntArray


class Cut(NamedTuple):
    """Images in batches."""

    batches: list[IntArray]
    spare: IntArray
    """Those that are in none."""


@dataclass(frozen=True)
class Room:
    """What a batch may hold at most.

    Attributes:
        images: how many.
        pixels: of all with their padding, which is up to the highest and the widest of them; an image that has more
            is alone. None: no bound.
    """

    images: int
    pixels: int | None

    def cut(self, rows: IntArray, padded: IntArray) -> Cut:
        """Cut images into batches, each as long as there is room; spare are the last, for which there is more room.

        Args:
            rows: of the images, in their order.
            padded: (N, 2) what each is padded to for itself.
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
            return Cut(batches, rows[start:])
        return Cut([*batches, rows[start:]], rows[:0])


class ObjectOrder:
    """The images of every epoch, shuffled, cut into batches: upright ones together, and the others, as mmdetection
    does, for a batch is padded to its highest and its widest image. What is left of both makes mixed ones.

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
        room: Room,
        seed: int,
    ) -> None:
        """Say how to shuffle and to cut.

        Args:
            indices: (N,) which images of the set take part.
            sizes: (N, 2) of each, as it is read.
            padded_sizes: from sizes (N, 2), and a seed for each, to what each is padded to when that is drawn.
            room: of a batch.
            seed: of the order, and of what is drawn for each image.
        """
        self._indices, self._sizes, self._padded_sizes = indices, sizes, padded_sizes
        self._room, self._seed = room, seed
        self._known: tuple[int, Cut, IntArray] | None = None
        self.batches_per_epoch = max(1, len(self._cut(0, self._padded(0)).batches))

    def draw(self, job: Job) -> tuple[IntArray, int]:
        """The images of the epoch with those of a batch in front, and how many these are.

        The others may stand in for broken ones: they begin with those that fit into the batch as it is padded.
        """
        epoch, number = job
        made, padded = self._epoch(epoch)
        rows = made.batches[number]
        others = np.concatenate([*made.batches[number + 1 :], made.spare, *made.batches[:number]])
        fits = (padded[others] <= padded[rows].max(0)).all(1)
        return self._indices[np.concatenate([rows, others[fits], others[~fits]])], len(rows)

    def seeds(self, epoch: int, indices: IntArray) -> UIntArray:
        """What is drawn for images of the set in an epoch depends on these alone."""
        return image_seeds(self._seed, epoch, indices, np.zeros_like(indices))

    def _epoch(self, epoch: int) -> tuple[Cut, IntArray]:
        """The rows of its batches, and what every image is padded to; kept, for the next batch needs it again."""
        if self._known is None or self._known[0] != epoch:
            padded = self._padded(epoch)
            self._known = epoch, self._brought_to_number(self._cut(epoch, padded)), padded
        return self._known[1:]

    def _padded(self, epoch: int) -> IntArray:
        return self._padded_sizes(self._sizes, self.seeds(epoch, self._indices))

    def _cut(self, epoch: int, padded: IntArray) -> Cut:
        """Shuffled."""
        rng = np.random.default_rng([self._seed, epoch, 0])
        order = rng.permutation(len(self._indices))
        upright = padded[order, 0] > padded[order, 1]
        alike = [self._room.cut(order[group], padded) for group in (~upright, upright)]
        mixed = self._room.cut(np.concatenate([cut.spare for cut in alike]), padded)
        batches = [batch for cut in (*alike, mixed) for batch in cut.batches]
        return Cut([batches[place] for place in rng.permutation(len(batches))], mixed.spare)

    def _brought_to_number(self, cut: Cut) -> Cut:
        """As many batches as in every epoch."""
        batches = [batch for batch in (*cut.batches, cut.spare) if len(batch)]
        while len(batches) < self.batches_per_epoch:
            largest = max(range(len(batches)), key=lambda place: len(batches[place]))
            rows = batches[largest]
            batches[largest : largest + 1] = [rows[: len(rows) // 2], rows[len(rows) // 2 :]]
        more = batches[self.batches_per_epoch :]
        return Cut(batches[: self.batches_per_epoch], np.concatenate([cut.spare[:0], *more]))

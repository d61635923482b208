"""Batches of images and their labels for training and evaluation of segmentation.

What an epoch's batches hold depends on seed and epoch alone: not on the workers, nor on where an epoch is entered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from attnkit.data.classification.image_set import IntArray
from attnkit.data.config import SceneAugmentConfig, SceneConfig
from attnkit.data.images.image_randomness import image_seeds
from attnkit.data.images.image_workers import Workers, made_in_order, num_workers
from attnkit.data.segmentation.segmentation_set import SegmentationSet
from attnkit.data.segmentation.segmentation_transforms import SceneVariation, scene_input
from attnkit.errors import DataError

_MOST_BROKEN_IN_A_ROW = 100
_MOST_NAMED = 10


@dataclass(frozen=True)
class SegmentationBatch:
    """B images of one size, and the classes of their pixels."""

    images: Tensor
    """(B, 3, H, W) float32, normalised."""
    labels: Tensor
    """(B, H', W') int64, IGNORE where there is no class; in evaluation of the files' sizes, which may be others."""
    indices: IntArray
    """(B,) which images of the set these are."""

    def __len__(self) -> int:
        return len(self.indices)

    def to(self, device: torch.device | str) -> SegmentationBatch:
        """The same batch on a device."""
        images, labels = self.images.to(device, non_blocking=True), self.labels.to(device, non_blocking=True)
        return SegmentationBatch(images, labels, self.indices)

    def halves(self) -> tuple[SegmentationBatch, SegmentationBatch]:
        """Two batches of half the images each.

        Raises:
            ValueError: there is but one image.
        """
        if len(self) < 2:
            raise ValueError("a batch of one image cannot be halved")
        middle = len(self) // 2
        return self._part(slice(0, middle)), self._part(slice(middle, len(self)))

    def _part(self, rows: slice) -> SegmentationBatch:
        return SegmentationBatch(self.images[rows], self.labels[rows], self.indices[rows])


class TrainScenes:
    """The batches of every epoch: shuffled, varied, all of the size of the crop."""

    def __init__(
        self,
        data: SegmentationSet,
        image: SceneConfig,
        augment: SceneAugmentConfig,
        *,
        batch_size: int,
        seed: int,
        workers: Workers = 0,
        warn: Callable[[str], None] | None = None,
    ) -> None:
        """Take the images.

        Args:
            data: the training set.
            image: the input of the model.
            augment: how images and labels are varied.
            batch_size: B.
            seed: of the order, and of what is drawn for each image.
            workers: processes that make batches; 0 is this one; see `num_workers` for `auto`.
            warn: told once about each image that cannot be read; another of the epoch stands in for it.
        """
        self._making = _TrainMaker(data, image, augment, batch_size=batch_size, seed=seed)
        self._warn = warn
        self._warned: set[int] = set()
        self.workers = num_workers(workers, decodes=True)

    @property
    def batches_per_epoch(self) -> int:
        """The last batch is left out if it is not full, unless it is the only one."""
        return self._making.batches_per_epoch

    def batches(self, epoch: int, start: int = 0) -> Iterator[SegmentationBatch]:
        """The batches of an epoch, counted from 0, from number `start` on.

        Raises:
            DataError: so many images in a row cannot be read that something else must be wrong.
        """
        jobs = [(epoch, number) for number in range(start, self.batches_per_epoch)]
        for batch, broken in made_in_order(self._making.make, jobs, self.workers):
            self._tell(broken)
            yield batch

    def _tell(self, broken: dict[int, str]) -> None:
        for index, message in broken.items():
            if index not in self._warned and self._warn is not None:
                self._warn(f"{message}; another image stands in for it")
            self._warned.add(index)


class EvalScenes:
    """All images once, in their order, as they are used; again and again."""

    def __init__(self, data: SegmentationSet, image: SceneConfig, *, batch_size: int, workers: Workers = 0) -> None:
        """Take the images.

        Args:
            data: what is to be scored.
            image: the input of the model.
            batch_size: B at most; a batch ends where the size of the images changes.
            workers: as in training.
        """
        self._making = _EvalMaker(data, image)
        starts = range(0, len(data), batch_size)
        self._jobs = [np.arange(start, min(start + batch_size, len(data))) for start in starts]
        self.workers = num_workers(workers, decodes=True)

    def __iter__(self) -> Iterator[SegmentationBatch]:
        """The batches.

        Raises:
            DataError: images cannot be read, a line for each of up to `batch_size` of them.
        """
        for batches in made_in_order(self._making.make, self._jobs, self.workers):
            yield from batches


@dataclass(frozen=True)
class _Scene:
    """An image with its labels, decoded."""

    index: int
    pixels: Tensor
    labels: Tensor

    @property
    def size(self) -> tuple[int, ...]:
        return tuple(self.labels.shape)


class _TrainMaker:
    """Makes any batch of any epoch."""

    def __init__(
        self, data: SegmentationSet, image: SceneConfig, augment: SceneAugmentConfig, *, batch_size: int, seed: int
    ) -> None:
        self._data, self._batch_size, self._seed = data, batch_size, seed
        self._vary = SceneVariation(image, augment)
        self._known: tuple[int, IntArray] | None = None
        self.batches_per_epoch = max(1, len(data) // batch_size)

    def make(self, job: tuple[int, int]) -> tuple[SegmentationBatch, dict[int, str]]:
        """The batch of an epoch and a number; and by number of the image, why some could not be read.

        Raises:
            DataError: too many cannot.
        """
        epoch, number = job
        order = self._order(epoch)
        places = np.arange(number * self._batch_size, min((number + 1) * self._batch_size, len(order)))
        scenes, broken = _read_or_replace(self._data, order, places)
        indices = np.array([scene.index for scene in scenes])
        seeds = image_seeds(self._seed, epoch, indices, np.zeros_like(indices)).tolist()
        images, labels = self._vary([(scene.pixels, scene.labels) for scene in scenes], seeds)
        return SegmentationBatch(images, labels, indices), broken

    def _order(self, epoch: int) -> IntArray:
        """Which image stands where; kept, for the next batch needs it again."""
        if self._known is None or self._known[0] != epoch:
            self._known = epoch, np.random.default_rng([self._seed, epoch, 0]).permutation(len(self._data))
        return self._known[1]


class _EvalMaker:
    """Makes any batches of an evaluation."""

    def __init__(self, data: SegmentationSet, image: SceneConfig) -> None:
        self._data, self._image = data, image

    def make(self, indices: IntArray) -> list[SegmentationBatch]:
        """The batches of consecutive images, one where all are of one size.

        Raises:
            DataError: images of them cannot be read.
        """
        scenes, broken = _read(self._data, indices)
        if broken:
            raise _unreadable(broken)
        return [self._batch(list(group)) for _, group in groupby(scenes, key=lambda scene: scene.size)]

    def _batch(self, scenes: list[_Scene]) -> SegmentationBatch:
        images = torch.stack([scene_input(scene.pixels, self._image) for scene in scenes])
        labels = torch.stack([scene.labels for scene in scenes]).long()
        return SegmentationBatch(images, labels, np.array([scene.index for scene in scenes]))


def _read(data: SegmentationSet, indices: IntArray) -> tuple[list[_Scene], dict[int, str]]:
    """Several images and their labels, and why some cannot be read: these are left out."""
    scenes: list[_Scene] = []
    broken: dict[int, str] = {}
    for index in indices.tolist():
        try:
            scenes.append(_Scene(index, *data.read(index)))
        except DataError as error:
            broken[index] = str(error)
    return scenes, broken


def _read_or_replace(data: SegmentationSet, order: IntArray, places: IntArray) -> tuple[list[_Scene], dict[int, str]]:
    """Read the images at places of an order; for what is broken, the next in the order that is not.

    Raises:
        DataError: everything is.
    """
    scenes: dict[int, _Scene] = {}
    broken: dict[int, str] = {}
    for _ in range(_MOST_BROKEN_IN_A_ROW):
        unread = np.array([i for i in dict.fromkeys(order[places].tolist()) if i not in scenes], dtype=np.int64)
        read, new = _read(data, unread)
        scenes |= {scene.index: scene for scene in read}
        if not new:
            return [scenes[i] for i in order[places].tolist()], broken
        broken |= new
        places = np.where(np.isin(order[places], list(broken)), (places + 1) % len(order), places)
    raise _unreadable(broken)


def _unreadable(broken: dict[int, str]) -> DataError:
    """A line for each of the first images that cannot be read."""
    messages = list(broken.values())
    if more := messages[_MOST_NAMED:]:
        messages = [*messages[:_MOST_NAMED], f"and {len(more)} more images of one batch cannot be read"]
    return DataError("\n".join(messages))

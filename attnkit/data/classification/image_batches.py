"""Batches of images for training and evaluation.

What an epoch's batches hold depends on seed and epoch alone: not on the workers, nor on where an epoch is entered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from attnkit.data.classification.image_set import ArrayImages, ImageSet, IntArray
from attnkit.data.classification.image_transforms import eval_transform, train_transform
from attnkit.data.classification.mixing import mix
from attnkit.data.config import AugmentConfig, ImageConfig
from attnkit.data.images.image_randomness import image_seeds
from attnkit.data.images.image_workers import Workers, made_in_order, num_workers
from attnkit.errors import DataError

_MOST_BROKEN_IN_A_ROW = 100
_MOST_NAMED = 10


@dataclass(frozen=True)
class ImageBatch:
    """B images of one size, S x S."""

    images: Tensor
    """(B, 3, S, S) float32, normalised."""
    labels: Tensor
    """(B,) int64"""
    targets: Tensor | None
    """(B, K) float32, the shares of the classes where images were mixed."""
    indices: IntArray
    """(B,) which images of the set these are."""

    def __len__(self) -> int:
        return len(self.indices)

    def to(self, device: torch.device | str) -> ImageBatch:
        """The same batch on a device."""
        targets = None if self.targets is None else self.targets.to(device, non_blocking=True)
        images, labels = self.images.to(device, non_blocking=True), self.labels.to(device, non_blocking=True)
        return ImageBatch(images, labels, targets, self.indices)

    def halves(self) -> tuple[ImageBatch, ImageBatch]:
        """Two batches of half the images each.

        Raises:
            ValueError: there is but one image.
        """
        if len(self) < 2:
            raise ValueError("a batch of one image cannot be halved")
        middle = len(self) // 2
        return self._part(slice(0, middle)), self._part(slice(middle, len(self)))

    def _part(self, rows: slice) -> ImageBatch:
        targets = None if self.targets is None else self.targets[rows]
        return ImageBatch(self.images[rows], self.labels[rows], targets, self.indices[rows])


class TrainImages:
    """The batches of every epoch: shuffled, varied, perhaps mixed."""

    def __init__(
        self,
        images: ImageSet,
        image: ImageConfig,
        augment: AugmentConfig,
        *,
        batch_size: int,
        seed: int,
        workers: Workers = 0,
        num_classes: int,
        warn: Callable[[str], None] | None = None,
    ) -> None:
        """Take the images.

        Args:
            images: the training set.
            image: the input of the model.
            augment: how images are varied.
            batch_size: B.
            seed: of the order, and of what is drawn for each image.
            workers: processes that make batches; 0 is this one; see `num_workers` for `auto`.
            num_classes: K.
            warn: told once about each image that cannot be read; another of the epoch stands in for it.
        """
        self._making = _TrainMaker(images, image, augment, batch_size=batch_size, seed=seed, num_classes=num_classes)
        self._warn = warn
        self._warned: set[int] = set()
        self.workers = num_workers(workers, decodes=_decodes(images), slowly=not self._making.is_fast)

    @property
    def batches_per_epoch(self) -> int:
        """The last batch is left out if it is not full, unless it is the only one."""
        return self._making.batches_per_epoch

    def batches(self, epoch: int, start: int = 0) -> Iterator[ImageBatch]:
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


class EvalImages:
    """All images once, in their order; again and again."""

    def __init__(self, images: ImageSet, image: ImageConfig, *, batch_size: int, workers: Workers = 0) -> None:
        """Take the images.

        Args:
            images: what is to be scored.
            image: the input of the model.
            batch_size: B, of all batches but the last.
            workers: as in training.
        """
        self._making = _EvalMaker(images, image, batch_size=batch_size)
        self.workers = num_workers(workers, decodes=_decodes(images))

    def __len__(self) -> int:
        return self._making.num_batches

    def __iter__(self) -> Iterator[ImageBatch]:
        """The batches.

        Raises:
            DataError: images cannot be read, a line for each of the batch.
        """
        return made_in_order(self._making.make, range(len(self)), self.workers)


def _decodes(images: ImageSet) -> bool:
    return not isinstance(images, ArrayImages)


def _unreadable(broken: dict[int, str]) -> DataError:
    """A line for each of the first images that cannot be read."""
    messages = list(broken.values())
    if more := messages[_MOST_NAMED:]:
        messages = [*messages[:_MOST_NAMED], f"and {len(more)} more images of one batch cannot be read"]
    return DataError("\n".join(messages))


class _TrainMaker:
    """Makes any batch of any epoch."""

    def __init__(
        self,
        images: ImageSet,
        image: ImageConfig,
        augment: AugmentConfig,
        *,
        batch_size: int,
        seed: int,
        num_classes: int,
    ) -> None:
        self._images, self._augment, self._batch_size = images, augment, batch_size
        self._seed, self._num_classes = seed, num_classes
        self._transform = train_transform(image, augment)
        self._known: tuple[int, IntArray] | None = None
        self.batches_per_epoch = max(1, len(images) // batch_size)
        self.is_fast = self._transform.is_fast

    def make(self, job: tuple[int, int]) -> tuple[ImageBatch, dict[int, str]]:
        """The batch of an epoch and a number; and by number of the image, why some could not be read.

        Raises:
            DataError: too many cannot.
        """
        epoch, number = job
        order = self._order(epoch)
        places = np.arange(number * self._batch_size, min((number + 1) * self._batch_size, len(order)))
        pixels, places, broken = _read_or_replace(self._images, order, places)
        indices = order[places]
        seeds = image_seeds(self._seed, epoch, indices, places % self._augment.repeats)
        images, labels = self._transform.batch(pixels, seeds), torch.from_numpy(self._images.labels[indices])
        rng = np.random.default_rng([self._seed, epoch, number, 1])
        mixed = mix(images, labels, self._augment, num_classes=self._num_classes, rng=rng)
        images, targets = (images, None) if mixed is None else mixed
        return ImageBatch(images, labels, targets, indices), broken

    def _order(self, epoch: int) -> IntArray:
        """Which image stands where; kept, for the next batch needs it again."""
        if self._known is None or self._known[0] != epoch:
            shuffled = np.random.default_rng([self._seed, epoch, 0]).permutation(len(self._images))
            self._known = epoch, np.repeat(shuffled, self._augment.repeats)[: len(shuffled)]
        return self._known[1]


class _EvalMaker:
    """Makes any batch of an evaluation."""

    def __init__(self, images: ImageSet, image: ImageConfig, *, batch_size: int) -> None:
        self._images, self._batch_size = images, batch_size
        self._transform = eval_transform(image)
        self.num_batches = -(-len(images) // batch_size)

    def make(self, number: int) -> ImageBatch:
        """The batch of a number.

        Raises:
            DataError: images of it cannot be read.
        """
        indices = np.arange(number * self._batch_size, min((number + 1) * self._batch_size, len(self._images)))
        pixels, broken = _read(self._images, indices)
        if broken:
            raise _unreadable(broken)
        images = self._transform(pixels) if isinstance(pixels, Tensor) else torch.stack([*map(self._transform, pixels)])
        return ImageBatch(images, torch.from_numpy(self._images.labels[indices]), None, indices)


def _read(images: ImageSet, indices: IntArray) -> tuple[Tensor | list[Tensor], dict[int, str]]:
    """Several images, as one tensor if they are decoded already, and why some cannot be read: these are left out."""
    broken: dict[int, str] = {}
    if isinstance(images, ArrayImages):
        broken = {int(index): message for index in indices if (message := images.broken(index))}
        return images.read_many(np.array([i for i in indices if int(i) not in broken], dtype=np.int64)), broken
    pixels = []
    for index in indices.tolist():
        try:
            pixels.append(images.read(index))
        except DataError as error:
            broken[index] = str(error)
    return pixels, broken


def _read_or_replace(
    images: ImageSet, order: IntArray, places: IntArray
) -> tuple[Tensor | list[Tensor], IntArray, dict[int, str]]:
    """Read the images at places of an order; for what is broken, the next in the order that is not.

    Returns:
        Pixels, the places where they stand in the order, what was broken.

    Raises:
        DataError: everything is.
    """
    broken: dict[int, str] = {}
    for _ in range(_MOST_BROKEN_IN_A_ROW):
        pixels, new = _read(images, order[places])
        if not new:
            return pixels, places, broken
        broken |= new
        places = np.where(np.isin(order[places], list(broken)), (places + 1) % len(order), places)
    raise _unreadable(broken)

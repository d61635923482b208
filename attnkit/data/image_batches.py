"""Batches of images for training and evaluation, made in this process or by workers.

What an epoch's batches hold depends on seed and epoch alone: not on the workers, nor on where an epoch is entered.
"""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from attnkit.data.config import AugmentConfig, ImageConfig
from attnkit.data.image_randomness import image_seeds
from attnkit.data.image_set import ArrayImages, ImageSet, IntArray
from attnkit.data.image_transforms import eval_transform, train_transform
from attnkit.data.mixing import mix
from attnkit.errors import DataError

Workers = int | Literal["auto"]

_MOST_WORKERS = 8
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


@dataclass(frozen=True)
class _Made:
    """What a worker hands over; errors travel as text, for DataLoader would wrap them into a trace."""

    batch: ImageBatch | None
    broken: dict[int, str] = field(default_factory=dict)
    """By number of the image, why it could not be read."""


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
        self.workers = num_workers(workers, images, slowly=not self._making.is_fast)

    @property
    def batches_per_epoch(self) -> int:
        """The last batch is left out if it is not full, unless it is the only one."""
        return self._making.batches_per_epoch

    def batches(self, epoch: int, start: int = 0) -> Iterator[ImageBatch]:
        """The batches of an epoch, counted from 0, from number `start` on.

        Raises:
            DataError: so many images in a row cannot be read that something else must be wrong.
        """
        numbers = [(epoch, number) for number in range(start, self.batches_per_epoch)]
        for made in _all_made(self._making, numbers, self.workers):
            if made.batch is None:
                raise _unreadable(made)
            self._tell(made.broken)
            yield made.batch

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
        self.workers = num_workers(workers, images)

    def __len__(self) -> int:
        return self._making.num_batches

    def __iter__(self) -> Iterator[ImageBatch]:
        """The batches.

        Raises:
            DataError: images cannot be read, a line for each of the batch.
        """
        for made in _all_made(self._making, [(0, number) for number in range(len(self))], self.workers):
            if made.batch is None:
                raise _unreadable(made)
            yield made.batch


def _unreadable(made: _Made) -> DataError:
    """A line for each of the first images that cannot be read."""
    messages = list(made.broken.values())
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

    def make(self, epoch: int, number: int) -> _Made:
        """One batch."""
        order = self._order(epoch)
        places = np.arange(number * self._batch_size, min((number + 1) * self._batch_size, len(order)))
        read = _read_or_replace(self._images, order, places)
        if isinstance(read, _Made):
            return read
        pixels, places, broken = read
        indices = order[places]
        seeds = image_seeds(self._seed, epoch, indices, places % self._augment.repeats)
        images, labels = self._transform.batch(pixels, seeds), torch.from_numpy(self._images.labels[indices])
        rng = np.random.default_rng([self._seed, epoch, number, 1])
        mixed = mix(images, labels, self._augment, num_classes=self._num_classes, rng=rng)
        images, targets = (images, None) if mixed is None else mixed
        return _Made(ImageBatch(images, labels, targets, indices), broken)

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

    def make(self, epoch: int, number: int) -> _Made:
        """One batch; there is but one epoch."""
        indices = np.arange(number * self._batch_size, min((number + 1) * self._batch_size, len(self._images)))
        pixels, broken = _read(self._images, indices)
        if broken:
            return _Made(None, broken)
        images = self._transform(pixels) if isinstance(pixels, Tensor) else torch.stack([*map(self._transform, pixels)])
        return _Made(ImageBatch(images, torch.from_numpy(self._images.labels[indices]), None, indices))


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
) -> _Made | tuple[Tensor | list[Tensor], IntArray, dict[int, str]]:
    """Read the images at places of an order; for what is broken, the next in the order that is not.

    Returns:
        Pixels, the places where they stand in the order, what was broken; or a failure, if everything is.
    """
    broken: dict[int, str] = {}
    for _ in range(_MOST_BROKEN_IN_A_ROW):
        pixels, new = _read(images, order[places])
        if not new:
            return pixels, places, broken
        broken |= new
        places = np.where(np.isin(order[places], list(broken)), (places + 1) % len(order), places)
    return _Made(None, broken)


class _Maker(Protocol):
    """Makes batches."""

    def make(self, epoch: int, number: int) -> _Made: ...


class _Numbered(Dataset[_Made]):
    """Batches by place in a list of epochs and numbers, for DataLoader."""

    def __init__(self, maker: _Maker, numbers: list[tuple[int, int]]) -> None:
        self._maker, self._numbers = maker, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, place: int) -> _Made:
        return self._maker.make(*self._numbers[place])


def _all_made(maker: _Maker, numbers: list[tuple[int, int]], workers: int) -> Iterator[_Made]:
    """Make batches here, or in processes that end with the iterator."""
    if not workers:
        for epoch, number in numbers:
            yield maker.make(epoch, number)
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="This DataLoader will create")  # more than cores: the user's choice
        loader = DataLoader(
            _Numbered(maker, numbers),
            batch_size=None,
            num_workers=workers,
            worker_init_fn=_leave_signals_to_the_parent,
            generator=torch.Generator(),  # or it would draw from the one that the model draws from
        )
        with _ctrl_c_held():
            batches = iter(loader)
    yield from batches


@contextmanager
def _ctrl_c_held() -> Iterator[None]:
    """Let Ctrl-C wait until the workers have started: they are born with it blocked, or some would print a trace."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _leave_signals_to_the_parent(_: int) -> None:
    """Ctrl-C reaches every process: the parent stops the workers, and they should not print traces of their own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # not what the parent does with it


def num_workers(workers: Workers, images: ImageSet, *, slowly: bool = False) -> int:
    """How many processes make batches.

    Args:
        workers: `auto` is none where one process can do it beside the training, else one for each core, up to 8.
        images: those that are not decoded yet need several.
        slowly: whether images are varied one by one, which holds a GPU up, but no training on a CPU.
    """
    if workers != "auto":
        return workers
    if isinstance(images, ArrayImages) and not (slowly and torch.cuda.is_available()):
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, _MOST_WORKERS)

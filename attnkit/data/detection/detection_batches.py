"""Batches of images and their objects for training and evaluation of detection.

What an epoch's batches hold depends on seed and epoch alone: not on the workers, nor on where an epoch is entered.
An image is reduced to what is shown of it before the next one is read: a batch of large photos fits into memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from attnkit.data.classification.image_set import IntArray
from attnkit.data.detection.config import DetectionAugmentConfig, DetectionImageConfig
from attnkit.data.detection.copy_paste import paste
from attnkit.data.detection.detection_set import DetectionSet
from attnkit.data.detection.detection_transforms import ObjectVariation, object_input
from attnkit.data.detection.image_sizes import Size, padded
from attnkit.data.detection.object_image import ObjectImage
from attnkit.data.detection.object_order import ObjectOrder, Room
from attnkit.data.detection.trained_images import trained_images
from attnkit.data.images.broken_images import Broken, OneByOne, read_all, read_or_replace
from attnkit.data.images.epoch_batches import EpochBatches, Job, in_their_order
from attnkit.data.images.image_workers import Workers, made_in_order, num_workers
from attnkit.data.segmentation.segmentation_set import IGNORE
from attnkit.errors import DataError
from attnkit.structures.objects import Objects


@dataclass(frozen=True)
class DetectionBatch:
    """B images, each at the upper left of what the largest of them needs, and their objects."""

    images: Tensor
    """(B, 3, H, W) float32, normalised, zero where there is no image; H and W are multiples of 32."""
    sizes: list[Size]
    """Of each image without what is added."""
    objects: list[Objects]
    """In training in the pixels of `images`, without crowds; in evaluation in those of the files, all."""
    originals: list[Size]
    """Of the files."""
    indices: IntArray
    """(B,) which images of the set these are."""
    semantic: Tensor | None
    """(B, H, W) uint8, IGNORE where there is no class; None in evaluation, and where the data has none."""

    def __len__(self) -> int:
        return len(self.indices)

    def to(self, device: torch.device | str) -> DetectionBatch:
        """The same batch on a device."""
        return DetectionBatch(
            self.images.to(device, non_blocking=True),
            self.sizes,
            [objects.to(device) for objects in self.objects],
            self.originals,
            self.indices,
            None if self.semantic is None else self.semantic.to(device, non_blocking=True),
        )

    def halves(self) -> tuple[DetectionBatch, DetectionBatch]:
        """Two batches of half the images each.

        Raises:
            ValueError: there is but one image.
        """
        if len(self) < 2:
            raise ValueError("a batch of one image cannot be halved")
        middle = len(self) // 2
        return self._part(slice(0, middle)), self._part(slice(middle, len(self)))

    def _part(self, rows: slice) -> DetectionBatch:
        return DetectionBatch(
            self.images[rows],
            self.sizes[rows],
            self.objects[rows],
            self.originals[rows],
            self.indices[rows],
            None if self.semantic is None else self.semantic[rows],
        )


class TrainObjects:
    """The batches of every epoch: shuffled, varied, images of alike shape together.

    An image without an object that is learned is left out: one of crowds alone, of boxes of no area, of nothing.
    """

    batches_per_epoch: int
    """The same for every epoch, though sizes are drawn: see `ObjectOrder`. No image is decoded to know it, for a size
    follows from seed, epoch, number of the image, and the size that the annotations or the header of the file say."""

    def __init__(
        self,
        data: DetectionSet,
        image: DetectionImageConfig,
        augment: DetectionAugmentConfig,
        *,
        batch_size: int,
        pixels: int | None = None,
        seed: int,
        workers: Workers = 0,
        warn: Callable[[str], None] | None = None,
    ) -> None:
        """Take the images.

        Args:
            data: the training set.
            image: the input of the model.
            augment: how images and objects are varied.
            batch_size: B at most.
            pixels: B x H x W at most: batches of large images have fewer. None: no bound.
            seed: of the order, and of what is drawn for each image.
            workers: processes that make batches; 0 is this one; see `num_workers` for `auto`.
            warn: told once about each image that cannot be read; another of the epoch stands in for it.

        Raises:
            DataError: no image has an object, or one has more pixels than a batch may have, or objects without masks
                are to be pasted.
        """
        if augment.copy_paste and not data.has_masks:
            raise DataError(
                f"augment.copy_paste: {augment.copy_paste}, but the objects of the data have no masks; expected masks, "
                "by which to cut them out; set it to 0"
            )
        vary = ObjectVariation(image, augment)
        indices, sizes = trained_images(data, warn)
        if pixels is not None:
            _check_room(pixels, vary.resizing.most_pixels(sizes), data, indices)
        order = ObjectOrder(indices, sizes, vary.padded_sizes, room=Room(batch_size, pixels), seed=seed)
        making = _TrainMaker(data, indices, order, vary)
        self.batches_per_epoch = order.batches_per_epoch
        self.workers = num_workers(workers, decodes=True)
        self._epochs = EpochBatches(making.make, self.batches_per_epoch, workers=self.workers, warn=warn)

    def num_batches(self, epoch: int) -> int:
        """How many batches an epoch has: all have as many."""
        return self.batches_per_epoch

    def batches(self, epoch: int, start: int = 0, every: int = 1) -> Iterator[DetectionBatch]:
        """The batches of an epoch, counted from 0: number `start`, and every `every`-th one behind it.

        Raises:
            DataError: so many images in a row cannot be read that something else must be wrong.
        """
        return self._epochs.batches(epoch, start, every)


def _check_room(pixels: int, most: IntArray, data: DetectionSet, indices: IntArray) -> None:
    largest = int(most.argmax())
    if most[largest] > pixels:
        raise DataError(
            f"batch.pixels: {pixels}, but {data.place(int(indices[largest]))} may have {most[largest]}, with padding, "
            "as it is shown; expected room for one image; raise it, or lower the sides in image and augment"
        )


class EvalObjects:
    """All images once, in their order, as they are used; again and again."""

    def __init__(
        self, data: DetectionSet, image: DetectionImageConfig, *, batch_size: int, workers: Workers = 0
    ) -> None:
        """Take the images.

        Args:
            data: what is to be scored.
            image: the input of the model.
            batch_size: B; the last batch may have fewer.
            workers: as in training.
        """
        self._making = _EvalMaker(data, image)
        self._jobs = in_their_order(len(data), batch_size)
        self.workers = num_workers(workers, decodes=True)

    def __iter__(self) -> Iterator[DetectionBatch]:
        """The batches.

        Raises:
            DataError: images cannot be read, a line for each of up to `batch_size` of them.
        """
        return made_in_order(self._making.make, self._jobs, self.workers)


@dataclass(frozen=True)
class _Varied:
    """An image as it is shown in an epoch; its colours are not changed yet."""

    shown: ObjectImage
    original: Size
    seed: int


@dataclass(frozen=True)
class _TrainMaker:
    """Makes any batch of any epoch."""

    data: DetectionSet
    indices: IntArray
    """Images that take part, in their order."""
    order: ObjectOrder
    vary: ObjectVariation

    def make(self, job: Job) -> tuple[DetectionBatch, Broken]:
        """The batch of an epoch and a number.

        Raises:
            DataError: too many images cannot be read.
        """
        order, count = self.order.draw(job)
        images, places, broken = read_or_replace(
            OneByOne(lambda index: self._varied(job[0], index)), order, np.arange(count)
        )
        return self._batch(images, order[places]), broken

    def _varied(self, epoch: int, index: int) -> _Varied:
        seed = int(self.order.seeds(epoch, np.array([index]))[0])
        given = self._read(index)
        shown, original = self.vary.shown(given, seed), given.size
        del given  # a large one should not wait while another is read
        if self.vary.pastes(seed):
            shown = self._pasted(shown, index, np.random.default_rng([seed, 1]))
        return _Varied(shown, original, seed)

    def _pasted(self, onto: ObjectImage, index: int, rng: np.random.Generator) -> ObjectImage:
        """With objects of another image, which is varied likewise; without, where that cannot be read: it is told when
        its own turn comes.
        """
        if len(self.indices) < 2:
            return onto
        place = np.searchsorted(self.indices, index) + rng.integers(1, len(self.indices))
        try:
            other = self._read(int(self.indices[place % len(self.indices)]))
        except DataError:
            return onto
        return paste(self.vary.shown(other, int(rng.integers(1 << 63))), onto, rng)

    def _read(self, index: int) -> ObjectImage:
        pixels, objects = self.data.read(index)
        return ObjectImage(pixels, objects, self.data.read_semantic(index))

    def _batch(self, images: Sequence[_Varied], indices: IntArray) -> DetectionBatch:
        sizes = [one.shown.size for one in images]
        height, width = self.vary.resizing.padded(np.array(sizes)).max(0).tolist()
        batch = torch.zeros(len(images), 3, height, width)
        for one, onto in zip(images, batch, strict=True):
            self.vary.write(one.shown.pixels, one.seed, onto)
        return DetectionBatch(
            batch,
            sizes,
            [one.shown.objects for one in images],
            [one.original for one in images],
            indices,
            _maps([one.shown.semantic for one in images], (height, width)),
        )


def _maps(given: Sequence[Tensor | None], size: Size) -> Tensor | None:
    """One of them all, IGNORE where there is no image."""
    found = [one for one in given if one is not None]
    if not found:
        return None
    maps = torch.full((len(found), *size), IGNORE, dtype=torch.uint8)
    for one, onto in zip(found, maps, strict=True):
        onto[: one.shape[0], : one.shape[1]] = one
    return maps


@dataclass(frozen=True)
class _EvalMaker:
    """Makes any batch of an evaluation."""

    data: DetectionSet
    image: DetectionImageConfig

    def make(self, indices: IntArray) -> DetectionBatch:
        """The batch of some images.

        Raises:
            DataError: some cannot be read.
        """
        read = read_all(OneByOne(self._read), indices)
        sizes = [(pixels.shape[1], pixels.shape[2]) for pixels, _, _ in read]
        height, width = padded(np.array(sizes)).max(0).tolist()
        images = torch.zeros(len(read), 3, height, width)
        for (pixels, _, _), onto, (high, wide) in zip(read, images, sizes, strict=True):
            onto[:, :high, :wide] = pixels
        objects, originals = [objects for _, objects, _ in read], [size for _, _, size in read]
        return DetectionBatch(images, sizes, objects, originals, indices, None)

    def _read(self, index: int) -> tuple[Tensor, Objects, Size]:
        """The input, the objects, and the size of the file."""
        pixels, objects = self.data.read(index)
        return object_input(pixels, self.image), objects, (pixels.shape[1], pixels.shape[2])

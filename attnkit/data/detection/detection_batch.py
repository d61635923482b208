"""A batch of images and their objects, and how it is made, in this process or in a worker.

An image is reduced to what is shown of it before the next one is read: a batch of large photos fits into memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from attnkit.data.detection.config import DetectionImageConfig
from attnkit.data.detection.detection_set import DetectionSet
from attnkit.data.detection.detection_transforms import DetectionVariation, detection_input
from attnkit.data.detection.object_image import ObjectImage, paste
from attnkit.data.detection.object_order import ObjectOrder
from attnkit.data.detection.resizing import padded
from attnkit.data.detection.semantic_maps import draw_classes
from attnkit.data.images.batches import BatchOfImages, Broken, Job, OneByOne, read_all, read_or_replace
from attnkit.errors import DataError
from attnkit.structures.arrays import IGNORE, IntArray, Size
from attnkit.structures.objects import Objects

Semantic: TypeAlias = Literal["none", "instances", "maps"]
"""Where the class of every pixel comes from: it is not needed, from the objects' masks, or from the data's maps."""


@dataclass(frozen=True)
class DetectionBatch(BatchOfImages):
    """B images, each at the upper left of what the largest of them needs, and their objects."""

    images: Tensor
    """(B, 3, H, W) float32, normalised, zero where there is no image; H and W are multiples of 32."""
    sizes: list[Size]
    """The size of each image without its padding."""
    objects: list[Objects]
    """In training in the pixels of `images`, without crowds; in evaluation all of them, in the pixels of the files."""
    originals: list[Size]
    """The sizes of the files' images."""
    indices: IntArray
    semantic: Tensor | None
    """(B, H, W) uint8, IGNORE where there is no class; None in evaluation, and where the data has none."""

    def to(self, device: torch.device | str) -> DetectionBatch:
        """The same batch on a device."""
        return replace(super().to(device), objects=[objects.to(device) for objects in self.objects])


@dataclass(frozen=True)
class _Varied:
    """An image as it is shown in an epoch; its colours are not changed yet."""

    shown: ObjectImage
    original: Size
    seed: int


@dataclass(frozen=True)
class TrainMaker:
    """Makes any batch of any epoch."""

    data: DetectionSet
    indices: IntArray
    """(N,) the images that are trained on, ascending."""
    order: ObjectOrder
    vary: DetectionVariation
    semantic: Semantic
    """What is learned of every pixel."""

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
        """With objects of another image, which is varied in the same way; without, where that cannot be read, which
        is an error when its own turn comes.
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
        return ObjectImage(pixels, objects, self._semantic(index, objects))

    def _semantic(self, index: int, objects: Objects) -> Tensor | None:
        if self.semantic == "maps":
            return self.data.read_semantic(index)
        if self.semantic == "instances":
            return draw_classes(objects, background=len(self.data.class_names))
        return None

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
    """All maps in one tensor, IGNORE where there is no image."""
    found = [one for one in given if one is not None]
    if not found:
        return None
    maps = torch.full((len(found), *size), IGNORE, dtype=torch.uint8)
    for one, onto in zip(found, maps, strict=True):
        onto[: one.shape[0], : one.shape[1]] = one
    return maps


@dataclass(frozen=True)
class EvalMaker:
    """Makes any batch of an evaluation."""

    data: DetectionSet
    image: DetectionImageConfig

    def make(self, indices: IntArray) -> list[DetectionBatch]:
        """The one batch of some images.

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
        return [DetectionBatch(images, sizes, objects, originals, indices, None)]

    def _read(self, index: int) -> tuple[Tensor, Objects, Size]:
        """The input, the objects, and the size of the file."""
        pixels, objects = self.data.read(index)
        return detection_input(pixels, self.image), objects, (pixels.shape[1], pixels.shape[2])

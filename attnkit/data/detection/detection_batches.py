"""Batches of images and their objects for training and evaluation of detection.

What an epoch's batches hold depends on seed and epoch alone: not on the workers, nor on where an epoch is entered.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from attnkit.data.detection.config import DetectionAugmentConfig, DetectionImageConfig
from attnkit.data.detection.detection_set import DetectionSet
from attnkit.data.detection.detection_transforms import DetectionVariation, detection_input
from attnkit.data.detection.object_files import draw_classes
from attnkit.data.detection.object_image import ObjectImage, paste
from attnkit.data.detection.object_order import BatchLimit, ObjectOrder
from attnkit.data.detection.resizing import padded
from attnkit.data.finding import MOST_NAMED
from attnkit.data.formats.annotations import Annotation
from attnkit.data.formats.outlines import is_outline
from attnkit.data.images.batches import (
    BatchOfImages,
    Broken,
    EpochBatches,
    EvalBatches,
    Job,
    OneByOne,
    read_all,
    read_or_replace,
)
from attnkit.data.images.image_workers import Workers, num_workers
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

    def to(self, device: torch.device | str) -> "DetectionBatch":
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
        sizes = [image.shown.size for image in images]
        height, width = self.vary.resizing.padded(np.array(sizes)).max(0).tolist()
        batch = torch.zeros(len(images), 3, height, width)
        for image, onto in zip(images, batch, strict=True):
            self.vary.write(image.shown.pixels, image.seed, onto)
        return DetectionBatch(
            batch,
            sizes,
            [image.shown.objects for image in images],
            [image.original for image in images],
            indices,
            _maps([image.shown.semantic for image in images], (height, width)),
        )


def _maps(given: Sequence[Tensor | None], size: Size) -> Tensor | None:
    """All maps in one tensor, IGNORE where there is no image."""
    found = [semantic for semantic in given if semantic is not None]
    if not found:
        return None
    maps = torch.full((len(found), *size), IGNORE, dtype=torch.uint8)
    for semantic, onto in zip(found, maps, strict=True):
        onto[: semantic.shape[0], : semantic.shape[1]] = semantic
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


def train_detection(
    data: DetectionSet,
    image: DetectionImageConfig,
    augment: DetectionAugmentConfig,
    *,
    batch_size: int,
    pixels: int | None = None,
    seed: int,
    semantic: Semantic = "none",
    workers: Workers = 0,
    warn: Callable[[str], None] | None = None,
) -> EpochBatches[DetectionBatch]:
    """The batches of every epoch: shuffled, varied, images of alike shape together.

    An image without an object that is learned is left out: one of crowds alone, of boxes of no area, of nothing. Every
    epoch has as many batches, though sizes are drawn: see `ObjectOrder`. No image is decoded to know it, for a size
    follows from seed, epoch, number of the image, and the size in the annotations or in the header of the file.

    Args:
        batch_size: B at most.
        pixels: B x H x W at most: batches of large images have fewer. None: no bound.
        semantic: what batches hold of every pixel.

    Raises:
        DataError: no image has an object, or one has more pixels than a batch may have, or objects without masks
            are to be pasted.
    """
    if augment.copy_paste and not data.has_masks:
        raise DataError(
            f"augment.copy_paste: {augment.copy_paste}, but the objects of the data have no masks; expected masks, "
            "by which to cut them out; set it to 0"
        )
    vary = DetectionVariation(image, augment)
    indices, sizes = trained_images(data, warn)
    if pixels is not None:
        _check_pixels(pixels, vary.resizing.most_pixels(sizes), data, indices)
    order = ObjectOrder(indices, sizes, vary.padded_sizes, limit=BatchLimit(batch_size, pixels), seed=seed)
    making = TrainMaker(data, indices, order, vary, semantic)
    processes = num_workers(workers, decodes=True)
    return EpochBatches(making.make, order.batches_per_epoch, workers=processes, warn=warn)


def _check_pixels(pixels: int, most: IntArray, data: DetectionSet, indices: IntArray) -> None:
    largest = int(most.argmax())
    if most[largest] > pixels:
        raise DataError(
            f"batch.pixels: {pixels}, but {data.place(int(indices[largest]))} may have {most[largest]}, with padding, "
            "as it is shown; expected as many as one image needs; raise it, or lower the sides in image and augment"
        )


def trained_images(data: DetectionSet, warn: Callable[[str], None] | None) -> tuple[IntArray, IntArray]:
    """The images that have an object to be learned: no crowd, a pixel wide and high at least, not without an outline.

    An outline counts where the set has masks.

    Args:
        warn: called for each image whose size or annotations cannot be read; it is left out.

    Returns:
        (N,) their numbers, and (N, 2) their heights and widths.

    Raises:
        DataError: there are none.
    """
    indices, sizes, broken = [], [], []
    for index in range(len(data)):
        try:
            size = data.size(index)
            learned = any(_is_learned(one, size, masks=data.has_masks) for one in data.annotations(index))
        except DataError as error:
            broken.append(str(error))
            continue
        if learned:
            indices.append(index)
            sizes.append(size)
    if not indices:
        raise DataError("\n".join(broken[:MOST_NAMED]) if len(broken) == len(data) else _nothing(data))
    if warn is not None:
        for message in broken:
            warn(f"{message}; it is left out")
    return np.array(indices, dtype=np.int64), np.array(sizes, dtype=np.int64)


def _is_learned(annotation: Annotation, size: Size, *, masks: bool) -> bool:
    """By its box, where it has one; an outline is not drawn to find out."""
    if annotation.crowd or (masks and not is_outline(annotation.outline)):
        return False
    if annotation.box is None:
        return True
    (x1, y1, x2, y2), (height, width) = annotation.box, size
    return min(x2, width) - max(x1, 0) >= 1 and min(y2, height) - max(y1, 0) >= 1


def _nothing(data: DetectionSet) -> str:
    return (
        f"{data.annotation_place(0)}: no object to be learned, nor in any of the {len(data)} training images; expected "
        "boxes of a pixel or more that are no crowds; correct the annotations"
    )


def eval_detection(
    data: DetectionSet, image: DetectionImageConfig, *, batch_size: int, workers: Workers = 0
) -> EvalBatches[DetectionBatch]:
    """All images once, in their order, as they are used; again and again."""
    making, processes = EvalMaker(data, image), num_workers(workers, decodes=True)
    return EvalBatches(making.make, len(data), batch_size=batch_size, workers=processes)

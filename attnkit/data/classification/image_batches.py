"""Batches of images for training and evaluation.

What an epoch's batches hold depends on seed and epoch alone: not on the workers, nor on where an epoch is entered.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from attnkit.data.classification.config import AugmentConfig, ImageConfig
from attnkit.data.classification.image_set import ArrayImages, ImageSet
from attnkit.data.classification.image_transforms import EvalTransform, TrainTransform
from attnkit.data.images.batches import (
    BatchOfImages,
    Broken,
    EpochBatches,
    EpochOrder,
    EvalBatches,
    Job,
    OneByOne,
    Reader,
    read_all,
)
from attnkit.data.images.image_workers import Workers, num_workers
from attnkit.structures.arrays import IntArray


@dataclass(frozen=True)
class ImageBatch(BatchOfImages):
    """B images of one size, S x S."""

    images: Tensor
    """(B, 3, S, S) float32, normalised."""
    labels: Tensor
    """(B,) int64"""
    targets: Tensor | None
    """(B, K) float32, the shares of the classes where images were mixed."""
    indices: IntArray


def train_images(
    images: ImageSet,
    image: ImageConfig,
    augment: AugmentConfig,
    *,
    batch_size: int,
    seed: int,
    workers: Workers = 0,
    num_classes: int,
    warn: Callable[[str], None] | None = None,
) -> EpochBatches[ImageBatch]:
    """The batches of every epoch: shuffled, varied, perhaps mixed."""
    order = EpochOrder(len(images), batch_size=batch_size, seed=seed, repeats=augment.repeats)
    transform = TrainTransform(image, augment)
    making = _TrainMaker(images, order, transform, augment, num_classes)
    processes = num_workers(workers, decodes=_decodes(images), slowly=not transform.is_fast)
    return EpochBatches(making.make, order.batches_per_epoch, workers=processes, warn=warn)


def eval_images(
    images: ImageSet, image: ImageConfig, *, batch_size: int, workers: Workers = 0
) -> EvalBatches[ImageBatch]:
    """All images once, in their order; again and again."""
    making, processes = _EvalMaker(images, EvalTransform(image)), num_workers(workers, decodes=_decodes(images))
    return EvalBatches(making.make, len(images), batch_size=batch_size, workers=processes)


@dataclass(frozen=True)
class _TrainMaker:
    """Makes any batch of any epoch."""

    images: ImageSet
    order: EpochOrder
    transform: TrainTransform
    augment: AugmentConfig
    num_classes: int

    def make(self, job: Job) -> tuple[ImageBatch, Broken]:
        """The batch of an epoch and a number."""
        drawn = self.order.draw(job, _reader(self.images))
        images = self.transform.batch(drawn.images, drawn.seeds)
        labels = torch.from_numpy(self.images.labels[drawn.indices])
        mixed = mix(images, labels, self.augment, num_classes=self.num_classes, rng=self.order.batch_rng(job))
        images, targets = (images, None) if mixed is None else mixed
        return ImageBatch(images, labels, targets, drawn.indices), drawn.broken


def mix(
    images: Tensor, labels: Tensor, augment: AugmentConfig, *, num_classes: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor] | None:
    """Blend the images of a batch, and their labels, with those of it in reverse order; or leave it be, by chance.

    Source: mixup, Zhang et al. 2017, arXiv:1710.09412; CutMix, Yun et al. 2019, arXiv:1905.04899.

    Args:
        images: float32 (B, 3, H, W); changed in place.
        labels: (B,) int64.

    Returns:
        Images (B, 3, H, W) and targets (B, K), the shares of the classes; None where the batch is left as it is.
    """
    if not (augment.mixup or augment.cutmix) or rng.random() >= augment.mix_probability:
        return None
    cuts = bool(augment.cutmix) and (not augment.mixup or rng.random() < 0.5)
    alpha = augment.cutmix if cuts else augment.mixup
    share = float(rng.beta(alpha, alpha))
    if cuts:
        share = _cut(images, share, rng)
    else:
        images = images * share + images.flip(0) * (1 - share)
    truth = functional.one_hot(labels, num_classes).to(torch.float32)
    return images, truth * share + truth.flip(0) * (1 - share)


def _cut(images: Tensor, share: float, rng: np.random.Generator) -> float:
    """Put a rectangle of the reversed batch into each image; give the share of the image that is left of it.

    The rectangle has 1 - share of the area before it is cut off at the border; its centre is anywhere.
    """
    height, width = images.shape[2:]
    side = np.sqrt(1 - share)
    high, wide = int(height * side), int(width * side)
    y, x = int(rng.integers(height)), int(rng.integers(width))
    top, bottom = max(y - high // 2, 0), min(y + high // 2, height)
    left, right = max(x - wide // 2, 0), min(x + wide // 2, width)
    images[:, :, top:bottom, left:right] = images.flip(0)[:, :, top:bottom, left:right]
    return 1 - (bottom - top) * (right - left) / (height * width)


@dataclass(frozen=True)
class _EvalMaker:
    """Makes any batch of an evaluation."""

    images: ImageSet
    transform: EvalTransform

    def make(self, indices: IntArray) -> list[ImageBatch]:
        """The one batch of these images."""
        pixels = read_all(_reader(self.images), indices)
        images = self.transform(pixels) if isinstance(pixels, Tensor) else torch.stack([*map(self.transform, pixels)])
        return [ImageBatch(images, torch.from_numpy(self.images.labels[indices]), None, indices)]


def _decodes(images: ImageSet) -> bool:
    return not isinstance(images, ArrayImages)


def _reader(images: ImageSet) -> Reader[Tensor | list[Tensor]]:
    """What reads the images of a batch: as one tensor if they are decoded already."""
    return _Rows(images) if isinstance(images, ArrayImages) else OneByOne(images.read)


@dataclass(frozen=True)
class _Rows:
    """Reads several images out of their array at once."""

    images: ArrayImages

    def __call__(self, indices: IntArray) -> tuple[Tensor, Broken]:
        broken = {int(index): message for index in indices if (message := self.images.broken(index))}
        return self.images.read_many(np.array([i for i in indices if int(i) not in broken], dtype=np.int64)), broken

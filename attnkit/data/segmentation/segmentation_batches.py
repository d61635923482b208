"""Batches of images and their labels for training and evaluation of segmentation.

What an epoch's batches hold depends on seed and epoch alone: not on the workers, nor on where an epoch is entered.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from attnkit.data.images.batches import (
    BatchOfImages,
    Broken,
    EpochBatches,
    EpochOrder,
    EvalBatches,
    Job,
    OneByOne,
    read_all,
)
from attnkit.data.images.image_workers import Workers, num_workers
from attnkit.data.segmentation.config import SegmentationAugmentConfig, SegmentationImageConfig
from attnkit.data.segmentation.segmentation_set import SegmentationSet
from attnkit.data.segmentation.segmentation_transforms import SegmentationVariation, segmentation_input
from attnkit.structures.arrays import IntArray


@dataclass(frozen=True)
class SegmentationBatch(BatchOfImages):
    """B images of one size, and the classes of their pixels."""

    images: Tensor
    """(B, 3, H, W) float32, normalised."""
    labels: Tensor
    """(B, H', W') int64, IGNORE where there is no class; in evaluation of the files' sizes, which may be others."""
    indices: IntArray


def train_segmentation(
    data: SegmentationSet,
    image: SegmentationImageConfig,
    augment: SegmentationAugmentConfig,
    *,
    batch_size: int,
    seed: int,
    workers: Workers = 0,
    warn: Callable[[str], None] | None = None,
) -> EpochBatches[SegmentationBatch]:
    """The batches of every epoch: shuffled, varied, all of the size of the crop."""
    order = EpochOrder(len(data), batch_size=batch_size, seed=seed)
    making = _TrainMaker(data, order, SegmentationVariation(image, augment))
    processes = num_workers(workers, decodes=True)
    return EpochBatches(making.make, order.batches_per_epoch, workers=processes, warn=warn)


def eval_segmentation(
    data: SegmentationSet, image: SegmentationImageConfig, *, batch_size: int, workers: Workers = 0
) -> EvalBatches[SegmentationBatch]:
    """All images once, in their order, as they are used; again and again.

    Args:
        batch_size: B at most; a batch ends where the size of the images changes.
    """
    making, processes = _EvalMaker(data, image), num_workers(workers, decodes=True)
    return EvalBatches(making.make, len(data), batch_size=batch_size, workers=processes)


@dataclass(frozen=True)
class _TrainMaker:
    """Makes any batch of any epoch."""

    data: SegmentationSet
    order: EpochOrder
    vary: SegmentationVariation

    def make(self, job: Job) -> tuple[SegmentationBatch, Broken]:
        """The batch of an epoch and a number."""
        drawn = self.order.draw(job, OneByOne(self.data.read))
        images, labels = self.vary(drawn.images, drawn.seeds.tolist())
        return SegmentationBatch(images, labels, drawn.indices), drawn.broken


@dataclass(frozen=True)
class _EvalMaker:
    """Makes any batches of an evaluation."""

    data: SegmentationSet
    image: SegmentationImageConfig

    def make(self, indices: IntArray) -> list[SegmentationBatch]:
        """The batches of consecutive images, one where all are of one size."""
        samples = zip(indices.tolist(), read_all(OneByOne(self.data.read), indices), strict=True)
        return [self._batch(list(group)) for _, group in groupby(samples, key=lambda sample: sample[1][1].shape)]

    def _batch(self, samples: list[tuple[int, tuple[Tensor, Tensor]]]) -> SegmentationBatch:
        images = torch.stack([segmentation_input(pixels, self.image) for _, (pixels, _) in samples])
        labels = torch.stack([labels for _, (_, labels) in samples]).long()
        return SegmentationBatch(images, labels, np.array([index for index, _ in samples]))

"""How detectors are trained on COCO by those who published them: what the recipe of imported weights starts from. Free
of torch."""

from __future__ import annotations

from dataclasses import dataclass

from attnkit.data.detection.config import CropBranchConfig, DetectionAugmentConfig
from attnkit.engine.config import AdamWConfig, MultiStepConfig, OptimizerConfig, SgdConfig, TrainConfig
from attnkit.models.config import ResNetConfig, SwinConfig
from attnkit.models.rcnn.config import DetectorConfig
from attnkit.recipes.detection.recipe import DetectionBatchConfig

EPOCH = 7330
"""Steps of 16 images each: 117,266 of the 118,287 training images have an object."""
SHORT_SIDES = tuple(range(480, 801, 32))
"""Of the images of the Swin paper, and of DETR before it."""
BATCH = DetectionBatchConfig(images=2)
"""Of which a step takes eight."""
_PARTS = 8
_WIDE = 128
"""Channels of Swin-B, which skips more of its blocks."""


@dataclass(frozen=True)
class FineTuning:
    """The sections of a recipe that say how to train."""

    source: str
    train: TrainConfig
    augment: DetectionAugmentConfig
    batch: DetectionBatchConfig = BATCH
    drop_path_rate: float = 0.0


def published_fine_tuning(model: DetectorConfig) -> FineTuning:
    """The published values for a backbone: of Swin 36 epochs, of ResNet 12."""
    if isinstance(model.backbone, ResNetConfig):
        return FineTuning(
            "mmdetection's detectors on ResNet, which do not train its stem and first stage",
            _sgd(),
            DetectionAugmentConfig(),
        )
    return FineTuning(
        "the official Swin for object detection",
        _adamw(),
        DetectionAugmentConfig(short_sides=SHORT_SIDES, crop_branch=CropBranchConfig()),
        drop_path_rate=_drop_path_rate(model.backbone),
    )


def _drop_path_rate(backbone: SwinConfig) -> float:
    return 0.3 if backbone.embed_dim >= _WIDE else 0.2


def _adamw() -> TrainConfig:
    schedule = MultiStepConfig(name="multi_step", lr=1e-4, warmup_steps=500, milestones=(27 * EPOCH, 33 * EPOCH))
    return _train(36, AdamWConfig(name="adamw", weight_decay=0.05, decay_biases=True), schedule)


def _sgd() -> TrainConfig:
    schedule = MultiStepConfig(name="multi_step", lr=0.02, warmup_steps=500, milestones=(8 * EPOCH, 11 * EPOCH))
    return _train(12, SgdConfig(name="sgd", momentum=0.9, weight_decay=1e-4), schedule)


def _train(epochs: int, optimizer: OptimizerConfig, schedule: MultiStepConfig) -> TrainConfig:
    return TrainConfig(
        steps=epochs * EPOCH,
        accumulate=_PARTS,
        optimizer=optimizer,
        schedule=schedule,
        validate_every=EPOCH,
        save_every=EPOCH // 2,
        keep_last=1,
        average_last=1,
    )

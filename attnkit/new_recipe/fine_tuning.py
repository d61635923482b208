"""How the authors of a network fine-tune it: what the recipe of imported weights starts from. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass

from attnkit.data.config import AugmentConfig
from attnkit.engine.config import AdamWConfig, CosineConfig, SgdConfig, TrainConfig
from attnkit.models.config import ClassifierConfig
from attnkit.recipes.base import ImageBatchConfig
from attnkit.recipes.classification.recipe import ClassificationLossConfig

IMAGENET_IMAGES = 1_281_167
"""Training images of ImageNet-1k, by which the papers count their epochs."""


@dataclass(frozen=True)
class FineTuning:
    """The sections of a recipe that say how to train."""

    source: str
    train: TrainConfig
    batch: ImageBatchConfig
    augment: AugmentConfig
    loss: ClassificationLossConfig
    drop_path_rate: float = 0.0


def published_fine_tuning(model: ClassifierConfig) -> FineTuning:
    """The published values for a model; of convolutional networks those of Big Transfer."""
    if model.name == "swin":
        return _swin()
    if model.name == "vit":
        return _deit() if model.distillation else _vit()
    return _big_transfer()


def _vit() -> FineTuning:
    train = TrainConfig(
        steps=20_000,
        accumulate=4,
        optimizer=SgdConfig(name="sgd", momentum=0.9),
        schedule=CosineConfig(name="cosine", lr=0.03, warmup_steps=500),
        clip_norm=1.0,
    )
    return FineTuning("Dosovitskiy et al. 2020, table 4", train, ImageBatchConfig(images=128), *_plain_augmentation())


def _deit() -> FineTuning:
    train = TrainConfig(
        steps=30 * IMAGENET_IMAGES // 512,
        accumulate=4,
        optimizer=AdamWConfig(name="adamw", weight_decay=1e-8),
        schedule=CosineConfig(name="cosine", lr=5e-6, final_lr=5e-6),
    )
    return FineTuning("DeiT's fine-tuning at 384", train, ImageBatchConfig(images=128), *_strong_augmentation(), 0.1)


def _swin() -> FineTuning:
    batch = 1024
    epoch = IMAGENET_IMAGES // batch
    train = TrainConfig(
        steps=30 * epoch,
        accumulate=8,
        optimizer=AdamWConfig(name="adamw", weight_decay=1e-8),
        schedule=CosineConfig(
            name="cosine", lr=2e-5 * batch / 512, final_lr=2e-7 * batch / 512, warmup_steps=5 * epoch
        ),
        clip_norm=5.0,
    )
    return FineTuning(
        "Swin's fine-tuning from ImageNet-22k", train, ImageBatchConfig(images=128), *_strong_augmentation(), 0.2
    )


def _big_transfer() -> FineTuning:
    train = TrainConfig(
        steps=20_000,
        accumulate=4,
        optimizer=SgdConfig(name="sgd", momentum=0.9),
        schedule=CosineConfig(name="cosine", lr=0.003, warmup_steps=500),
    )
    return FineTuning(
        "Kolesnikov et al. 2019, BiT-HyperRule", train, ImageBatchConfig(images=128), *_plain_augmentation()
    )


def _plain_augmentation() -> tuple[AugmentConfig, ClassificationLossConfig]:
    return AugmentConfig(), ClassificationLossConfig()


def _strong_augmentation() -> tuple[AugmentConfig, ClassificationLossConfig]:
    augment = AugmentConfig(auto="rand", rand_magnitude=27.0, rand_noise=1.5, erase=0.25, mixup=0.8, cutmix=1.0)
    return augment, ClassificationLossConfig(label_smoothing=0.1)

"""How UperNet is trained on ADE20K by those who published it: what the recipe of imported weights starts from. Free of
torch."""

from __future__ import annotations

from dataclasses import dataclass

from attnkit.engine.config import AdamWConfig, PolyConfig, SgdConfig, TrainConfig
from attnkit.models.config import UperNetConfig
from attnkit.recipes.base import ImageBatchConfig

STEPS = 160_000
"""Of 16 images each."""
BATCH = ImageBatchConfig(images=16)


@dataclass(frozen=True)
class FineTuning:
    """The sections of a recipe that say how to train."""

    source: str
    train: TrainConfig
    batch: ImageBatchConfig = BATCH
    drop_path_rate: float = 0.0


def published_fine_tuning(model: UperNetConfig) -> FineTuning:
    """The published values for a backbone."""
    if model.backbone.name == "resnet":
        return _resnet()
    if model.backbone.name == "vit":
        return FineTuning("mmsegmentation's UPerNet on DeiT", _adamw(), drop_path_rate=0.1)
    return FineTuning("the official Swin for segmentation", _adamw(), drop_path_rate=0.3)


def _adamw() -> TrainConfig:
    return TrainConfig(
        steps=STEPS,
        optimizer=AdamWConfig(name="adamw", weight_decay=0.01, decay_biases=True),
        schedule=PolyConfig(name="poly", lr=6e-5, warmup_steps=1500),
    )


def _resnet() -> FineTuning:
    train = TrainConfig(
        steps=STEPS,
        optimizer=SgdConfig(name="sgd", momentum=0.9, weight_decay=5e-4),
        schedule=PolyConfig(name="poly", lr=0.01, power=0.9, final_lr=1e-4),
    )
    return FineTuning("mmsegmentation's UPerNet on ResNet", train)

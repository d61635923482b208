"""How the authors of a network train it further: what the recipe of imported weights starts from. Free of torch.

The published values are those of shipped recipes; only what no shipped recipe holds is written here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from attnkit.data.classification.config import AugmentConfig
from attnkit.data.detection.config import DetectionAugmentConfig
from attnkit.engine.config import AdamWConfig, CosineConfig, MultiStepConfig, SgdConfig, TrainConfig
from attnkit.models.config import ClassifierConfig, ResNetConfig, SwinConfig, UperNetConfig
from attnkit.models.rcnn.config import DetectorConfig
from attnkit.recipe_file import load
from attnkit.recipes.base import BaseRecipe, ImageBatchConfig
from attnkit.recipes.classification.recipe import ClassificationLossConfig, ClassificationRecipe
from attnkit.recipes.detection.recipe import DetectionBatchConfig, DetectionRecipe
from attnkit.recipes.segmentation.recipe import SegmentationRecipe

AnyRecipe = TypeVar("AnyRecipe", bound=BaseRecipe)

IMAGENET_IMAGES = 1_281_167
"""Training images of ImageNet-1k, by which the papers count their epochs."""
IMAGENET_STEPS = 20_000
"""With which ViT and Big Transfer fine-tune on ImageNet-1k."""
_BATCH = ImageBatchConfig(images=128)
"""Of a classifier; a step takes several."""
_CALENDAR = {"validate_every", "save_every", "keep_last", "average_last"}
"""Values of training that follow from the size of the data set, which is another one here."""
_WIDE = 128
"""Channels of Swin-B, which skips more of its blocks."""


@dataclass(frozen=True)
class ClassifierTuning:
    """The sections of a classification recipe that say how to train, and whose values they are."""

    source: str
    train: TrainConfig
    augment: AugmentConfig
    loss: ClassificationLossConfig
    drop_path_rate: float = 0.0
    batch: ImageBatchConfig = _BATCH


@dataclass(frozen=True)
class SegmenterTuning:
    """The sections of a segmentation recipe that say how to train, and whose values they are."""

    source: str
    train: TrainConfig
    batch: ImageBatchConfig
    drop_path_rate: float


@dataclass(frozen=True)
class DetectorTuning:
    """The sections of a detection recipe that say how to train, and whose values they are."""

    source: str
    train: TrainConfig
    augment: DetectionAugmentConfig
    batch: DetectionBatchConfig
    drop_path_rate: float


def classifier_tuning(model: ClassifierConfig) -> ClassifierTuning:
    """The published values for a model; of convolutional networks those of Big Transfer."""
    if model.name == "swin":
        return _swin()
    if model.name == "vit":
        return _deit() if model.distillation else _vit()
    train = TrainConfig(
        steps=IMAGENET_STEPS,
        accumulate=4,
        optimizer=SgdConfig(name="sgd", momentum=0.9),
        schedule=CosineConfig(name="cosine", lr=0.003, warmup_steps=500),
    )
    return ClassifierTuning("Kolesnikov et al. 2019, BiT-HyperRule", train, AugmentConfig(), ClassificationLossConfig())


def _vit() -> ClassifierTuning:
    """Table 4 has one recipe for all data sets; only steps and learning rates differ."""
    shipped = _shipped("classification/vit_b16_384_cifar10", ClassificationRecipe)
    train = _train(shipped, steps=IMAGENET_STEPS, accumulate=_parts(shipped))
    return ClassifierTuning("Dosovitskiy et al. 2020, table 4", train, AugmentConfig(), shipped.loss)


def _swin() -> ClassifierTuning:
    shipped = _shipped("classification/swin_b_384_imagenet1k", ClassificationRecipe)
    assert isinstance(shipped.model, SwinConfig)
    return ClassifierTuning(
        "Swin's fine-tuning from ImageNet-22k",
        _train(shipped, accumulate=_parts(shipped)),
        shipped.augment,
        shipped.loss,
        shipped.model.drop_path_rate,
    )


def _deit() -> ClassifierTuning:
    """Swin took over DeiT's augmentation and loss as they are."""
    shipped, accumulate = _shipped("classification/swin_b_384_imagenet1k", ClassificationRecipe), 4
    train = TrainConfig(
        steps=30 * IMAGENET_IMAGES // (accumulate * _BATCH.images),
        accumulate=accumulate,
        optimizer=AdamWConfig(name="adamw", weight_decay=1e-8),
        schedule=CosineConfig(name="cosine", lr=5e-6, final_lr=5e-6),
    )
    return ClassifierTuning("DeiT's fine-tuning at 384", train, shipped.augment, shipped.loss, 0.1)


def segmenter_tuning(model: UperNetConfig) -> SegmenterTuning:
    """The published values for a backbone, on ADE20K."""
    source, name = {
        "resnet": ("mmsegmentation's UPerNet on ResNet", "upernet_r101_ade20k"),
        "vit": ("mmsegmentation's UPerNet on DeiT", "upernet_deit_s_ade20k"),
        "swin": ("the official Swin for segmentation", "upernet_swin_t_ade20k"),
    }[model.backbone.name]
    shipped = _shipped(f"segmentation/{name}", SegmentationRecipe)
    backbone = shipped.model.backbone
    drop_path_rate = 0.0 if isinstance(backbone, ResNetConfig) else backbone.drop_path_rate
    return SegmenterTuning(source, _train(shipped), shipped.batch, drop_path_rate)


def detector_tuning(model: DetectorConfig) -> DetectorTuning:
    """The published values for a backbone, on COCO: of Swin 36 epochs, of ResNet 12."""
    wide = isinstance(model.backbone, SwinConfig) and model.backbone.embed_dim >= _WIDE
    name = "cascade_mask_rcnn_swin_b_coco" if wide else "mask_rcnn_swin_t_coco"
    shipped = _shipped(f"detection/{name}", DetectionRecipe)
    if isinstance(model.backbone, ResNetConfig):
        source = "mmdetection's detectors on ResNet, which do not train its stem and first stage"
        return DetectorTuning(source, _resnet_train(shipped.train), DetectionAugmentConfig(), shipped.batch, 0.0)
    assert isinstance(shipped.model.backbone, SwinConfig)
    return DetectorTuning(
        "the official Swin for object detection",
        shipped.train,
        shipped.augment,
        shipped.batch,
        shipped.model.backbone.drop_path_rate,
    )


def _resnet_train(swin: TrainConfig) -> TrainConfig:
    """Batches and calendar are those of the detectors on Swin, which validate after every epoch."""
    epoch = swin.validate_every
    return TrainConfig(
        steps=12 * epoch,
        accumulate=swin.accumulate,
        optimizer=SgdConfig(name="sgd", momentum=0.9, weight_decay=1e-4),
        schedule=MultiStepConfig(name="multi_step", lr=0.02, warmup_steps=500, milestones=(8 * epoch, 11 * epoch)),
        validate_every=epoch,
        save_every=swin.save_every,
        keep_last=swin.keep_last,
        average_last=swin.average_last,
    )


def _shipped(name: str, form: type[AnyRecipe]) -> AnyRecipe:
    recipe = load(name)
    assert isinstance(recipe, form)
    return recipe


def _parts(shipped: ClassificationRecipe) -> int:
    """Batches of a step that together have as many images as the published one."""
    return shipped.batch.images * shipped.train.accumulate // _BATCH.images


def _train(shipped: BaseRecipe, **changes: int) -> TrainConfig:
    """The training of a shipped recipe without its calendar, some of it changed."""
    return TrainConfig.model_validate(shipped.train.model_dump(exclude=_CALENDAR) | changes)

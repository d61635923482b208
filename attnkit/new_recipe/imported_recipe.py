"""The recipe of imported weights, by task: how the authors of a network train it further. Free of torch.

The published values are those of shipped recipes; only what no shipped recipe holds is written here.
"""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from attnkit.data.classification.config import AugmentConfig, ImageConfig, ImageFolderConfig
from attnkit.data.detection.config import CocoConfig, CocoSplitConfig, DetectionAugmentConfig, DetectionImageConfig
from attnkit.data.segmentation.config import MaskFilesConfig, SegmentationImageConfig
from attnkit.engine.config import AdamWConfig, CosineConfig, MultiStepConfig, SgdConfig, TrainConfig
from attnkit.interop.coco_classes import COCO, TORCHVISION
from attnkit.interop.imported_weights import DetectedParts, PixelsConfig
from attnkit.models.config import ClassifierConfig, ResNetConfig, SwinConfig, UperNetConfig, ViTConfig
from attnkit.models.rcnn.config import DetectorConfig, HtcConfig
from attnkit.recipe_file import load
from attnkit.recipes import Recipe
from attnkit.recipes.base import BaseRecipe, ImageBatchConfig
from attnkit.recipes.classification.architectures import SHAPES, published_name
from attnkit.recipes.classification.recipe import ClassificationLossConfig, ClassificationRecipe
from attnkit.recipes.detection.recipe import DetectionInferenceConfig, DetectionRecipe
from attnkit.recipes.segmentation.recipe import SegmentationRecipe

AnyRecipe = TypeVar("AnyRecipe", bound=BaseRecipe)

IMAGENET_IMAGES = 1_281_167
"""Training images of ImageNet-1k, by which the papers count their epochs."""
IMAGENET_STEPS = 20_000
"""With which ViT and Big Transfer fine-tune on ImageNet-1k."""
ADE20K_CLASSES = 150
"""Nearly all published segmenters of so many classes are of ADE20K, whose masks begin at 1."""
HTC_SCORE = 0.001
"""mmdetection's score threshold for HTC, low enough for all detections that are wanted; 0.05 for the others."""
_BATCH = ImageBatchConfig(images=128)
"""Of a classifier; a step takes several."""
_CALENDAR = {"validate_every", "save_every", "keep_last", "average_last"}
"""Values of training that follow from the size of the data set, which is another one here."""
_WIDE = 128
"""Channels of Swin-B, which skips more of its blocks."""
_LONGEST_SHAPE = 4
"""The longer side of an image is at most this many times as long as the shorter one."""


@dataclass(frozen=True)
class ImportedRecipe:
    """A recipe, and what the report says about it.

    Attributes:
        recipe: with published values of further training.
        network: its published name, else that of its kind.
        pixels: of the images, such as 224x224.
        sizes: of the network, where it has any to report.
        images: how they are prepared.
        training_source: whose training values.
    """

    recipe: Recipe
    network: str
    pixels: str
    sizes: str
    images: str
    training_source: str


@dataclass(frozen=True)
class Tuning(Generic[AnyRecipe]):
    """How the authors of a network train it further.

    Attributes:
        source: whose values they are.
        recipe: a shipped one with their training, batches, augmentation and loss.
        drop_path_rate: of the network.
    """

    source: str
    recipe: AnyRecipe
    drop_path_rate: float = 0.0


def describe_classifier(name: str, model: ClassifierConfig, image: ImageConfig, *, size: int) -> ImportedRecipe:
    """The recipe of an imported classifier, for squares of `size` pixels; `image` is how its source prepares images."""
    tuning = classifier_tuning(model)
    image = image.changed(size=size)
    network, sizes = published_name(model, size) or model.name, _sizes_of(model)
    data = ImageFolderConfig(format="image_folder", path="imagenet")
    recipe = tuning.recipe.changed(
        name=name, data=data, image=image, model=_with_drop_path(model, tuning.drop_path_rate), init=None
    )
    images = f"{image.resize}, {image.interpolation}, {_mean_and_std(image)}"
    return ImportedRecipe(recipe, network, f"{size}x{size}", sizes, images, tuning.source)


def describe_segmenter(
    name: str, model: UperNetConfig, image: SegmentationImageConfig, *, size: int, num_classes: int
) -> ImportedRecipe:
    """The recipe of an imported segmenter, for a square crop and a shorter side of `size` pixels."""
    tuning = segmenter_tuning(model)
    image = image.changed(crop=(size, size), short_side=size, long_side=_LONGEST_SHAPE * size)
    backbone = _with_drop_path(model.backbone, tuning.drop_path_rate)
    recipe = tuning.recipe.changed(
        name=name, data=_mask_data(num_classes), image=image, model=model.changed(backbone=backbone), init=None
    )
    sizes = f"channels {model.channels}, auxiliary_channels {model.auxiliary_channels}, "
    sizes += f"backbone: {_sizes_of(model.backbone)}"
    return ImportedRecipe(recipe, _on_backbone(model), f"{size}x{size}", sizes, _resized(image), tuning.source)


def describe_detector(
    name: str,
    model: DetectorConfig,
    image: DetectionImageConfig,
    *,
    size: int,
    num_classes: int,
    parts: DetectedParts,
) -> ImportedRecipe:
    """The recipe of an imported detector, for a shorter side of `size` pixels; its background is no class."""
    tuning = detector_tuning(model)
    image = image.changed(short_side=size, long_side=round(size * image.long_side / image.short_side))
    with_drop_path = model.changed(backbone=_with_drop_path(model.backbone, tuning.drop_path_rate))
    inference = {"score_threshold": HTC_SCORE} if isinstance(model, HtcConfig) else {}
    recipe = tuning.recipe.changed(
        name=name,
        data=_coco_data(num_classes, parts),
        image=image,
        model=with_drop_path,
        inference=DetectionInferenceConfig.model_validate(inference),
        init=None,
    )
    pixels, sizes = f"{image.short_side}x{image.long_side}", _detector_sizes(model, parts)
    return ImportedRecipe(recipe, _on_backbone(model), pixels, sizes, _resized(image), tuning.source)


def classifier_tuning(model: ClassifierConfig) -> Tuning[ClassificationRecipe]:
    """The published values for a model; of convolutional networks those of Big Transfer."""
    if model.name == "swin" or (model.name == "vit" and model.distillation):
        shipped = _shipped("classification/swin_b_384_imagenet1k", ClassificationRecipe)
        if model.name == "vit":
            return _deit(shipped)
        recipe = shipped.changed(batch=_BATCH, train=_train(shipped, accumulate=_parts(shipped)))
        return Tuning("Swin's fine-tuning from ImageNet-22k", recipe, _drop_path_rate(shipped.model))
    shipped = _shipped("classification/vit_b16_384_cifar10", ClassificationRecipe).changed(augment=AugmentConfig())
    if model.name == "vit":  # table 4 has one recipe for all data sets; only steps and learning rates differ
        train = _train(shipped, steps=IMAGENET_STEPS, accumulate=_parts(shipped))
        return Tuning("Dosovitskiy et al. 2020, table 4", shipped.changed(batch=_BATCH, train=train))
    train = TrainConfig(
        steps=IMAGENET_STEPS,
        accumulate=4,
        optimizer=SgdConfig(name="sgd", momentum=0.9),
        schedule=CosineConfig(name="cosine", lr=0.003, warmup_steps=500),
    )
    recipe = shipped.changed(loss=ClassificationLossConfig(), batch=_BATCH, train=train)
    return Tuning("Kolesnikov et al. 2019, BiT-HyperRule", recipe)


def _deit(swin: ClassificationRecipe) -> Tuning[ClassificationRecipe]:
    """Swin took over DeiT's augmentation and loss as they are."""
    train = TrainConfig(
        steps=30 * IMAGENET_IMAGES // (4 * _BATCH.images),
        accumulate=4,
        optimizer=AdamWConfig(name="adamw", weight_decay=1e-8),
        schedule=CosineConfig(name="cosine", lr=5e-6, final_lr=5e-6),
    )
    return Tuning("DeiT's fine-tuning at 384", swin.changed(batch=_BATCH, train=train), drop_path_rate=0.1)


def segmenter_tuning(model: UperNetConfig) -> Tuning[SegmentationRecipe]:
    """The published values for a backbone, on ADE20K."""
    source, name = {
        "resnet": ("mmsegmentation's UPerNet on ResNet", "upernet_r101_ade20k"),
        "vit": ("mmsegmentation's UPerNet on DeiT", "upernet_deit_s_ade20k"),
        "swin": ("the official Swin for segmentation", "upernet_swin_t_ade20k"),
    }[model.backbone.name]
    shipped = _shipped(f"segmentation/{name}", SegmentationRecipe)
    return Tuning(source, shipped.changed(train=_train(shipped)), _drop_path_rate(shipped.model.backbone))


def detector_tuning(model: DetectorConfig) -> Tuning[DetectionRecipe]:
    """The published values for a backbone, on COCO: of Swin 36 epochs, of ResNet 12."""
    wide = isinstance(model.backbone, SwinConfig) and model.backbone.embed_dim >= _WIDE
    name = "cascade_mask_rcnn_swin_b_coco" if wide else "mask_rcnn_swin_t_coco"
    shipped = _shipped(f"detection/{name}", DetectionRecipe)
    if isinstance(model.backbone, ResNetConfig):
        source = "mmdetection's detectors on ResNet, which do not train its stem and first stage"
        train = _resnet_train(shipped.train)
        return Tuning(source, shipped.changed(augment=DetectionAugmentConfig(), train=train))
    return Tuning("the official Swin for object detection", shipped, _drop_path_rate(shipped.model.backbone))


def _resnet_train(swin: TrainConfig) -> TrainConfig:
    """Batches and calendar are those of the detectors on Swin, which validate after every epoch."""
    epoch = swin.validate_every
    return swin.changed(
        steps=12 * epoch,
        optimizer=SgdConfig(name="sgd", momentum=0.9, weight_decay=1e-4),
        schedule=MultiStepConfig(name="multi_step", lr=0.02, warmup_steps=500, milestones=(8 * epoch, 11 * epoch)),
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


def _drop_path_rate(model: ClassifierConfig) -> float:
    return model.drop_path_rate if isinstance(model, ViTConfig | SwinConfig) else 0.0


def _with_drop_path(model: ClassifierConfig, rate: float) -> ClassifierConfig:
    return model.changed(drop_path_rate=rate) if isinstance(model, ViTConfig | SwinConfig) else model


def _mask_data(num_classes: int) -> MaskFilesConfig:
    """Where the images of further training are expected; whoever trains corrects it."""
    if num_classes == ADE20K_CLASSES:
        return MaskFilesConfig(
            format="mask_files", path="ADEChallengeData2016", classes="objectInfo150.txt", reduce_zero_label=True
        )
    return MaskFilesConfig(format="mask_files", path="masks")


def _coco_data(num_classes: int, parts: DetectedParts) -> CocoConfig:
    """Where the images of further training are expected; whoever trains corrects it."""
    is_coco, labels_pixels = num_classes in (COCO, TORCHVISION), parts.semantic_classes is not None
    images, annotations, semantic, valid = "images", "annotations.json", "semantic", None
    if is_coco:
        images, annotations = "train2017", "annotations/instances_train2017.json"
        semantic = "stuffthingmaps/train2017"
        valid = CocoSplitConfig(images="val2017", annotations="annotations/instances_val2017.json")
    return CocoConfig(
        path="coco" if is_coco else "objects",
        train=CocoSplitConfig(images=images, annotations=annotations, semantic=semantic if labels_pixels else None),
        valid=valid,
        masks=parts.masks,
        semantic_classes=parts.semantic_classes,
    )


def _on_backbone(model: UperNetConfig | DetectorConfig) -> str:
    return f"{model.name} on {published_name(model.backbone) or model.backbone.name}"


def _detector_sizes(model: DetectorConfig, parts: DetectedParts) -> str:
    has = "masks" if parts.masks else "no masks"
    if parts.semantic_classes is not None:
        has += f", {parts.semantic_classes} classes of pixels"
    head = f"channels {model.channels}, box head {model.box_head.name}, {has}"
    return f"{head}; backbone: {_sizes_of(model.backbone)}"


def _sizes_of(model: ClassifierConfig) -> str:
    """The sizes by which architectures are told apart, in one line."""
    return ", ".join(
        f"{key} {_written(getattr(model, key))}" for key in SHAPES if getattr(model, key, None) is not None
    )


def _resized(image: SegmentationImageConfig | DetectionImageConfig) -> str:
    return f"shorter side {image.short_side}, longer at most {image.long_side}, {_mean_and_std(image)}"


def _mean_and_std(image: PixelsConfig) -> str:
    return f"mean {_written(image.mean)}, std {_written(image.std)}"


def _written(value: Any) -> str:
    """A number, or several with slashes between them."""
    return "/".join(f"{part:g}" for part in value) if isinstance(value, tuple) else f"{value:g}"

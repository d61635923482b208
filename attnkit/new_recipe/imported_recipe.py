"""The recipe of imported weights, by task, and what the report says about the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from attnkit.data.classification.config import ImageConfig, ImageFolderConfig
from attnkit.data.detection.config import CocoConfig, CocoSplitConfig, DetectionImageConfig
from attnkit.data.segmentation.config import MaskFilesConfig, SegmentationImageConfig
from attnkit.interop.coco_classes import COCO, TORCHVISION
from attnkit.interop.imported_weights import DetectedParts
from attnkit.models.config import ClassifierConfig, ResNetConfig, SwinConfig, UperNetConfig, ViTConfig
from attnkit.models.rcnn.config import CascadeConfig, HtcConfig, MaskRcnnConfig
from attnkit.new_recipe.fine_tuning import classifier_tuning, detector_tuning, segmenter_tuning
from attnkit.recipes import Recipe
from attnkit.recipes.classification.architectures import SHAPES, published_name
from attnkit.recipes.classification.recipe import ClassificationRecipe
from attnkit.recipes.detection.recipe import DetectionInferenceConfig, DetectionRecipe
from attnkit.recipes.segmentation.recipe import SegmentationRecipe

ADE20K_CLASSES = 150
"""Nearly all published segmenters of so many classes are of ADE20K, whose masks begin at 1."""
_LONGEST_SHAPE = 4
"""The longer side of an image is at most this many times as long as the shorter one."""
HTC_SCORE = 0.001
"""mmdetection's score threshold for HTC, low enough for all detections that are wanted; 0.05 for the others."""


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


def describe_classifier(name: str, model: ClassifierConfig, image: ImageConfig, *, size: int) -> ImportedRecipe:
    """The recipe of an imported classifier, with the values by which its authors fine-tune.

    Args:
        name: of the recipe.
        model: what it is.
        image: how its source prepares images.
        size: pixels of a side, of the recipe.
    """
    tuning = classifier_tuning(model)
    image = image.changed(size=size)
    network, sizes = published_name(model, size) or model.name, _sizes_of(model)
    if isinstance(model, ViTConfig | SwinConfig):
        model = model.changed(drop_path_rate=tuning.drop_path_rate)
    recipe = ClassificationRecipe(
        task="classification",
        name=name,
        data=ImageFolderConfig(format="image_folder", path="imagenet"),
        image=image,
        augment=tuning.augment,
        model=model,
        loss=tuning.loss,
        batch=tuning.batch,
        train=tuning.train,
    )
    return ImportedRecipe(
        recipe,
        network=network,
        pixels=f"{size}x{size}",
        sizes=sizes,
        images=f"{image.resize}, {image.interpolation}, mean {_written(image.mean)}, std {_written(image.std)}",
        training_source=tuning.source,
    )


def describe_segmenter(
    name: str, model: UperNetConfig, image: SegmentationImageConfig, *, size: int, num_classes: int
) -> ImportedRecipe:
    """The recipe of an imported segmenter, with published values of training.

    Args:
        name: of the recipe.
        model: what it is.
        image: how its source prepares images.
        size: pixels of a side of the crop, and of the shorter side of every image.
        num_classes: of its head.
    """
    tuning = segmenter_tuning(model)
    image = image.changed(crop=(size, size), short_side=size, long_side=_LONGEST_SHAPE * size)
    backbone = model.backbone
    network = f"{model.name} on {published_name(backbone) or backbone.name}"
    sizes = f"channels {model.channels}, auxiliary_channels {model.auxiliary_channels}, backbone: {_sizes_of(backbone)}"
    if not isinstance(backbone, ResNetConfig):
        backbone = backbone.changed(drop_path_rate=tuning.drop_path_rate)
    recipe = SegmentationRecipe(
        task="segmentation",
        name=name,
        data=_mask_data(num_classes),
        image=image,
        model=model.changed(backbone=backbone),
        batch=tuning.batch,
        train=tuning.train,
    )
    return ImportedRecipe(
        recipe,
        network=network,
        pixels=f"{size}x{size}",
        sizes=sizes,
        images=f"shorter side {size}, longer at most {_LONGEST_SHAPE * size}, mean {_written(image.mean)}, "
        f"std {_written(image.std)}",
        training_source=tuning.source,
    )


def _mask_data(num_classes: int) -> MaskFilesConfig:
    """Where the images of further training are expected; whoever trains corrects it."""
    if num_classes == ADE20K_CLASSES:
        return MaskFilesConfig(
            format="mask_files", path="ADEChallengeData2016", classes="objectInfo150.txt", reduce_zero_label=True
        )
    return MaskFilesConfig(format="mask_files", path="masks")


def describe_detector(
    name: str,
    model: MaskRcnnConfig | CascadeConfig | HtcConfig,
    image: DetectionImageConfig,
    *,
    size: int,
    num_classes: int,
    parts: DetectedParts,
) -> ImportedRecipe:
    """The recipe of an imported detector, with published values of training.

    Args:
        name: of the recipe.
        model: what it is.
        image: how its source prepares images.
        size: pixels of the shorter side, of the recipe.
        num_classes: of its heads, without the background.
        parts: which it has.
    """
    tuning = detector_tuning(model)
    image = image.changed(short_side=size, long_side=round(size * image.long_side / image.short_side))
    backbone = model.backbone
    network = f"{model.name} on {published_name(backbone) or backbone.name}"
    if isinstance(backbone, SwinConfig):
        model = model.changed(backbone=backbone.changed(drop_path_rate=tuning.drop_path_rate))
    recipe = DetectionRecipe(
        task="detection",
        name=name,
        data=_coco_data(num_classes, parts),
        image=image,
        augment=tuning.augment,
        model=model,
        inference=DetectionInferenceConfig(score_threshold=HTC_SCORE)
        if isinstance(model, HtcConfig)
        else DetectionInferenceConfig(),
        batch=tuning.batch,
        train=tuning.train,
    )
    return ImportedRecipe(
        recipe,
        network=network,
        pixels=f"{image.short_side}x{image.long_side}",
        sizes="; ".join(_detector_sizes(model, parts)),
        images=f"shorter side {image.short_side}, longer at most {image.long_side}, mean {_written(image.mean)}, "
        f"std {_written(image.std)}",
        training_source=tuning.source,
    )


def _detector_sizes(model: MaskRcnnConfig | CascadeConfig | HtcConfig, parts: DetectedParts) -> Sequence[str]:
    has = "masks" if parts.masks else "no masks"
    if parts.semantic_classes is not None:
        has += f", {parts.semantic_classes} classes of pixels"
    return (
        f"channels {model.channels}, box head {model.box_head.name}, {has}",
        f"backbone: {_sizes_of(model.backbone)}",
    )


def _coco_data(num_classes: int, parts: DetectedParts) -> CocoConfig:
    """Where the images of further training are expected; whoever trains corrects it."""
    semantic_classes = parts.semantic_classes
    if num_classes not in (COCO, TORCHVISION):
        semantic = None if semantic_classes is None else "semantic"
        train = CocoSplitConfig(images="images", annotations="annotations.json", semantic=semantic)
        return CocoConfig(path="objects", train=train, masks=parts.masks, semantic_classes=semantic_classes)
    return CocoConfig(
        path="coco",
        train=_coco_split("train2017", semantic_classes),
        valid=_coco_split("val2017", None),
        masks=parts.masks,
        semantic_classes=semantic_classes,
    )


def _coco_split(name: str, semantic_classes: int | None) -> CocoSplitConfig:
    semantic = None if semantic_classes is None else f"stuffthingmaps/{name}"
    return CocoSplitConfig(images=name, annotations=f"annotations/instances_{name}.json", semantic=semantic)


def _sizes_of(model: ClassifierConfig) -> str:
    """The sizes by which architectures are told apart, in one line."""
    return ", ".join(
        f"{key} {_written(getattr(model, key))}" for key in SHAPES if getattr(model, key, None) is not None
    )


def _written(value: Any) -> str:
    """A number, or several with slashes between them."""
    return "/".join(f"{part:g}" for part in value) if isinstance(value, tuple) else f"{value:g}"

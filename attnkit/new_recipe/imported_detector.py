"""Somebody's detector: the recipe of the run that is made of it."""

from __future__ import annotations

from collections.abc import Sequence

from attnkit.data.detection.config import CocoConfig, CocoSplitConfig, DetectionImageConfig
from attnkit.interop.coco_classes import COCO, TORCHVISION
from attnkit.interop.imported_weights import DetectedParts
from attnkit.models.config import SwinConfig
from attnkit.models.rcnn.config import CascadeConfig, HtcConfig, MaskRcnnConfig
from attnkit.new_recipe.fine_tuning_detection import published_fine_tuning
from attnkit.new_recipe.imported_recipe import ImportedRecipe, sizes_of, written
from attnkit.recipes.classification.architectures import published_name
from attnkit.recipes.detection.recipe import DetectionInferenceConfig, DetectionRecipe

HTC_SCORE = 0.001
"""mmdetection's least score of findings of HTC, so that as many as are wanted are there; 0.05 for the others."""


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
    tuning = published_fine_tuning(model)
    image = image.model_copy(update={"short_side": size, "long_side": round(size * image.long_side / image.short_side)})
    trunk = model.backbone
    network = f"{model.name} on {published_name(trunk) or trunk.name}"
    if isinstance(trunk, SwinConfig):
        model = model.model_copy(
            update={"backbone": trunk.model_copy(update={"drop_path_rate": tuning.drop_path_rate})}
        )
    recipe = DetectionRecipe(
        task="detection",
        name=name,
        data=_data(num_classes, parts),
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
        sizes="; ".join(_sizes(model, parts)),
        images=f"shorter side {image.short_side}, longer at most {image.long_side}, mean {written(image.mean)}, "
        f"std {written(image.std)}",
        training_source=tuning.source,
    )


def _sizes(model: MaskRcnnConfig | CascadeConfig | HtcConfig, parts: DetectedParts) -> Sequence[str]:
    has = "masks" if parts.masks else "no masks"
    if parts.semantic_classes is not None:
        has += f", {parts.semantic_classes} classes of pixels"
    return (
        f"channels {model.channels}, box head {model.box_head.name}, {has}",
        f"backbone: {sizes_of(model.backbone)}",
    )


def _data(num_classes: int, parts: DetectedParts) -> CocoConfig:
    """Where the images of training on will be, to be mended by whoever trains."""
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

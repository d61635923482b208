"""The detectors as their summaries show them."""

from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor, nn

from attnkit.data.open import OpenedData
from attnkit.models.rcnn.counted import CountedRcnn
from attnkit.models.rcnn.rcnn import Rcnn
from attnkit.recipes.detection.architectures import (
    DETECTION_ARCHITECTURES,
    GMACS_SIZE,
    NUM_CLASSES,
    Detector,
    semantic_classes,
)
from attnkit.recipes.detection.recipe import DetectionInferenceConfig, DetectionRecipe
from attnkit.recipes.detection.task import semantic_classes_of
from attnkit.recipes.network_costs import Network, training_set
from attnkit.recipes.published import name_on_a_backbone, published_facts, shown
from attnkit.structures.arrays import Size

_STRIDE = 32
"""Sides of a batch are multiples of it."""


@dataclass(frozen=True)
class _Outputs:
    """What a detector tells apart."""

    num_classes: int
    masks: bool
    semantic_classes: int | None


def recipe_network(recipe: DetectionRecipe, num_classes: int | None) -> Network:
    """The detector of a recipe, for an image of the recipe's shorter side that is 8:5.

    Args:
        recipe: says which detector.
        num_classes: K; None takes that of the data, or COCO's where there is no data.
    """
    images = training_set(OpenedData(recipe.data))
    classes = num_classes or (NUM_CLASSES if images is None else len(images.class_names))
    masks = images is None or images.has_masks
    outputs = _Outputs(classes, masks, semantic_classes_of(recipe, classes, masks=masks))
    published = name_on_a_backbone(recipe.model, DETECTION_ARCHITECTURES)
    network = _network(recipe.model, outputs, _size(recipe), recipe.inference, published)
    if num_classes is None and images is None:
        network.facts["classes"] = f"{NUM_CLASSES}, with masks, assumed; the data is not here"
    return network


def published_network(name: str, image_size: int | None) -> Network:
    """A published detector by its name in DETECTION_ARCHITECTURES, for the classes and masks of COCO.

    By default at the size that the papers count.
    """
    row = DETECTION_ARCHITECTURES[name]
    size = GMACS_SIZE if image_size is None else (image_size, image_size)
    return _network(
        row.model, _Outputs(NUM_CLASSES, True, semantic_classes(row.model)), size, DetectionInferenceConfig(), name
    )


def _network(
    config: Detector,
    outputs: _Outputs,
    size: Size,
    inference: DetectionInferenceConfig,
    published: str | None,
) -> Network:
    def build() -> Rcnn:
        return Rcnn(
            config,
            num_classes=outputs.num_classes,
            masks=outputs.masks,
            semantic_classes=outputs.semantic_classes,
        )

    def detect(model: nn.Module, images: Tensor) -> object:
        return cast("Rcnn", model).detect(
            images,
            [size] * len(images),
            score_threshold=inference.score_threshold,
            nms_threshold=inference.nms_threshold,
            soft_nms=inference.soft_nms,
            max_detections=inference.max_detections,
        )

    facts: dict[str, Any] = {
        "model": config.name,
        "backbone": config.backbone.name,
        "classes": outputs.num_classes,
        "masks": outputs.masks,
        "image_size": shown(size),
    }
    return Network(
        facts=facts,
        size=size,
        build=build,
        for_counting=lambda detector: CountedRcnn(cast("Rcnn", detector)),
        predict=detect,
        published=published_facts(published, DETECTION_ARCHITECTURES),
    )


def _size(recipe: DetectionRecipe) -> Size:
    """Height and width of an image of 8:5, as papers count it, padded as a batch is."""
    height = recipe.image.short_side
    width = min(recipe.image.long_side, height * 8 // 5)
    return -(-height // _STRIDE) * _STRIDE, -(-width // _STRIDE) * _STRIDE

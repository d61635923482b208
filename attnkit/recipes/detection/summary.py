"""What a detector costs, beside what was published."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor, nn

from attnkit.data.open import OpenedData
from attnkit.errors import DataError
from attnkit.models.macs import Convention
from attnkit.models.rcnn.config import CascadeConfig, HtcConfig, MaskRcnnConfig
from attnkit.models.rcnn.counted import CountedRcnn
from attnkit.models.rcnn.rcnn import Rcnn
from attnkit.recipes.detection.architectures import (
    DETECTION_ARCHITECTURES,
    GMACS_SIZE,
    NUM_CLASSES,
)
from attnkit.recipes.detection.recipe import DetectionInferenceConfig, DetectionRecipe
from attnkit.recipes.detection.task import semantic_classes_of
from attnkit.recipes.network_costs import GMACS_FOR_SPEED, measure_speed, network_costs

_STRIDE = 32
"""Sides of a batch are multiples of it."""


@dataclass(frozen=True)
class _Kind:
    """What a detector is for."""

    num_classes: int
    masks: bool
    semantic_classes: int | None


def summarize(
    recipe: DetectionRecipe,
    *,
    num_classes: int | None = None,
    convention: Convention = "paper",
    speed: bool | None = None,
) -> dict[str, Any]:
    """Count what the detector of a recipe costs, for an image of the recipe's shorter side that is 8:5.

    Args:
        recipe: says which detector.
        num_classes: K; none looks at the data, and takes COCO's where there is none.
        convention: how multiplications are counted.
        speed: whether to measure images per second; none does where that is quick.

    Returns:
        Facts in the order in which they are printed; `params`, `gmacs`, `convention` and `image_size` among them.
    """
    known = _classes_and_masks(recipe)
    classes = num_classes or (known[0] if known else None) or NUM_CLASSES
    masks = known[1] if known else True
    kind = _Kind(classes, masks, semantic_classes_of(recipe, classes, masks=masks))
    counted = _count(recipe.model, kind, _size(recipe), recipe.inference, convention=convention, speed=speed)
    if num_classes is None and known is None:
        counted["classes"] = f"{NUM_CLASSES}, with masks, assumed; the data is not here"
    name = _architecture_of(recipe.model)
    return {"recipe": recipe.name, **counted, **({} if name is None else {"published": _published(name)})}


def summarize_architecture(
    name: str, *, image_size: int | None = None, convention: Convention = "paper", speed: bool | None = None
) -> dict[str, Any]:
    """The same for a published detector by its name in DETECTION_ARCHITECTURES, for the classes and masks of COCO.

    By default at the size that the papers count.
    """
    architecture = DETECTION_ARCHITECTURES[name]
    size = GMACS_SIZE if image_size is None else (image_size, image_size)
    kind = _Kind(NUM_CLASSES, True, architecture.semantic_classes)
    inference = DetectionInferenceConfig()
    counted = _count(architecture.model, kind, size, inference, convention=convention, speed=speed)
    return {"architecture": name, **counted, "published": _published(name)}


def _count(
    config: MaskRcnnConfig | CascadeConfig | HtcConfig,
    kind: _Kind,
    size: tuple[int, int],
    inference: DetectionInferenceConfig,
    *,
    convention: Convention,
    speed: bool | None,
) -> dict[str, Any]:
    def build() -> Rcnn:
        return Rcnn(config, num_classes=kind.num_classes, masks=kind.masks, semantic_classes=kind.semantic_classes)

    def look(model: nn.Module, images: Tensor) -> object:
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
        "classes": kind.num_classes,
        "masks": kind.masks,
        "image_size": f"{size[0]}x{size[1]}",
    }
    facts |= network_costs(lambda: CountedRcnn(build()), size, convention=convention, speed=False)
    if speed or (speed is None and facts["gmacs"] <= GMACS_FOR_SPEED):
        facts |= measure_speed(build(), size, gmacs=facts["gmacs"], look=look)
    return facts


def _size(recipe: DetectionRecipe) -> tuple[int, int]:
    """Height and width of an image of 8:5, as papers count it, padded as a batch is."""
    height = recipe.image.short_side
    width = min(recipe.image.long_side, height * 8 // 5)
    return -(-height // _STRIDE) * _STRIDE, -(-width // _STRIDE) * _STRIDE


def _classes_and_masks(recipe: DetectionRecipe) -> tuple[int, bool] | None:
    try:
        data = OpenedData(recipe.data)["train"]
    except DataError:
        return None
    return None if data is None else (len(data.class_names), data.has_masks)


def _architecture_of(config: MaskRcnnConfig | CascadeConfig | HtcConfig) -> str | None:
    """The published detector of these sizes, whatever its rates of dropout."""
    return next((name for name, row in DETECTION_ARCHITECTURES.items() if _shape(row.model) == _shape(config)), None)


def _shape(config: MaskRcnnConfig | CascadeConfig | HtcConfig) -> MaskRcnnConfig | CascadeConfig | HtcConfig:
    backbone = config.backbone
    rates = {name: 0.0 for name in ("drop_path_rate", "dropout", "attention_dropout") if hasattr(backbone, name)}
    plain = {"gradient_checkpointing": False} if hasattr(backbone, "gradient_checkpointing") else {}
    return config.changed(backbone=backbone.changed(**(rates | plain)))


def _published(name: str) -> dict[str, Any]:
    """What is known of an architecture: for the 80 classes and the masks of COCO, of an image of GMACS_SIZE."""
    row = DETECTION_ARCHITECTURES[name]
    facts: dict[str, Any] = {"architecture": name, "params": row.params, "gmacs": row.gmacs}
    facts["gmacs_size"] = f"{GMACS_SIZE[0]}x{GMACS_SIZE[1]}"
    scores = {
        "box_ap": row.box_ap,
        "mask_ap": row.mask_ap,
        "box_ap, test-dev, several sizes": row.box_ap_test,
        "mask_ap, test-dev, several sizes": row.mask_ap_test,
    }
    facts |= {metric: score for metric, score in scores.items() if score is not None}
    return facts | ({"source": row.source} if row.source else {})

"""What a network for segmentation costs, beside what was published."""

from __future__ import annotations

from typing import Any

from torch import nn

from attnkit.data.open import OpenedData
from attnkit.errors import DataError
from attnkit.models.build import build_model
from attnkit.models.config import UperNetConfig
from attnkit.models.macs import Convention
from attnkit.recipes.network_costs import network_costs
from attnkit.recipes.segmentation.architectures import NUM_CLASSES, SEGMENTATION_ARCHITECTURES
from attnkit.recipes.segmentation.recipe import SegmentationRecipe


def summarize(
    recipe: SegmentationRecipe,
    *,
    num_classes: int | None = None,
    convention: Convention = "paper",
    speed: bool | None = None,
) -> dict[str, Any]:
    """Count what the network of a recipe costs at the size of its crop.

    Args:
        recipe: says which network.
        num_classes: K; none looks at the data, and takes ADE20K's where there is none.
        convention: how multiplications are counted.
        speed: whether to measure images per second; none does where that is quick.

    Returns:
        Facts in the order in which they are printed; `params`, `gmacs`, `convention` and `image_size` among them.
    """
    classes = num_classes or _classes_of(recipe)
    counted = _count(recipe.model, recipe.image.crop, classes or NUM_CLASSES, convention=convention, speed=speed)
    if classes is None:
        counted["classes"] = f"{NUM_CLASSES}, assumed; the data is not here"
    name = _architecture_of(recipe.model)
    return {"recipe": recipe.name, **counted, **({} if name is None else {"published": _published(name)})}


def summarize_architecture(
    name: str, *, image_size: int | None = None, convention: Convention = "paper", speed: bool | None = None
) -> dict[str, Any]:
    """The same for a published network by its name in SEGMENTATION_ARCHITECTURES, for the classes of ADE20K.

    By default at the size that the papers count, which is four times as wide as it is high.
    """
    architecture = SEGMENTATION_ARCHITECTURES[name]
    size = architecture.gmacs_size if image_size is None else (image_size, image_size)
    counted = _count(architecture.model, size, NUM_CLASSES, convention=convention, speed=speed)
    return {"architecture": name, **counted, "published": _published(name)}


def _count(
    config: UperNetConfig, size: tuple[int, int], num_classes: int, *, convention: Convention, speed: bool | None
) -> dict[str, Any]:
    def build() -> nn.Module:
        return build_model(config, num_classes=num_classes, image_size=size[0])

    facts = {
        "model": config.name,
        "backbone": config.backbone.name,
        "classes": num_classes,
        "image_size": f"{size[0]}x{size[1]}",
    }
    return facts | network_costs(build, size, convention=convention, speed=speed)


def _classes_of(recipe: SegmentationRecipe) -> int | None:
    try:
        data = OpenedData(recipe.data)["train"]
    except DataError:
        return None
    return None if data is None else len(data.class_names)


def _architecture_of(config: UperNetConfig) -> str | None:
    """The published network of these sizes, whatever its rates of dropout."""
    return next((name for name, row in SEGMENTATION_ARCHITECTURES.items() if _shape(row.model) == _shape(config)), None)


def _shape(config: UperNetConfig) -> UperNetConfig:
    plain = {name: 0.0 for name in ("drop_path_rate", "dropout", "attention_dropout") if hasattr(config.backbone, name)}
    return config.changed(dropout=0.0, backbone=config.backbone.changed(**plain))


def _published(name: str) -> dict[str, Any]:
    """What is known of an architecture: for 150 classes, its auxiliary head among the parameters, not in the GMACs."""
    row = SEGMENTATION_ARCHITECTURES[name]
    facts: dict[str, Any] = {"architecture": name, "params": row.params, "gmacs": row.gmacs}
    facts["gmacs_size"] = f"{row.gmacs_size[0]}x{row.gmacs_size[1]}"
    scores = {"miou": row.miou, "miou, several scales, mirrored": row.miou_multi_scale}
    facts |= {metric: score for metric, score in scores.items() if score is not None}
    return facts | ({"source": row.source} if row.source else {})

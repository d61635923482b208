"""What a network for classification costs: parameters, arithmetic, memory and speed, beside what was published."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from attnkit.data.classification.config import CifarConfig, ImageFolderConfig, ImagesConfig, ShapesConfig
from attnkit.errors import DataError
from attnkit.models.build import build_model
from attnkit.models.config import ClassifierConfig
from attnkit.models.macs import Convention
from attnkit.recipes.classification.architectures import ARCHITECTURES, NUM_CLASSES, published_name
from attnkit.recipes.classification.recipe import ClassificationRecipe
from attnkit.recipes.network_costs import network_costs


@dataclass(frozen=True)
class _Row:
    """Of table 1 of the Swin paper (Liu et al. 2021), which the throughput and accuracy of others stand in too."""

    pretraining: str
    images_per_second: float
    """On a V100."""
    top1: float


_SWIN_TABLE = {
    "vit_b16_384": _Row("ImageNet-22k", 85.9, 84.0),
    "vit_l16_384": _Row("ImageNet-22k", 27.3, 85.2),
    "deit_s": _Row("none", 940.4, 79.8),
    "deit_b": _Row("none", 292.3, 81.8),
    "swin_t": _Row("none", 755.2, 81.3),
    "swin_s": _Row("none", 436.9, 83.0),
    "swin_b": _Row("none", 278.1, 83.5),
    "swin_b_w12_384": _Row("ImageNet-22k", 84.7, 86.4),
    "swin_l_w12_384": _Row("ImageNet-22k", 42.1, 87.3),
}


def summarize(
    recipe: ClassificationRecipe,
    *,
    num_classes: int | None = None,
    convention: Convention = "paper",
    speed: bool | None = None,
) -> dict[str, Any]:
    """Count what the network of a recipe costs.

    Args:
        recipe: says which network, and how large its images are.
        num_classes: K; none looks at the data, and takes ImageNet-1k's where there is none.
        convention: how multiplications are counted.
        speed: whether to measure images per second; none does where that is quick.

    Returns:
        Facts in the order in which they are printed; `params`, `gmacs`, `convention` and `image_size` among them.
    """
    classes = num_classes or classes_of(recipe.data)
    size, name = recipe.image.size, published_name(recipe.model, recipe.image.size)
    counted = count(recipe.model, size, num_classes=classes or NUM_CLASSES, convention=convention, speed=speed)
    if classes is None:
        counted["classes"] = f"{NUM_CLASSES}, assumed; the data is not here"
    return {"recipe": recipe.name, **counted, **({} if name is None else {"published": published(name)})}


def summarize_architecture(
    name: str, *, image_size: int | None = None, convention: Convention = "paper", speed: bool | None = None
) -> dict[str, Any]:
    """The same for a published network by its name in ARCHITECTURES, for the classes of ImageNet-1k."""
    architecture = ARCHITECTURES[name]
    size = image_size or architecture.image_size
    counted = count(architecture.model, size, num_classes=NUM_CLASSES, convention=convention, speed=speed)
    return {"architecture": name, **counted, "published": published(name)}


def count(
    config: ClassifierConfig, image_size: int, *, num_classes: int, convention: Convention, speed: bool | None
) -> dict[str, Any]:
    """What one network costs: counted on shapes alone, but for the speed, which is measured."""

    def build() -> nn.Module:
        return build_model(config, num_classes=num_classes, image_size=image_size)

    facts = {"model": config.name, "classes": num_classes, "image_size": image_size}
    return facts | network_costs(build, (image_size, image_size), convention=convention, speed=speed)


def published(name: str) -> dict[str, Any]:
    """What papers say of an architecture, for 1,000 classes and by the convention `paper`."""
    row = ARCHITECTURES[name]
    facts: dict[str, Any] = {"architecture": name, "params": row.params, "gmacs": row.gmacs, "source": row.source}
    if name in _SWIN_TABLE:
        result = _SWIN_TABLE[name]
        facts["in table 1 of the Swin paper"] = {
            "images_per_second": result.images_per_second,
            "measured": "one V100",
            "pretraining": result.pretraining,
            "top1": result.top1,
        }
    return facts


def classes_of(data: ImagesConfig) -> int | None:
    """How many classes there are, as far as that shows without reading images; None where the data is not here."""
    if isinstance(data, CifarConfig):
        return data.classes
    if isinstance(data, ShapesConfig):
        from attnkit.data.images.shapes import CLASS_NAMES

        return len(CLASS_NAMES)
    try:
        if isinstance(data, ImageFolderConfig):
            from attnkit.data.classification.image_folder import find_image_folders

            return len(find_image_folders(data).splits["train"].class_names)
        from attnkit.data.open import OpenedData

        images = OpenedData(data)["train"]
    except DataError:
        return None
    return None if images is None else len(images.class_names)

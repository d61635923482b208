"""The networks for segmentation as their summaries show them."""

from torch import nn

from attnkit.data.open import OpenedData
from attnkit.models.build import build_model
from attnkit.models.config import UperNetConfig
from attnkit.recipes.network_costs import Network, training_set
from attnkit.recipes.published import name_on_a_backbone, published_facts, shown
from attnkit.recipes.segmentation.architectures import NUM_CLASSES, SEGMENTATION_ARCHITECTURES
from attnkit.recipes.segmentation.recipe import SegmentationRecipe
from attnkit.structures.arrays import Size


def recipe_network(recipe: SegmentationRecipe, num_classes: int | None) -> Network:
    """The network of a recipe at the size of its crop.

    Args:
        recipe: says which network.
        num_classes: K; None takes that of the data, or ADE20K's where there is no data.
    """
    images = training_set(OpenedData(recipe.data)) if num_classes is None else None
    classes = len(images.class_names) if images is not None else num_classes
    published = name_on_a_backbone(recipe.model, SEGMENTATION_ARCHITECTURES)
    return _network(recipe.model, recipe.image.crop, classes, published)


def published_network(name: str, image_size: int | None) -> Network:
    """A published network by its name in SEGMENTATION_ARCHITECTURES, for the classes of ADE20K.

    By default at the size that the papers count, which is four times as wide as it is high.
    """
    row = SEGMENTATION_ARCHITECTURES[name]
    return _network(row.model, row.gmacs_size if image_size is None else (image_size, image_size), NUM_CLASSES, name)


def _network(config: UperNetConfig, size: Size, num_classes: int | None, published: str | None) -> Network:
    def build() -> nn.Module:
        return build_model(config, num_classes=num_classes or NUM_CLASSES, image_size=size[0])

    facts = {
        "model": config.name,
        "backbone": config.backbone.name,
        "classes": num_classes or f"{NUM_CLASSES}, assumed; the data is not here",
        "image_size": shown(size),
    }
    return Network(
        facts=facts,
        size=size,
        build=build,
        published=published_facts(published, SEGMENTATION_ARCHITECTURES),
    )

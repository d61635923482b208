"""The networks for classification as their summaries show them."""

from torch import nn

from attnkit.data.classification.config import CifarConfig, ImageFolderConfig, ImagesConfig, ShapesConfig
from attnkit.data.open import OpenedData
from attnkit.errors import DataError
from attnkit.models.build import build_model
from attnkit.models.config import ClassifierConfig
from attnkit.recipes.classification.architectures import ARCHITECTURES, NUM_CLASSES, published_name
from attnkit.recipes.classification.recipe import ClassificationRecipe
from attnkit.recipes.network_costs import Network, training_set
from attnkit.recipes.published import published_facts


def recipe_network(recipe: ClassificationRecipe, num_classes: int | None) -> Network:
    """The network of a recipe at the size of its images.

    Args:
        recipe: says which network, and how large its images are.
        num_classes: K; None takes that of the data, or ImageNet-1k's where there is no data.
    """
    size = recipe.image.size
    return _network(recipe.model, size, num_classes or classes_of(recipe.data), published_name(recipe.model, size))


def published_network(name: str, image_size: int | None) -> Network:
    """A published network by its name in ARCHITECTURES, for the classes of ImageNet-1k."""
    row = ARCHITECTURES[name]
    return _network(row.model, image_size or row.gmacs_size[0], NUM_CLASSES, name)


def _network(config: ClassifierConfig, image_size: int, num_classes: int | None, published: str | None) -> Network:
    def build() -> nn.Module:
        return build_model(config, num_classes=num_classes or NUM_CLASSES, image_size=image_size)

    facts = {
        "model": config.name,
        "classes": num_classes or f"{NUM_CLASSES}, assumed; the data is not here",
        "image_size": image_size,
    }
    return Network(
        facts=facts,
        size=(image_size, image_size),
        build=build,
        published=published_facts(published, ARCHITECTURES),
    )


def classes_of(data: ImagesConfig) -> int | None:
    """How many classes there are, as far as that shows without reading images; None where the data is not here."""
    if isinstance(data, CifarConfig):
        return data.classes
    if isinstance(data, ShapesConfig):
        from attnkit.data.images.shapes import CLASS_NAMES

        return len(CLASS_NAMES)
    if isinstance(data, ImageFolderConfig):
        from attnkit.data.classification.image_folder import find_image_folders

        try:
            return len(find_image_folders(data).splits["train"].class_names)
        except DataError:
            return None
    images = training_set(OpenedData(data))
    return None if images is None else len(images.class_names)

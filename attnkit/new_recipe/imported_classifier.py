"""Somebody's classifier: the recipe of the run that is made of it."""

from __future__ import annotations

from attnkit.data.config import ImageConfig, ImageFolderConfig
from attnkit.models.config import ClassifierConfig, SwinConfig, ViTConfig
from attnkit.new_recipe.fine_tuning import published_fine_tuning
from attnkit.new_recipe.imported_recipe import ImportedRecipe, sizes_of, written
from attnkit.recipes.classification.architectures import published_name
from attnkit.recipes.classification.recipe import ClassificationRecipe


def describe_classifier(name: str, model: ClassifierConfig, image: ImageConfig, *, size: int) -> ImportedRecipe:
    """The recipe of an imported classifier, with the values by which its authors fine-tune.

    Args:
        name: of the recipe.
        model: what it is.
        image: how its source prepares images.
        size: pixels of a side, of the recipe.
    """
    tuning = published_fine_tuning(model)
    image = image.model_copy(update={"size": size})
    network, sizes = published_name(model, size) or model.name, sizes_of(model)
    if isinstance(model, ViTConfig | SwinConfig):
        model = model.model_copy(update={"drop_path_rate": tuning.drop_path_rate})
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
        images=f"{image.resize}, {image.interpolation}, mean {written(image.mean)}, std {written(image.std)}",
        training_source=tuning.source,
    )

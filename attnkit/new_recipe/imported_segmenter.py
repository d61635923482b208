"""Somebody's segmenter: the recipe of the run that is made of it."""

from __future__ import annotations

from attnkit.data.config import MaskFilesConfig, SceneConfig
from attnkit.models.config import ResNetConfig, UperNetConfig
from attnkit.new_recipe.fine_tuning_segmentation import published_fine_tuning
from attnkit.new_recipe.imported_recipe import ImportedRecipe, sizes_of, written
from attnkit.recipes.classification.architectures import published_name
from attnkit.recipes.segmentation.recipe import SegmentationRecipe

ADE20K_CLASSES = 150
"""Nearly all published segmenters of so many classes are of ADE20K, whose masks begin at 1."""
_FORM = 4
"""The longer side of an image is at most this many times as long as the shorter one."""


def describe_segmenter(
    name: str, model: UperNetConfig, image: SceneConfig, *, size: int, num_classes: int
) -> ImportedRecipe:
    """The recipe of an imported segmenter, with published values of training.

    Args:
        name: of the recipe.
        model: what it is.
        image: how its source prepares images.
        size: pixels of a side of the crop, and of the shorter side of every image.
        num_classes: of its head.
    """
    tuning = published_fine_tuning(model)
    image = image.model_copy(update={"crop": (size, size), "short_side": size, "long_side": _FORM * size})
    trunk = model.backbone
    network = f"{model.name} on {published_name(trunk) or trunk.name}"
    sizes = f"channels {model.channels}, auxiliary_channels {model.auxiliary_channels}, backbone: {sizes_of(trunk)}"
    if not isinstance(trunk, ResNetConfig):
        trunk = trunk.model_copy(update={"drop_path_rate": tuning.drop_path_rate})
    recipe = SegmentationRecipe(
        task="segmentation",
        name=name,
        data=_data(num_classes),
        image=image,
        model=model.model_copy(update={"backbone": trunk}),
        batch=tuning.batch,
        train=tuning.train,
    )
    return ImportedRecipe(
        recipe,
        network=network,
        pixels=f"{size}x{size}",
        sizes=sizes,
        images=f"shorter side {size}, longer at most {_FORM * size}, mean {written(image.mean)}, "
        f"std {written(image.std)}",
        training_source=tuning.source,
    )


def _data(num_classes: int) -> MaskFilesConfig:
    """Where the images of training on will be, to be mended by whoever trains."""
    if num_classes == ADE20K_CLASSES:
        return MaskFilesConfig(
            format="mask_files", path="ADEChallengeData2016", classes="objectInfo150.txt", reduce_zero_label=True
        )
    return MaskFilesConfig(format="mask_files", path="masks")

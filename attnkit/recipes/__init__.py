"""The recipe modules, one per task. `Recipe` is the list of tasks."""

from typing import Annotated

from pydantic import Field

from attnkit.recipes.classification.recipe import ClassificationRecipe
from attnkit.recipes.detection.recipe import DetectionRecipe
from attnkit.recipes.segmentation.recipe import SegmentationRecipe
from attnkit.recipes.translation.recipe import TranslationRecipe

Recipe = Annotated[
    TranslationRecipe | ClassificationRecipe | SegmentationRecipe | DetectionRecipe, Field(discriminator="task")
]
"""A recipe of any task; `task` tells which."""

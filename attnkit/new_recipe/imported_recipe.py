"""What a task makes of somebody's network: a recipe to go on with, and words for what it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from attnkit.models.config import ClassifierConfig
from attnkit.recipes import Recipe
from attnkit.recipes.classification.architectures import SHAPES


@dataclass(frozen=True)
class ImportedRecipe:
    """A recipe, and what the report says about it.

    Attributes:
        recipe: with published values of training on.
        network: its published name, else that of its kind.
        pixels: of the images, such as 224x224.
        sizes: of the network, where it has any to tell.
        images: how they are prepared.
        training_source: whose values of training on.
    """

    recipe: Recipe
    network: str
    pixels: str
    sizes: str
    images: str
    training_source: str


def sizes_of(model: ClassifierConfig) -> str:
    """The sizes by which architectures are told, in one line."""
    return ", ".join(f"{key} {written(getattr(model, key))}" for key in SHAPES if getattr(model, key, None) is not None)


def written(value: Any) -> str:
    """A number, or several with strokes between them."""
    return "/".join(f"{part:g}" for part in value) if isinstance(value, tuple) else f"{value:g}"

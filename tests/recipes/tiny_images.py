"""Small classification recipes and runs, for tests that go the whole way."""

from __future__ import annotations

from typing import Any

from attnkit.recipes.classification.recipe import ClassificationRecipe
from tests.new_recipe.new_run import with_changes

_RECIPE: dict[str, Any] = {
    "task": "classification",
    "name": "tiny",
    "data": {"format": "shapes", "train_images": 60, "valid_images": 9, "test_images": 7, "size": 16},
    "image": {"size": 16, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "crop_fraction": 1.0},
    "augment": {"crop": "shift", "padding": 2},
    "model": {"name": "vit", "patch_size": 4, "embed_dim": 24, "depth": 2, "num_heads": 3, "mlp_ratio": 2.0},
    "batch": {"images": 12, "workers": 0},
    "train": {
        "steps": 12,
        "optimizer": {"name": "adamw", "weight_decay": 0.05},
        "schedule": {"name": "cosine", "lr": 2e-3, "warmup_steps": 3},
        "precision": "float32",
        "log_every": 3,
        "validate_every": 6,
        "save_every": 6,
        "keep_last": 2,
        "average_last": 2,
    },
}

SWIN = {"name": "swin", "patch_size": 2, "embed_dim": 12, "depths": [2, 2], "num_heads": [2, 3], "window_size": 4}


def recipe_with(**changes: Any) -> ClassificationRecipe:
    """The tiny recipe with some values changed; `train__steps=3` is train.steps. A section may be replaced whole."""
    return ClassificationRecipe.model_validate(with_changes(_RECIPE, **changes))

"""Finished classification runs, made by hand: no training, and classes that follow from the picture's colour."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from attnkit.engine.checkpoint import save_weights
from attnkit.models.build import build_model
from attnkit.recipes.classification.recipe import ClassificationRecipe
from attnkit.run_dir import RunDir
from tests.new_recipe.new_run import new_run

CLASSES = ("red", "green", "blue")
COLOURS = {"red": (250, 20, 10), "green": (15, 240, 25), "blue": (5, 30, 245)}


def colour_recipe(data: Path | None = None) -> ClassificationRecipe:
    """A tiny ViT on images of 8 x 8; by default without a folder that exists."""
    return ClassificationRecipe.model_validate(
        {
            "task": "classification",
            "name": "colours",
            "data": {"format": "image_folder", "path": str(data or "nowhere"), "train": "train", "test": "test"},
            "image": {"size": 8, "resize": "squash", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
            "model": {
                "name": "vit",
                "patch_size": 4,
                "embed_dim": 12,
                "depth": 1,
                "num_heads": 3,
                "pooling": "average",
            },
            "batch": {"images": 5, "workers": 0},
            "train": {"steps": 3},
        }
    )


def colour_run(folder: Path, recipe: ClassificationRecipe | None = None, *, classes: Sequence[str] = CLASSES) -> RunDir:
    """A run whose model says which of red, green and blue a picture has most of; further classes are unlikely.

    The blocks add nothing, the pooled token is the mean colour, and the head reads it.
    """
    recipe = recipe or colour_recipe()
    model = build_model(recipe.model, num_classes=len(classes), image_size=recipe.image.size)
    colours_to_classes(model)
    run = new_run(folder, recipe)
    save_weights(run.model, model, {"classes": list(classes), "step": 3})
    return run


@torch.no_grad()
def colours_to_classes(model: torch.nn.Module) -> None:
    """Give a tiny ViT weights by which the logit of class k < 3 grows with how much there is of colour k."""
    for p in model.parameters():
        p.zero_()
    model.norm.weight.fill_(1.0)
    for block in model.blocks:
        block.norm1.weight.fill_(1.0)
        block.norm2.weight.fill_(1.0)
    for k in range(3):
        model.patch_embed.proj.weight[k, k] = 1 / 16  # of a patch of 4 x 4 pixels
        model.head.weight[k, k] = 2.0
    model.head.bias[3:] = -20.0


def write_picture(path: Path, colour: str, *, seed: int = 0) -> Path:
    """A noisy picture of 9 x 13 pixels that has most of one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(-9, 10, (9, 13, 3))
    pixels = np.clip(np.array(COLOURS[colour]) + noise, 0, 255).astype(np.uint8)
    picture = io.BytesIO()
    Image.fromarray(pixels).save(picture, "PNG")
    path.write_bytes(picture.getvalue())
    return path

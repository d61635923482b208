"""Finished segmentation runs, made by hand: no training, and classes that follow from the colour of each pixel."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from attnkit.engine.checkpoint import save_weights
from attnkit.models.build import build_model
from attnkit.models.upernet import UperNet
from attnkit.recipe_file import dump
from attnkit.recipes.segmentation.recipe import SegmentationRecipe
from attnkit.run_dir import RunDir, create_run, write_whole

CLASSES = ("red", "green", "blue")
COLOURS = {"red": (250, 20, 10), "green": (15, 240, 25), "blue": (5, 30, 245)}
DRAWN = ((200, 60, 60), (60, 160, 60), (60, 80, 200))
"""Colours of the classes in masks."""
BLOCK = 4
"""Pixels along a side of a patch: classes that change between patches are found exactly."""


def scene_recipe(data: Path | None = None, **sections: Mapping[str, Any]) -> SegmentationRecipe:
    """A tiny UperNet on a Swin of two stages; by default without a folder that exists."""
    return SegmentationRecipe.model_validate(
        {
            "task": "segmentation",
            "name": "coloured",
            "data": {
                "format": "mask_files",
                "path": str(data or "nowhere"),
                "classes": list(CLASSES),
                "train": {"images": "train", "masks": "train_masks"},
                "test": {"images": "test", "masks": "test_masks"},
            },
            "image": {"crop": [16, 24], "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
            "model": {
                "name": "upernet",
                "backbone": {
                    "name": "swin",
                    "patch_size": BLOCK,
                    "embed_dim": 12,
                    "depths": [1, 1],
                    "num_heads": [2, 3],
                    "window_size": 2,
                },
                "channels": 5,
                "pool_scales": [1, 2],
                "auxiliary_channels": 7,
            },
            "batch": {"images": 5, "workers": 0},
            "train": {"steps": 3},
            **sections,
        }
    )


def scene_run(folder: Path, recipe: SegmentationRecipe | None = None, *, classes: Sequence[str] = CLASSES) -> RunDir:
    """A run whose model says of each pixel which of red, green and blue it has most of; no pixel is of further classes.

    The blocks add nothing, the finest map goes straight through the head: only the colour of a patch counts.
    """
    recipe = recipe or scene_recipe()
    model = build_model(recipe.model, num_classes=len(classes), image_size=recipe.image.crop[0])
    colours_to_classes(model)
    run = create_run(folder)
    write_whole(run.recipe, dump(recipe))
    colours = [list(DRAWN[k % 3]) for k in range(len(classes))]
    save_weights(run.model, model, {"classes": list(classes), "colours": colours, "step": 3})
    return run


@torch.no_grad()
def colours_to_classes(model: UperNet) -> None:
    """Give the tiny UperNet weights by which the logit of class k < 3 grows with how much there is of colour k."""
    for p in model.parameters():
        p.zero_()
    embed, first = model.backbone.patch_embed, model.backbone.norms[0]
    embed.norm.weight.fill_(1.0)
    first.weight.fill_(1.0)
    lateral, smooth, fuse = model.laterals[0], model.smooth[0], model.fuse
    for k in range(3):
        embed.proj.weight[k, k] = 1 / BLOCK**2
        lateral.conv.weight[k, k] = 1.0
        smooth.conv.weight[k, k, 1, 1] = 1.0
        fuse.conv.weight[k, k, 1, 1] = 1.0
        model.head.weight[k, k] = 2.0
    for layer in (lateral, smooth, fuse):
        layer.norm.weight.fill_(1.0)
    model.head.bias[3:] = -20.0


def striped(*colours: str, height: int = 12, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A picture of upright stripes, a patch wide each, with some noise; and the class of each pixel."""
    numbers = np.repeat([CLASSES.index(colour) for colour in colours], BLOCK)
    labels = np.broadcast_to(numbers, (height, len(numbers))).astype(np.uint8)
    noise = np.random.default_rng(seed).integers(-9, 10, (*labels.shape, 3))
    pixels = np.clip(np.array([COLOURS[name] for name in CLASSES])[labels] + noise, 0, 255).astype(np.uint8)
    return pixels, labels


def write_stripes(path: Path, *colours: str, height: int = 12) -> Path:
    """Write such a picture, without loss whatever the ending."""
    return write_png(path, striped(*colours, height=height)[0])


def write_png(path: Path, pixels: NDArray[np.uint8]) -> Path:
    """Write a picture or a mask."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "PNG")
    path.write_bytes(written.getvalue())
    return path


TRUTH = np.array([[0, 0, 1], [1, 2, 255]], dtype=np.uint8)
GUESS = np.array([[0, 1, 1], [1, 0, 2]], dtype=np.uint8)
"""mIoU 33.33, mAcc 50, aAcc 60, frequency-weighted IoU 40, where the one is predicted of the other."""

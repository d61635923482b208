"""Detection runs made by hand: no training; and a network that finds rectangles by their colour, wherever they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import roi_align

from attnkit.engine.checkpoint import save_weights
from attnkit.models.rcnn.rcnn import Rcnn
from attnkit.recipe_file import dump
from attnkit.recipes.detection.recipe import DetectionRecipe
from attnkit.run_dir import RunDir, create_run, write_whole

CLASSES = ("red", "green", "blue")
CATEGORY_IDS = (3, 7, 20)
CELLS = 28


def object_recipe(data: Mapping[str, Any] | None = None, **sections: Mapping[str, Any]) -> DetectionRecipe:
    """A tiny Mask R-CNN on a Swin; by default on generated shapes."""
    return DetectionRecipe.model_validate(
        {
            "task": "detection",
            "name": "coloured",
            "data": data or {"format": "shapes", "train_images": 3, "valid_images": 3, "test_images": 2, "size": 40},
            "image": {"short_side": 64, "long_side": 128, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
            "model": {
                "name": "mask_rcnn",
                "backbone": {
                    "name": "swin",
                    "embed_dim": 4,
                    "depths": [1, 1, 1, 1],
                    "num_heads": [1, 1, 2, 2],
                    "window_size": 2,
                },
                "channels": 5,
                "rpn": {"proposals": 30},
                "box_head": {"channels": 7},
                "mask_head": {"convs": 1, "channels": 3},
            },
            "batch": {"images": 2, "workers": 0},
            "train": {"steps": 3},
            **sections,
        }
    )


def object_run(
    folder: Path, recipe: DetectionRecipe | None = None, *, classes: Sequence[str] = CLASSES, masks: bool = True
) -> RunDir:
    """A run whose model has random weights."""
    recipe = recipe or object_recipe()
    torch.manual_seed(5)
    model = Rcnn(recipe.model, num_classes=len(classes), masks=masks)
    run = create_run(folder)
    write_whole(run.recipe, dump(recipe))
    ids = [CATEGORY_IDS[k] for k in range(len(classes))]
    save_weights(run.model, model, {"classes": list(classes), "category_ids": ids, "masks": masks, "step": 3})
    return run


class FindsColours(nn.Module):
    """A detector of one rectangle of each of red, green and blue on black: as sure as the rectangle is bright.

    A mask has the pixels of its box whose colour is that of the class.

    Attributes:
        seen: height and width of each input.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, int]] = []

    def features(self, images: Tensor) -> Tensor:
        """The images themselves, 0 to 1."""
        self.seen.append((images.shape[2], images.shape[3]))
        return (images + 1) / 2

    def propose(self, maps: Tensor, sizes: Sequence[tuple[int, int]]) -> tuple[list[Tensor], list[Tensor]]:
        """The box around each colour that is there, all equally likely."""
        ((height, width),) = sizes
        assert height % 32 or maps.shape[2] == height
        assert maps.shape[3] - width < 32
        found = []
        for colour in _lit(maps[0, :, :height, :width]):
            rows, columns = colour.any(dim=1).nonzero(), colour.any(dim=0).nonzero()
            if len(rows):
                corners = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
                found.append(torch.cat(corners).float())
        return [torch.stack(found) if found else torch.zeros(0, 4)], [torch.ones(len(found))]

    def classify(
        self, maps: Tensor, proposals: Sequence[Tensor], sizes: Sequence[tuple[int, int]]
    ) -> list[tuple[Tensor, Tensor]]:
        """Each box for all classes, the brightness in it as the probability."""
        (boxes,) = proposals
        probs = torch.zeros(len(boxes), len(CLASSES) + 1)
        for row, (x1, y1, x2, y2) in enumerate(boxes.int().tolist()):
            middle = maps[0, :, (y1 + y2) // 2, (x1 + x2) // 2]
            probs[row, :-1] = torch.where(middle == middle.max(), middle, 0)
        probs[:, -1] = 1 - probs.sum(dim=1)
        return [(boxes[:, None].expand(-1, len(CLASSES), -1), probs)]

    def predict_masks(self, maps: Tensor, boxes: Sequence[Tensor], labels: Sequence[Tensor]) -> list[Tensor]:
        """Where a box has the colour of its class."""
        lit = _lit(maps[0]).float()[None]
        drawn = roi_align(lit, list(boxes), CELLS, sampling_ratio=1, aligned=True)
        return [drawn[torch.arange(len(drawn)), labels[0]]]


def _lit(pixels: Tensor) -> Tensor:
    """(3, H, W) where a pixel has most of a colour, and more than a little of it."""
    return (pixels > 0.2) & (pixels == pixels.amax(dim=0, keepdim=True))


def painted(size: tuple[int, int], **rectangles: tuple[int, int, int, int, int]) -> Tensor:
    """uint8 (3, H, W): black, with rectangles by the names of their colours, each x1 y1 x2 y2 and how bright."""
    pixels = torch.zeros(3, *size, dtype=torch.uint8)
    for name, (x1, y1, x2, y2, bright) in rectangles.items():
        pixels[:, y1:y2, x1:x2] = 0
        pixels[CLASSES.index(name), y1:y2, x1:x2] = bright
    return pixels

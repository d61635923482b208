"""Generated images of several shapes, each pixel labelled."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from attnkit.data.config import Split
from attnkit.data.images.shapes import CLASS_NAMES, ShapesImage, generate_scene
from attnkit.data.segmentation.config import SegmentationShapesConfig
from attnkit.data.segmentation.palette import palette
from attnkit.data.segmentation.segmentation_set import LabelMap, SegmentationSet
from attnkit.structures.arrays import IntArray


class SegmentationShapes(SegmentationSet):
    """Images of several shapes, drawn when they are read."""

    class_names = ("background", *CLASS_NAMES)

    def __init__(self, config: SegmentationShapesConfig, split: Split, rows: IntArray) -> None:
        """Take the numbers of the images, counted from 0 in the split."""
        self._config, self._split, self._rows = config, split, rows
        self.colours = palette(len(self.class_names))

    def __len__(self) -> int:
        return len(self._rows)

    def place(self, index: int) -> str:
        """Split and number, counted from 1."""
        return f"shapes {self._split}:{self._rows[index] + 1}"

    def mask_place(self, index: int) -> str:
        """The same."""
        return self.place(index)

    def name(self, index: int) -> str:
        """Split and number."""
        return f"{self._split}_{self._rows[index] + 1:05}"

    def read(self, index: int) -> tuple[Tensor, Tensor]:
        """Draw one image."""
        drawn = self._draw(index)
        return torch.from_numpy(drawn.image), torch.from_numpy(_label_map(drawn))

    def read_labels(self, index: int) -> LabelMap:
        """Draw one image; only its labels are given."""
        return _label_map(self._draw(index))

    def size(self, index: int) -> tuple[int, int]:
        """The same of every image."""
        return self._config.size, self._config.size

    def select(self, rows: IntArray) -> SegmentationShapes:
        """Some of the images."""
        return SegmentationShapes(self._config, self._split, self._rows[rows])

    def _draw(self, index: int) -> ShapesImage:
        config, row = self._config, int(self._rows[index])
        return generate_scene(config.seed, self._split, row, size=config.size, most_shapes=config.most_shapes)


def _label_map(drawn: ShapesImage) -> LabelMap:
    """0 is the background; the visible parts of shapes do not overlap."""
    labels: LabelMap = (drawn.masks * (drawn.labels[:, None, None] + 1)).sum(0).astype(np.uint8)
    return labels


def open_segmentation_shapes(config: SegmentationShapesConfig, split: Split) -> SegmentationShapes:
    """All images of a split."""
    return SegmentationShapes(config, split, np.arange(getattr(config, f"{split}_images")))

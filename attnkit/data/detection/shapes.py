"""Generated images of several shapes, with their boxes and masks."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from attnkit.data.config import Split
from attnkit.data.detection.config import DetectionShapesConfig
from attnkit.data.detection.detection_set import DetectionSet
from attnkit.data.formats.annotations import Annotation
from attnkit.data.images.shapes import CLASS_NAMES, ShapesImage, generate_scene
from attnkit.structures.arrays import IntArray
from attnkit.structures.masks import Masks
from attnkit.structures.objects import Objects


class DetectionShapes(DetectionSet):
    """Images of several shapes with boxes and masks, drawn when they are read."""

    class_names = CLASS_NAMES
    category_ids = tuple(range(1, len(CLASS_NAMES) + 1))
    has_masks = True
    semantic_classes = None

    def __init__(self, config: DetectionShapesConfig, split: Split, rows: IntArray) -> None:
        """Take the numbers of the images, counted from 0 in the split."""
        self._config, self._split, self._rows = config, split, rows

    def __len__(self) -> int:
        return len(self._rows)

    def place(self, index: int) -> str:
        """Split and number, counted from 1."""
        return f"shapes {self._split}:{self._rows[index] + 1}"

    def annotation_place(self, index: int) -> str:
        """The same."""
        return self.place(index)

    def name(self, index: int) -> str:
        """Split and number."""
        return f"{self._split}_{self._rows[index] + 1:05}"

    def image_id(self, index: int) -> int:
        """The number."""
        return int(self._rows[index]) + 1

    def size(self, index: int) -> tuple[int, int]:
        """The same of every image."""
        return self._config.size, self._config.size

    def header_size(self, index: int) -> tuple[int, int]:
        """The same."""
        return self.size(index)

    def read(self, index: int) -> tuple[Tensor, Objects]:
        """Draw one image."""
        drawn = self._draw(index)
        return torch.from_numpy(drawn.image), _objects(drawn)

    def read_objects(self, index: int) -> Objects:
        """Draw one image; only its shapes are given."""
        return _objects(self._draw(index))

    def annotations(self, index: int) -> list[Annotation]:
        """The shapes as they would be written down."""
        objects = self.read_objects(index)
        assert objects.masks is not None
        rows = zip(
            objects.labels.tolist(), objects.boxes.tolist(), objects.areas.tolist(), objects.masks.rle(), strict=True
        )
        return [
            Annotation(label, str(row), (x1, y1, x2, y2), outline, area)
            for row, (label, (x1, y1, x2, y2), area, outline) in enumerate(rows, start=1)
        ]

    def read_semantic(self, index: int) -> Tensor | None:
        """None: the classes of the shapes are all there is."""
        return None

    def select(self, rows: IntArray) -> DetectionShapes:
        """Some of the images."""
        return DetectionShapes(self._config, self._split, self._rows[rows])

    def _draw(self, index: int) -> ShapesImage:
        config, row = self._config, int(self._rows[index])
        return generate_scene(config.seed, self._split, row, size=config.size, most_shapes=config.most_shapes)


def _objects(drawn: ShapesImage) -> Objects:
    return Objects(
        boxes=torch.from_numpy(drawn.boxes),
        labels=torch.from_numpy(drawn.labels),
        areas=torch.from_numpy(drawn.masks.sum((1, 2)).astype(np.float32)),
        crowd=torch.zeros(len(drawn.labels), dtype=torch.bool),
        masks=Masks.from_bitmaps(torch.from_numpy(drawn.masks)),
    )


def open_detection_shapes(config: DetectionShapesConfig, split: Split) -> DetectionShapes:
    """All images of a split."""
    return DetectionShapes(config, split, np.arange(getattr(config, f"{split}_images")))

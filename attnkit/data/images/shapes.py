"""Generated images of circles, squares and triangles, with exact labels, boxes and masks. Learnable in seconds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attnkit.data.classification.image_set import ArrayImages, IntArray
from attnkit.data.config import ShapeScenesConfig, ShapesConfig, Split
from attnkit.data.detection.annotation import Annotation
from attnkit.data.detection.config import ShapeObjectsConfig
from attnkit.data.detection.detection_set import DetectionSet
from attnkit.data.segmentation.palette import palette
from attnkit.data.segmentation.segmentation_set import LabelMap, SegmentationSet
from attnkit.errors import DataError
from attnkit.structures.masks import Masks
from attnkit.structures.objects import Objects

CLASS_NAMES = ("circle", "square", "triangle")
_FIRST_INDEX: dict[Split, int] = {"train": 0, "valid": 1 << 40, "test": 1 << 41}
"""So that no image is in two splits."""
_NOISE = 12.0
"""Standard deviation of a pixel, of 0..255."""
_LEAST_CONTRAST = 96.0
"""Between a shape and the background, in at least one channel."""
_LEAST_RADIUS = 2.0
"""Pixels."""
_TRIES = 50
_LEAST_VISIBLE = 0.6
"""Share of a shape that no other covers."""


@dataclass(frozen=True)
class ShapesImage:
    """One generated image with R shapes; later ones lie on top."""

    image: NDArray[np.uint8]
    """(3, H, W)"""
    labels: IntArray
    """(R,) numbers of CLASS_NAMES."""
    boxes: NDArray[np.float32]
    """(R, 4) XYXY in pixels, of what is visible; x1 and y1 are exclusive."""
    masks: NDArray[np.bool_]
    """(R, H, W) the visible pixels."""


def generate(seed: int, index: int, *, size: int, num_shapes: int = 1) -> ShapesImage:
    """Draw one image; the same for the same arguments, everywhere.

    Args:
        seed: of the whole set.
        index: which image.
        size: pixels, width and height.
        num_shapes: R; small images of many shapes have smaller ones.
    """
    rng = np.random.default_rng([seed, index])
    background = rng.uniform(0, 255, 3)
    labels = rng.integers(len(CLASS_NAMES), size=num_shapes)
    masks = _place(rng, labels, size)
    image = np.broadcast_to(background[:, None, None], (3, size, size)).copy()
    for mask in masks:
        image[:, mask] = _colour(rng, background)[:, None]
    image += rng.normal(0, _NOISE, image.shape)
    boxes = np.array([_box(mask) for mask in masks], dtype=np.float32).reshape(-1, 4)
    return ShapesImage(np.clip(image, 0, 255).round().astype(np.uint8), labels, boxes, masks)


def _place(rng: np.random.Generator, labels: IntArray, size: int) -> NDArray[np.bool_]:
    """Lay one shape over the other, so that most of each stays visible."""
    largest = size * (0.4 if len(labels) == 1 else 0.6 / max(1, len(labels)) ** 0.5)
    masks = np.zeros((len(labels), size, size), dtype=np.bool_)
    areas = np.zeros(len(labels), dtype=np.int64)
    for row, label in enumerate(labels.tolist()):
        for tries in range(_TRIES):
            radius = rng.uniform(0.5, 1.0) * largest * 0.95**tries  # smaller with every try
            whole = _shape(rng, label, max(_LEAST_RADIUS, radius), size)
            left = masks[:row] & ~whole
            if np.all(left.sum((1, 2)) >= _LEAST_VISIBLE * areas[:row]):
                break
        else:
            raise ValueError(
                f"{len(labels)} shapes do not fit into {size}x{size} pixels; draw fewer, or a larger image"
            )
        masks[:row], masks[row], areas[row] = left, whole, whole.sum()
    return masks


def _shape(rng: np.random.Generator, label: int, radius: float, size: int) -> NDArray[np.bool_]:
    """The pixels whose centres lie in a shape of about this radius; the shape lies wholly in the image if it can."""
    reach = 1.25 * radius  # a triangle's corners are the farthest
    x, y = rng.uniform(min(reach, size / 2), max(size - reach, size / 2), 2)
    right, down = np.arange(0.5, size) - x, np.arange(0.5, size)[:, None] - y
    if label == 0:
        return np.hypot(right, down) <= radius
    if label == 1:
        return np.maximum(abs(right), abs(down)) <= 0.886 * radius
    # upright and equal-sided: its centre is a third of its height above the base
    return (down <= 0.62 * radius) & (np.sqrt(3) * abs(right) - down <= 1.24 * radius)


def _colour(rng: np.random.Generator, background: NDArray[np.float64]) -> NDArray[np.float64]:
    """A colour that stands out."""
    while True:
        colour = rng.uniform(0, 255, 3)
        if abs(colour - background).max() >= _LEAST_CONTRAST:
            return colour


def _box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


def open_shapes(config: ShapesConfig, split: Split) -> ArrayImages:
    """Draw all images of a split, one shape each, into memory."""
    count: int = getattr(config, f"{split}_images")
    pixels = np.empty((count, 3, config.size, config.size), dtype=np.uint8)
    labels = np.empty(count, dtype=np.int64)
    for row in range(count):
        drawn = generate(config.seed, _FIRST_INDEX[split] + row, size=config.size)
        pixels[row], labels[row] = drawn.image, drawn.labels[0]
    return ArrayImages(pixels, labels, CLASS_NAMES, place=lambda row: f"shapes {split}:{row + 1}")


class ShapeScenes(SegmentationSet):
    """Scenes of several shapes, drawn when they are read."""

    class_names = ("background", *CLASS_NAMES)

    def __init__(self, config: ShapeScenesConfig, split: Split, rows: IntArray) -> None:
        """Take the numbers of the scenes, counted from 0 in the split."""
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
        """Draw one scene."""
        drawn = self._draw(index)
        return torch.from_numpy(drawn.image), torch.from_numpy(_label_map(drawn))

    def read_labels(self, index: int) -> LabelMap:
        """Draw one scene; only its labels are given."""
        return _label_map(self._draw(index))

    def size(self, index: int) -> tuple[int, int]:
        """The same of every scene."""
        return self._config.size, self._config.size

    def select(self, rows: IntArray) -> ShapeScenes:
        """Some of the scenes."""
        return ShapeScenes(self._config, self._split, self._rows[rows])

    def _draw(self, index: int) -> ShapesImage:
        return _scene(self._config, self._split, int(self._rows[index]))


def _scene(config: ShapeScenesConfig | ShapeObjectsConfig, split: Split, row: int) -> ShapesImage:
    """A scene of one to `most_shapes` shapes; how many is drawn apart, or the rest would depend on it.

    Raises:
        DataError: they have no room.
    """
    number = _FIRST_INDEX[split] + row
    count = int(np.random.default_rng([config.seed, number, 1]).integers(1, config.most_shapes + 1))
    try:
        return generate(config.seed, number, size=config.size, num_shapes=count)
    except ValueError as error:
        raise DataError(
            f"data.most_shapes: {count} shapes do not fit into {config.size}x{config.size} pixels; expected room for "
            "each; lower it, or raise data.size"
        ) from error


def _label_map(drawn: ShapesImage) -> LabelMap:
    """0 is the background; the visible parts of shapes do not overlap."""
    labels: LabelMap = (drawn.masks * (drawn.labels[:, None, None] + 1)).sum(0).astype(np.uint8)
    return labels


def open_shape_scenes(config: ShapeScenesConfig, split: Split) -> ShapeScenes:
    """All scenes of a split."""
    return ShapeScenes(config, split, np.arange(getattr(config, f"{split}_images")))


class ShapeObjects(DetectionSet):
    """The same scenes as shapes with boxes and masks, drawn when they are read."""

    class_names = CLASS_NAMES
    category_ids = tuple(range(1, len(CLASS_NAMES) + 1))
    has_masks = True
    semantic_classes = None

    def __init__(self, config: ShapeObjectsConfig, split: Split, rows: IntArray) -> None:
        """Take the numbers of the scenes, counted from 0 in the split."""
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
        """The same of every scene."""
        return self._config.size, self._config.size

    def header_size(self, index: int) -> tuple[int, int]:
        """The same."""
        return self.size(index)

    def read(self, index: int) -> tuple[Tensor, Objects]:
        """Draw one scene."""
        drawn = self._draw(index)
        return torch.from_numpy(drawn.image), _objects(drawn)

    def read_objects(self, index: int) -> Objects:
        """Draw one scene; only its shapes are given."""
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

    def select(self, rows: IntArray) -> ShapeObjects:
        """Some of the scenes."""
        return ShapeObjects(self._config, self._split, self._rows[rows])

    def _draw(self, index: int) -> ShapesImage:
        return _scene(self._config, self._split, int(self._rows[index]))


def _objects(drawn: ShapesImage) -> Objects:
    return Objects(
        boxes=torch.from_numpy(drawn.boxes),
        labels=torch.from_numpy(drawn.labels),
        areas=torch.from_numpy(drawn.masks.sum((1, 2)).astype(np.float32)),
        crowd=torch.zeros(len(drawn.labels), dtype=torch.bool),
        masks=Masks.from_bitmaps(torch.from_numpy(drawn.masks)),
    )


def open_shape_objects(config: ShapeObjectsConfig, split: Split) -> ShapeObjects:
    """All scenes of a split."""
    return ShapeObjects(config, split, np.arange(getattr(config, f"{split}_images")))

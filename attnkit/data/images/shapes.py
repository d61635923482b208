"""Generated images of circles, squares and triangles, with exact labels, boxes and masks. Learnable in seconds."""

from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from attnkit.data.config import Split
from attnkit.data.images.numbered_images import NumberedImages
from attnkit.errors import DataError
from attnkit.structures.arrays import BoolArray, ByteArray, FloatArray, IntArray, Size

CLASS_NAMES = ("circle", "square", "triangle")
FIRST_INDEX: dict[Split, int] = {"train": 0, "valid": 1 << 40, "test": 1 << 41}
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

    image: ByteArray
    """(3, H, W)"""
    labels: IntArray
    """(R,) numbers of CLASS_NAMES."""
    boxes: NDArray[np.float32]
    """(R, 4) XYXY in pixels, of what is visible; x1 and y1 are exclusive."""
    masks: BoolArray
    """(R, H, W) the visible pixels."""


def generate(seed: int, index: int, *, size: int, num_shapes: int = 1) -> ShapesImage:
    """Draw one image; the same for the same arguments, everywhere.

    Args:
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


def _place(rng: np.random.Generator, labels: IntArray, size: int) -> BoolArray:
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


def _shape(rng: np.random.Generator, label: int, radius: float, size: int) -> BoolArray:
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


def _colour(rng: np.random.Generator, background: FloatArray) -> FloatArray:
    """A colour that stands out."""
    while True:
        colour = rng.uniform(0, 255, 3)
        if abs(colour - background).max() >= _LEAST_CONTRAST:
            return colour


def _box(mask: BoolArray) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


class ScenesConfig(Protocol):
    """What the recipes of several tasks say of generated images."""

    size: int
    most_shapes: int
    seed: int


class GeneratedScenes(NumberedImages):
    """Images of several shapes, drawn when they are read; a task adds what it says of them."""

    def __init__(self, config: ScenesConfig, split: Split, rows: IntArray | None = None) -> None:
        """Take the numbers of the images, counted from 0 in the split; all of it, where none are given."""
        self._config, self._split = config, split
        self._rows = np.arange(getattr(config, f"{split}_images")) if rows is None else rows

    def __len__(self) -> int:
        return len(self._rows)

    def place(self, index: int) -> str:
        """Split and number, counted from 1."""
        return f"shapes {self._split}:{self._rows[index] + 1}"

    def name(self, index: int) -> str:
        """Split and number."""
        return f"{self._split}_{self._rows[index] + 1:05}"

    def size(self, index: int) -> Size:
        """The same of every image."""
        return self._config.size, self._config.size

    def select(self, rows: IntArray) -> Self:
        """Some of the images."""
        return type(self)(self._config, self._split, self._rows[rows])

    def _draw(self, index: int) -> ShapesImage:
        config, row = self._config, int(self._rows[index])
        return generate_scene(config.seed, self._split, row, size=config.size, most_shapes=config.most_shapes)


def generate_scene(seed: int, split: Split, row: int, *, size: int, most_shapes: int) -> ShapesImage:
    """A scene of one to `most_shapes` shapes; how many is drawn apart, or the rest would depend on it.

    Raises:
        DataError: they have no room.
    """
    number = FIRST_INDEX[split] + row
    count = int(np.random.default_rng([seed, number, 1]).integers(1, most_shapes + 1))
    try:
        return generate(seed, number, size=size, num_shapes=count)
    except ValueError as error:
        raise DataError(
            f"data.most_shapes: {count} shapes do not fit into {size}x{size} pixels; expected room for "
            "each; lower it, or raise data.size"
        ) from error

"""Masks as PNG files with a palette: the value of a pixel is the number of its class, its colour that of the class.

Classes that have no colours of their own get the same wherever they are shown, far from each other.
"""

import io
from functools import lru_cache

import numpy as np
from PIL import Image

from attnkit.structures.arrays import ByteArray, FloatArray

MOST_CLASSES = 255
"""0..254; 255 is of no class."""
_LEVELS = np.linspace(0, 255, 8).round()
_TAKEN = np.array([[0, 0, 0], [255, 255, 255]], dtype=np.float64)
"""Black is for pixels of no class, white lies behind a legend."""


def palette(num_classes: int) -> ByteArray:
    """Distinct colours of up to 255 classes: (K, 3) uint8, red, green and blue. Those of fewer begin those of more."""
    return _palette()[:num_classes].copy()


@lru_cache(maxsize=1)
def _palette() -> ByteArray:
    """Of a grid of colours, one after the other that is farthest from all before it."""
    red, green, blue = np.meshgrid(_LEVELS, _LEVELS, _LEVELS, indexing="ij")
    grid = np.stack([red, green, blue], axis=-1).reshape(-1, 3)
    nearest = np.min([_distance(grid, taken) for taken in _TAKEN], axis=0)
    chosen = []
    for _ in range(MOST_CLASSES):
        farthest = int(nearest.argmax())
        chosen.append(grid[farthest])
        nearest = np.minimum(nearest, _distance(grid, grid[farthest]))
    return np.array(chosen).astype(np.uint8)


def _distance(colours: FloatArray, other: FloatArray) -> FloatArray:
    """About as people see it: reds differ more among bright reds, blues among dark ones."""
    redness = (colours[:, 0] + other[0]) / 2 / 255
    weights = np.stack([2 + redness, np.full_like(redness, 4.0), 3 - redness], axis=1)
    distance: FloatArray = (weights * (colours - other) ** 2).sum(1)
    return distance


def palette_image(labels: ByteArray, colours: ByteArray) -> Image.Image:
    """A palette image, 8 bits for each pixel: its values are the numbers of the classes.

    Args:
        labels: (H, W).
        colours: (K, 3).
    """
    picture = Image.fromarray(labels)
    rest = np.full((256 - len(colours), 3), 255, dtype=np.uint8)  # a whole palette, or the bits would be fewer
    picture.putpalette(np.concatenate([colours, rest]).tobytes())
    return picture


def mask_png(labels: ByteArray, colours: ByteArray) -> bytes:
    """The bytes of a mask's file.

    Args:
        labels: (H, W).
        colours: (K, 3).
    """
    return png(palette_image(labels, colours))


def png(image: Image.Image) -> bytes:
    """The bytes of an image's file."""
    written = io.BytesIO()
    image.save(written, "PNG")
    return written.getvalue()

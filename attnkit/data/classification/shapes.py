"""Generated images of one shape each."""

from __future__ import annotations

import numpy as np

from attnkit.data.classification.config import ShapesConfig
from attnkit.data.classification.image_set import ArrayImages
from attnkit.data.config import Split
from attnkit.data.images.shapes import CLASS_NAMES, FIRST_INDEX, generate


def open_shapes(config: ShapesConfig, split: Split) -> ArrayImages:
    """Draw all images of a split, one shape each, into memory."""
    count: int = getattr(config, f"{split}_images")
    pixels = np.empty((count, 3, config.size, config.size), dtype=np.uint8)
    labels = np.empty(count, dtype=np.int64)
    for row in range(count):
        drawn = generate(config.seed, FIRST_INDEX[split] + row, size=config.size)
        pixels[row], labels[row] = drawn.image, drawn.labels[0]
    return ArrayImages(pixels, labels, CLASS_NAMES, place=lambda row: f"shapes {split}:{row + 1}")

"""Masks as PNG files with a palette: the value of a pixel is the number of its class, its colour that of the class."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def palette_image(labels: NDArray[np.uint8], colours: NDArray[np.uint8]) -> Image.Image:
    """A palette image, 8 bits for each pixel: its values are the numbers of the classes.

    Args:
        labels: (H, W).
        colours: (K, 3).
    """
    picture = Image.fromarray(labels)
    rest = np.full((256 - len(colours), 3), 255, dtype=np.uint8)  # a whole palette, or the bits would be fewer
    picture.putpalette(np.concatenate([colours, rest]).tobytes())
    return picture


def mask_png(labels: NDArray[np.uint8], colours: NDArray[np.uint8]) -> bytes:
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

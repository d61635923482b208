"""A photograph that is drawn on: the size that it is brought to, and the page with a legend below it."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from attnkit.predict.legend import PAPER

LONGEST = 4096
"""Pixels along the longer side of a photograph, at most."""
SHORTEST = 480
"""And at least: smaller ones are enlarged by a whole number, for a legend to be readable below them."""


def fitting(width: int, height: int) -> tuple[int, int]:
    """Width and height of a photograph on its page."""
    longer = max(width, height)
    if longer > LONGEST:
        return max(1, round(width * LONGEST / longer)), max(1, round(height * LONGEST / longer))
    times = -(-SHORTEST // longer)
    return width * times, height * times


def text_height(size: tuple[int, int]) -> int:
    """Pixels of the letters of a legend below a photograph of so much width and height."""
    return int(np.clip(np.sqrt(size[0] * size[1]) / 45, 13, 56))


def line_width(size: tuple[int, int]) -> int:
    """Pixels of a thin line on it."""
    return max(1, round(max(size) / 1000))


def page(picture: Image.Image, legend: Image.Image) -> Image.Image:
    """A picture with its legend below it."""
    width = max(picture.width, legend.width)
    paper = Image.new("RGB", (width, picture.height + legend.height), PAPER)
    paper.paste(picture, ((width - picture.width) // 2, 0))
    paper.paste(legend, ((width - legend.width) // 2, picture.height))
    return paper


def png(picture: Image.Image) -> bytes:
    """The bytes of its file."""
    written = io.BytesIO()
    picture.save(written, "PNG")
    return written.getvalue()

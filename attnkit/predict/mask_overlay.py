"""The class of each pixel, in colours over the photograph, with a legend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from attnkit.data.formats.mask_png import palette_image
from attnkit.predict.overlay_page import Entry, Legend, font_size_on, line_width, page, photo_size

if TYPE_CHECKING:
    from attnkit.predict.segmented_images import Area
    from attnkit.structures.arrays import ByteArray

_LINE = (255, 255, 255)
_LINE_STRENGTH = 180
"""Of 255."""


def draw_areas(
    photo: ByteArray,
    labels: ByteArray,
    areas: Sequence[Area],
    colours: ByteArray,
    *,
    alpha: float,
) -> Image.Image:
    """The colours of the classes over a photograph, lines between them, and below it what each colour means.

    Images of more than 4,096 pixels along a side are reduced, those of less than 480 enlarged by a whole number.

    Args:
        photo: (H, W, 3).
        labels: (H, W).
        areas: the classes that are there, in the order of the legend.
        colours: (K, 3).
        alpha: how much of the result is colour, from 0 to 1.
    """
    size = photo_size(labels.shape[1], labels.shape[0])
    resized = Image.fromarray(photo).resize(size, Image.Resampling.BICUBIC)
    mask = palette_image(labels, colours).resize(size, Image.Resampling.NEAREST)
    picture = Image.blend(resized, mask.convert("RGB"), alpha)
    picture.paste(_LINE, mask=_borders(np.asarray(mask), thick=line_width(size)))
    entries = [Entry(tuple(colours[area.index].tolist()), area.name, _rounded(area.share)) for area in areas]
    return page(picture, Legend(entries, least_width=size[0], font_size=font_size_on(size)).render())


def _borders(labels: ByteArray, *, thick: int) -> Image.Image:
    """Lines where the class differs from that of the pixels above or to the left."""
    lines = np.zeros(labels.shape, dtype=np.uint8)
    for step in range(1, thick + 1):
        lines[step:][labels[step:] != labels[:-step]] = _LINE_STRENGTH
        lines[:, step:][labels[:, step:] != labels[:, :-step]] = _LINE_STRENGTH
    return Image.fromarray(lines)


def _rounded(share: float) -> str:
    return "<0.1 %" if share < 0.0005 else f"{100 * share:.1f} %"

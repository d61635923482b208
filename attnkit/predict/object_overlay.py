"""What was found, over the photograph: masks and boxes in the colour of their class, names and scores, and a legend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from attnkit.predict.detected_images import counts_of
from attnkit.predict.drawn_page import fitting, line_width, page, text_height
from attnkit.predict.legend import Colour, Entry, Legend
from attnkit.predict.object_labels import Label, draw_labels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from attnkit.predict.detected_images import FoundObject
    from attnkit.structures.detections import Detections

_BOX_STRENGTH = 200
"""Of 255: what lies below a line shows a little."""


def draw_objects(
    photo: NDArray[np.uint8],
    found: Detections,
    objects: Sequence[FoundObject],
    *,
    mask_threshold: float | None,
    alpha: float,
) -> Image.Image:
    """Findings over a photograph, the surest on top. Below it what each colour means, and how many there are.

    Images of more than 4,096 pixels along a side are reduced, those of less than 480 enlarged by a whole number. A name
    stands where it hides no other; among many small objects there is room for few, and the legend says the rest.

    Args:
        photo: (H, W, 3).
        found: in its pixels, the surest first.
        objects: the same in plain numbers.
        mask_threshold: a pixel belongs to an object from this probability on; None draws no masks.
        alpha: how much of a mask is colour, from 0 to 1.
    """
    height, width = photo.shape[:2]
    size = fitting(width, height)
    drawn = np.array(Image.fromarray(photo).resize(size, Image.Resampling.BICUBIC))
    shown = found.scaled((size[0] / width, size[1] / height))
    colours = [colour_of(one.index) for one in objects]
    if mask_threshold is not None:
        _paint_masks(drawn, shown, colours, threshold=mask_threshold, alpha=alpha, thick=line_width(size))
    picture = Image.fromarray(drawn)
    boxes = [tuple(box) for box in shown.boxes.tolist()]
    _draw_boxes(picture, boxes, colours, thick=_box_width(size, with_masks=mask_threshold is not None))
    labels = [Label(box, colour, one.name, one.score) for box, colour, one in zip(boxes, colours, objects, strict=True)]
    draw_labels(picture, labels, text=text_height(size))
    if not objects:
        return picture
    entries = [Entry(colour_of(one.index), one.name, str(one.objects)) for one in counts_of(objects)]
    return page(picture, Legend(entries, room=size[0], text=text_height(size)).draw())


def colour_of(index: int) -> Colour:
    """The colour of a class: the same on every picture. With hundreds of classes some share one."""
    from attnkit.data.segmentation.palette import MOST_CLASSES, palette

    return tuple(palette(MOST_CLASSES)[index % MOST_CLASSES].tolist())


def _paint_masks(
    drawn: NDArray[np.uint8],
    shown: Detections,
    colours: Sequence[Colour],
    *,
    threshold: float,
    alpha: float,
    thick: int,
) -> None:
    """Mix colours into what masks cover, one after the other, and draw their outlines; in place."""
    for row in reversed(range(len(shown))):
        mask = shown[row : row + 1].masks((drawn.shape[0], drawn.shape[1]), threshold)
        x1, y1, x2, y2 = mask.windows[0].tolist()
        covered = mask.crops()[0].bool().cpu().numpy()
        piece, colour = drawn[y1:y2, x1:x2], np.array(colours[row], dtype=np.float32)
        piece[covered] = (piece[covered] * (1 - alpha) + colour * alpha).astype(np.uint8)
        piece[covered & ~_inside(covered, thick)] = colour


def _inside(covered: NDArray[np.bool_], thick: int) -> NDArray[np.bool_]:
    """The pixels of a mask that are more than so many away from its outline, up, down, left and right."""
    height, width = covered.shape
    padded = np.pad(covered, thick)
    rows, columns = slice(thick, thick + height), slice(thick, thick + width)
    inside: NDArray[np.bool_] = (
        padded[:height, columns] & padded[2 * thick :, columns] & padded[rows, :width] & padded[rows, 2 * thick :]
    )
    return inside


def _box_width(size: tuple[int, int], *, with_masks: bool) -> int:
    """Thinner where a mask shows the object already."""
    return line_width(size) if with_masks else max(2, 2 * line_width(size))


def _draw_boxes(
    picture: Image.Image, boxes: Sequence[tuple[float, ...]], colours: Sequence[Colour], *, thick: int
) -> None:
    pen = ImageDraw.Draw(picture, "RGBA")
    for (x1, y1, x2, y2), colour in zip(reversed(boxes), reversed(colours), strict=True):
        left, top = round(x1), round(y1)
        right, bottom = max(left, round(x2) - 1), max(top, round(y2) - 1)  # the far corner is exclusive
        pen.rectangle((left, top, right, bottom), outline=(*colour, _BOX_STRENGTH), width=thick)

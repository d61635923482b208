"""Objects over the photograph: masks and boxes in the colour of their class, names and scores, and a legend."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from attnkit.data.formats.mask_png import MOST_CLASSES, palette
from attnkit.predict.detected_images import counts_of
from attnkit.predict.overlay_page import Colour, Entry, Legend, font_size_on, line_width, page, photo_size, short_name

if TYPE_CHECKING:
    from attnkit.predict.detected_images import FoundObject
    from attnkit.structures.arrays import BoolArray, ByteArray, FloatArray
    from attnkit.structures.detections import Detections

Rectangle = tuple[float, float, float, float]

_FEW = 20
"""Up to this number of objects, labels may be far wider than their boxes and hide the middle of an object; among more
objects they would cover the neighbours.
"""
_WIDEST = 1.5
"""How much wider than its box a label among many may be."""
_SMALLER = 0.85
"""Letters of labels, as a share of those of the legend."""
_BRIGHT = 140
"""Of 255: on colours above it letters are black."""
_BOX_STRENGTH = 200
"""Of 255: what lies below a line shows a little."""


def draw_objects(
    photo: ByteArray,
    found: Detections,
    objects: Sequence[FoundObject],
    *,
    mask_threshold: float | None,
    alpha: float,
) -> Image.Image:
    """Draw objects over a photograph, the highest score on top; below it what each colour means, how many there are.

    Images of more than 4,096 pixels along a side are reduced, those of less than 480 enlarged by a whole number. A name
    stands where it hides no other; among many small objects there is room for few, and the legend tells the rest.

    Args:
        photo: (H, W, 3).
        found: in its pixels, in order of falling score.
        objects: the same in plain numbers.
        mask_threshold: a pixel belongs to an object from this probability on; None draws no masks.
        alpha: how much of a mask is colour, from 0 to 1.
    """
    height, width = photo.shape[:2]
    size = photo_size(width, height)
    drawn = np.array(Image.fromarray(photo).resize(size, Image.Resampling.BICUBIC))
    scaled = found.scaled((size[0] / width, size[1] / height))
    colours = [colour_of(thing.index) for thing in objects]
    if mask_threshold is not None:
        _paint_masks(drawn, scaled, colours, threshold=mask_threshold, alpha=alpha, thick=line_width(size))
    picture = Image.fromarray(drawn)
    boxes = [tuple(box) for box in scaled.boxes.tolist()]
    _draw_boxes(picture, boxes, colours, thick=_box_width(size, with_masks=mask_threshold is not None))
    labels = [
        Label(box, colour, thing.name, thing.score) for box, colour, thing in zip(boxes, colours, objects, strict=True)
    ]
    draw_labels(picture, labels, font_size=font_size_on(size))
    if not objects:
        return picture
    entries = [Entry(colour_of(count.index), count.name, str(count.objects)) for count in counts_of(objects)]
    return page(picture, Legend(entries, least_width=size[0], font_size=font_size_on(size)).render())


def colour_of(index: int) -> Colour:
    """The colour of a class: the same on every picture. With hundreds of classes several share a colour."""
    return tuple(palette(MOST_CLASSES)[index % MOST_CLASSES].tolist())


def _paint_masks(
    drawn: ByteArray,
    found: Detections,
    colours: Sequence[Colour],
    *,
    threshold: float,
    alpha: float,
    thick: int,
) -> None:
    """Mix colours into what masks cover, one after the other, and draw their outlines; in place."""
    for row in reversed(range(len(found))):
        mask = found[row : row + 1].masks((drawn.shape[0], drawn.shape[1]), threshold)
        x1, y1, x2, y2 = mask.windows[0].tolist()
        covered = mask.crops()[0].bool().cpu().numpy()
        piece, colour = drawn[y1:y2, x1:x2], np.array(colours[row], dtype=np.float32)
        piece[covered] = (piece[covered] * (1 - alpha) + colour * alpha).astype(np.uint8)
        piece[covered & ~_inside(covered, thick)] = colour


def _inside(covered: BoolArray, thick: int) -> BoolArray:
    """The pixels of a mask that are more than so many away from its outline, up, down, left and right."""
    height, width = covered.shape
    padded = np.pad(covered, thick)
    rows, columns = slice(thick, thick + height), slice(thick, thick + width)
    inside: BoolArray = (
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


@dataclass(frozen=True)
class Label:
    """What is written beside a box."""

    box: Rectangle
    colour: Colour
    name: str
    score: float

    @property
    def texts(self) -> tuple[str, str]:
        """All of it, and what is left where there is little room: the colour says the class."""
        return f"{short_name(self.name)} {self.score:.2f}", f"{self.score:.2f}"


@dataclass(frozen=True)
class PlacedLabel:
    """A label where it is written."""

    text: str
    rectangle: Rectangle
    colour: Colour


def draw_labels(picture: Image.Image, labels: Sequence[Label], *, font_size: int) -> None:
    """Write labels on a picture where `place_labels` puts them."""
    pen, font = ImageDraw.Draw(picture), _font(font_size)
    for label in place_labels(labels, picture.size, font_size=font_size):
        x1, y1, x2, y2 = label.rectangle
        pen.rectangle((x1, y1, x2 - 1, y2 - 1), fill=label.colour)
        pen.text(((x1 + x2) / 2, (y1 + y2) / 2), label.text, fill=_ink(label.colour), font=font, anchor="mm")


def place_labels(labels: Sequence[Label], picture: tuple[int, int], *, font_size: int) -> list[PlacedLabel]:
    """Find where labels hide no earlier one, and among many no object; those for which there is no room are left out.

    Args:
        labels: the most important first.
        picture: the width and height of the picture.
        font_size: of the legend, in pixels.
    """
    font = _font(font_size)
    height = round(1.25 * font.size)
    middles = _middles(labels) if len(labels) > _FEW else _middles([])
    placed: list[PlacedLabel] = []
    for label in labels:
        for text in label.texts:
            width = round(font.getlength(text)) + height // 2
            if len(labels) > _FEW and width > _WIDEST * (label.box[2] - label.box[0]):
                continue
            taken = [other.rectangle for other in placed]
            rectangle = _free(label.box, (width, height), picture, taken, middles)
            if rectangle is not None:
                placed.append(PlacedLabel(text, rectangle, label.colour))
                break
    return placed


def _font(font_size: int) -> Any:
    return ImageFont.load_default(max(11, round(_SMALLER * font_size)))


def _middles(labels: Sequence[Label]) -> FloatArray:
    """The middle of each box, x and y: (N, 2)."""
    corners = np.array([label.box for label in labels], dtype=np.float64).reshape(-1, 4)
    middles: FloatArray = (corners[:, :2] + corners[:, 2:]) / 2
    return middles


def _free(
    box: Rectangle,
    size: tuple[int, int],
    picture: tuple[int, int],
    taken: Sequence[Rectangle],
    points: FloatArray,
) -> Rectangle | None:
    """The first rectangle for a label that lies in the picture, on no other label and on none of the points."""
    for x, y in _corners(box, size):
        x = min(max(x, 0), picture[0] - size[0])
        rectangle = (x, y, x + size[0], y + size[1])
        inside = x >= 0 and 0 <= y <= picture[1] - size[1]
        if inside and not any(_overlap(rectangle, other) for other in taken) and not _covers(rectangle, points):
            return rectangle
    return None


def _corners(box: Rectangle, size: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Where the upper left corner of a label may lie: above the box, in its upper corners, or below it."""
    x1, y1, x2, y2 = (round(value) for value in box)
    width, height = size
    for x in (x1, x2 - width):
        yield from ((x, y1 - height), (x, y1), (x, y2))


def _overlap(first: Rectangle, second: Rectangle) -> bool:
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]


def _covers(rectangle: Rectangle, points: FloatArray) -> bool:
    return bool(((points >= rectangle[:2]) & (points < rectangle[2:])).all(axis=1).any())


def _ink(colour: Colour) -> Colour:
    red, green, blue = colour[:3]
    return (0, 0, 0) if 0.299 * red + 0.587 * green + 0.114 * blue > _BRIGHT else (255, 255, 255)

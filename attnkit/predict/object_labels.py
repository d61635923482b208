"""Names and scores beside boxes, as many as fit without hiding each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from attnkit.predict.legend import Colour, short_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

Rectangle = tuple[float, float, float, float]

_FEW = 20
"""Up to so many objects, labels may be far wider than their boxes and hide the middle of one; of more they would cover
the neighbours.
"""
_WIDEST = 1.5
"""Times its box, of a label among many."""
_SMALLER = 0.85
"""Than the letters of the legend."""
_BRIGHT = 140
"""Of 255: on colours above it letters are black."""


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
class Placed:
    """A label where it is written."""

    words: str
    place: Rectangle
    colour: Colour


def draw_labels(picture: Image.Image, labels: Sequence[Label], *, text: int) -> None:
    """Write labels on a picture, as `place_labels` has them."""
    pen, font = ImageDraw.Draw(picture), _font(text)
    for one in place_labels(labels, picture.size, text=text):
        x1, y1, x2, y2 = one.place
        pen.rectangle((x1, y1, x2 - 1, y2 - 1), fill=one.colour)
        pen.text(((x1 + x2) / 2, (y1 + y2) / 2), one.words, fill=_ink(one.colour), font=font, anchor="mm")


def place_labels(labels: Sequence[Label], picture: tuple[int, int], *, text: int) -> list[Placed]:
    """Where labels hide no earlier one, and among many no object; those without such a place are left out.

    Args:
        labels: the most important first.
        picture: its width and height.
        text: height of the letters of a legend.
    """
    font = _font(text)
    height = round(1.25 * font.size)
    spared = _middles(labels) if len(labels) > _FEW else _middles([])
    placed: list[Placed] = []
    for label in labels:
        for words in label.texts:
            width = round(font.getlength(words)) + height // 2
            if len(labels) > _FEW and width > _WIDEST * (label.box[2] - label.box[0]):
                continue
            place = _free(label.box, (width, height), picture, [one.place for one in placed], spared)
            if place is not None:
                placed.append(Placed(words, place, label.colour))
                break
    return placed


def _font(text: int) -> Any:
    return ImageFont.load_default(max(11, round(_SMALLER * text)))


def _middles(labels: Sequence[Label]) -> NDArray[np.float64]:
    """The middle of each box, x and y: (N, 2)."""
    corners = np.array([label.box for label in labels], dtype=np.float64).reshape(-1, 4)
    middles: NDArray[np.float64] = (corners[:, :2] + corners[:, 2:]) / 2
    return middles


def _free(
    box: Rectangle,
    size: tuple[int, int],
    picture: tuple[int, int],
    taken: Sequence[Rectangle],
    spared: NDArray[np.float64],
) -> Rectangle | None:
    """The first place for a label that lies in the picture, on no other label and on nothing that is spared."""
    for x, y in _places(box, size):
        x = min(max(x, 0), picture[0] - size[0])
        place = (x, y, x + size[0], y + size[1])
        inside = x >= 0 and 0 <= y <= picture[1] - size[1]
        if inside and not any(_meet(place, other) for other in taken) and not _covers(place, spared):
            return place
    return None


def _places(box: Rectangle, size: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Above the box, in its upper corners, and below it."""
    x1, y1, x2, y2 = (round(value) for value in box)
    width, height = size
    for x in (x1, x2 - width):
        yield from ((x, y1 - height), (x, y1), (x, y2))


def _meet(one: Rectangle, other: Rectangle) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _covers(place: Rectangle, points: NDArray[np.float64]) -> bool:
    return bool(((points >= place[:2]) & (points < place[2:])).all(axis=1).any())


def _ink(colour: Colour) -> Colour:
    red, green, blue = colour[:3]
    return (0, 0, 0) if 0.299 * red + 0.587 * green + 0.114 * blue > _BRIGHT else (255, 255, 255)

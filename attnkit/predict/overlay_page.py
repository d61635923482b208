"""The page of an overlay: the photograph in a readable size, and below it a legend of what the colours mean."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, ...]

_PAPER: Colour = (255, 255, 255)
_INK, _PALE, _EDGE = (33, 37, 41), (120, 126, 133), (0, 0, 0, 60)
_LONGEST_NAME = 26
_LONGEST = 4096
"""Pixels along the longer side of a photograph, at most."""
_SHORTEST = 480
"""And at least: smaller ones are enlarged by a whole number, for a legend to be readable below them."""


def photo_size(width: int, height: int) -> tuple[int, int]:
    """Width and height of a photograph on its page: enlarged by a whole number or reduced, or as it is."""
    longer = max(width, height)
    if longer > _LONGEST:
        return max(1, round(width * _LONGEST / longer)), max(1, round(height * _LONGEST / longer))
    times = -(-_SHORTEST // longer)
    return width * times, height * times


def font_size_on(size: tuple[int, int]) -> int:
    """Height in pixels of the letters below a photograph of this width and height."""
    return int(np.clip(np.sqrt(size[0] * size[1]) / 45, 13, 56))


def line_width(size: tuple[int, int]) -> int:
    """Pixels of a thin line on a photograph of this width and height."""
    return max(1, round(max(size) / 1000))


def page(picture: Image.Image, legend: Image.Image) -> Image.Image:
    """A picture with its legend below it."""
    width = max(picture.width, legend.width)
    paper = Image.new("RGB", (width, picture.height + legend.height), _PAPER)
    paper.paste(picture, ((width - picture.width) // 2, 0))
    paper.paste(legend, ((width - legend.width) // 2, picture.height))
    return paper


@dataclass(frozen=True)
class Entry:
    """A line of a legend."""

    colour: Colour
    name: str
    amount: str
    """A share or a number; at the right of its column."""


@dataclass(frozen=True)
class Legend:
    """Entries in columns, from top to bottom in each: as many columns as there is room for."""

    entries: Sequence[Entry]
    least_width: int
    """Pixels of width to fill; a single column may need more."""
    font_size: int
    """Height of the letters, in pixels; everything else is in proportion."""

    def render(self) -> Image.Image:
        """Draw the legend on white."""
        picture = Image.new("RGB", (self._width, self._height), _PAPER)
        pen = ImageDraw.Draw(picture, "RGBA")
        step = (self._width - 2 * self._margin + self._gap) // self._columns
        for number, entry in enumerate(self.entries):
            column, row = divmod(number, self._rows)
            self._draw_entry(pen, entry, self._margin + column * step, self._margin + row * self._line)
        return picture

    def _draw_entry(self, pen: ImageDraw.ImageDraw, entry: Entry, x: int, y: int) -> None:
        middle, side = y + self._line // 2, self.font_size
        box = (x, middle - side // 2, x + side, middle - side // 2 + side)
        pen.rounded_rectangle(box, radius=max(2, side // 5), fill=entry.colour, outline=_EDGE)
        x += side + self._space
        pen.text((x, middle), short_name(entry.name), fill=_INK, font=self._font, anchor="lm")
        x += self._widest_name + self._gap // 2 + self._widest_amount
        pen.text((x, middle), entry.amount, fill=_PALE, font=self._font, anchor="rm")

    @cached_property
    def _font(self) -> Any:
        return ImageFont.load_default(self.font_size)

    @cached_property
    def _widest_name(self) -> int:
        return max(round(self._font.getlength(short_name(entry.name))) for entry in self.entries)

    @cached_property
    def _widest_amount(self) -> int:
        return max(round(self._font.getlength(entry.amount)) for entry in self.entries)

    @property
    def _entry_width(self) -> int:
        return self.font_size + self._space + self._widest_name + self._gap // 2 + self._widest_amount

    @property
    def _columns(self) -> int:
        """No more than the rows need, so that they are filled evenly."""
        fitting = max(1, (self.least_width - 2 * self._margin + self._gap) // (self._entry_width + self._gap))
        rows = -(-len(self.entries) // fitting)
        return -(-len(self.entries) // rows)

    @property
    def _rows(self) -> int:
        return -(-len(self.entries) // self._columns)

    @property
    def _width(self) -> int:
        return max(self.least_width, 2 * self._margin + self._entry_width)

    @property
    def _height(self) -> int:
        return 2 * self._margin + self._rows * self._line

    @property
    def _line(self) -> int:
        return round(1.6 * self.font_size)

    @property
    def _margin(self) -> int:
        return self.font_size

    @property
    def _gap(self) -> int:
        """Between columns."""
        return round(1.5 * self.font_size)

    @property
    def _space(self) -> int:
        """Between a swatch and its name."""
        return self.font_size // 2


def short_name(name: str) -> str:
    """A name for a picture, on one line, its middle left out where it is long."""
    name = name if name.isprintable() else repr(name)[1:-1]
    half = _LONGEST_NAME // 2
    return name if len(name) <= _LONGEST_NAME else f"{name[:half]}…{name[1 - half :]}"

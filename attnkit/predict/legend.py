"""What the colours of a picture mean: a swatch, a name and a share or number for each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, ...]

PAPER: Colour = (255, 255, 255)
_INK, _PALE, _EDGE = (33, 37, 41), (120, 126, 133), (0, 0, 0, 60)
_LONGEST_NAME = 26


@dataclass(frozen=True)
class Entry:
    """One line of a legend."""

    colour: Colour
    name: str
    share: str
    """Or how many; at the right of its column."""


@dataclass(frozen=True)
class Legend:
    """Entries in columns, from top to bottom in each: as many columns as there is room for."""

    entries: Sequence[Entry]
    room: int
    """Pixels of width to fill; one column may need more."""
    text: int
    """Height of the letters, in pixels; everything else is in proportion."""

    def draw(self) -> Image.Image:
        """The legend on white."""
        picture = Image.new("RGB", (self._width, self._height), PAPER)
        pen = ImageDraw.Draw(picture, "RGBA")
        step = (self._width - 2 * self._margin + self._gap) // self._columns
        for number, entry in enumerate(self.entries):
            column, row = divmod(number, self._rows)
            self._draw_entry(pen, entry, self._margin + column * step, self._margin + row * self._line)
        return picture

    def _draw_entry(self, pen: ImageDraw.ImageDraw, entry: Entry, x: int, y: int) -> None:
        middle, side = y + self._line // 2, self.text
        box = (x, middle - side // 2, x + side, middle - side // 2 + side)
        pen.rounded_rectangle(box, radius=max(2, side // 5), fill=entry.colour, outline=_EDGE)
        x += side + self._space
        pen.text((x, middle), short_name(entry.name), fill=_INK, font=self._font, anchor="lm")
        x += self._widest_name + self._gap // 2 + self._widest_share
        pen.text((x, middle), entry.share, fill=_PALE, font=self._font, anchor="rm")

    @cached_property
    def _font(self) -> Any:
        return ImageFont.load_default(self.text)

    @cached_property
    def _widest_name(self) -> int:
        return max(round(self._font.getlength(short_name(entry.name))) for entry in self.entries)

    @cached_property
    def _widest_share(self) -> int:
        return max(round(self._font.getlength(entry.share)) for entry in self.entries)

    @property
    def _entry_width(self) -> int:
        return self.text + self._space + self._widest_name + self._gap // 2 + self._widest_share

    @property
    def _columns(self) -> int:
        """Evenly filled: no more than the rows need."""
        fitting = max(1, (self.room - 2 * self._margin + self._gap) // (self._entry_width + self._gap))
        rows = -(-len(self.entries) // fitting)
        return -(-len(self.entries) // rows)

    @property
    def _rows(self) -> int:
        return -(-len(self.entries) // self._columns)

    @property
    def _width(self) -> int:
        return max(self.room, 2 * self._margin + self._entry_width)

    @property
    def _height(self) -> int:
        return 2 * self._margin + self._rows * self._line

    @property
    def _line(self) -> int:
        return round(1.6 * self.text)

    @property
    def _margin(self) -> int:
        return self.text

    @property
    def _gap(self) -> int:
        """Between columns."""
        return round(1.5 * self.text)

    @property
    def _space(self) -> int:
        """Between a swatch and its name."""
        return self.text // 2


def short_name(name: str) -> str:
    """A name for a picture, on one line, its middle left out where it is long."""
    name = name if name.isprintable() else repr(name)[1:-1]
    half = _LONGEST_NAME // 2
    return name if len(name) <= _LONGEST_NAME else f"{name[:half]}…{name[1 - half :]}"

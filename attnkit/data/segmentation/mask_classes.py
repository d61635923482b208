"""Which class a pixel value of a mask means: by its number, or by its colour."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnkit.data.finding import and_more, listed
from attnkit.data.formats.mask_png import palette
from attnkit.data.images.decode import Values, as_numbers
from attnkit.data.segmentation.named_ids import NamedIds, colours_unknown
from attnkit.data.segmentation.segmentation_set import LabelMap, check_classes
from attnkit.errors import DataError
from attnkit.structures.arrays import IGNORE, ByteArray, IntArray

_LARGEST_ID = 65535
_UNKNOWN = 256
"""In the tables: neither a class nor ignored."""


@dataclass(frozen=True)
class MaskCounts:
    """How many pixels of a mask are of what."""

    per_class: IntArray
    """(K,)"""
    ignored: dict[int, int]
    """Of each value that is ignored."""
    outside: dict[int, int]
    """Of each value that is neither of a class nor ignored."""


class MaskClasses:
    """K classes in the order of their pixel values."""

    def __init__(
        self,
        named: NamedIds,
        *,
        ignore: Iterable[int],
        place: str,
        palette_of_masks: ByteArray | None = None,
    ) -> None:
        """Take the classes.

        Args:
            ignore: pixel values of no class; a name for one of them is left out.
            palette_of_masks: (P, 3), where masks have one: colours by pixel value.

        Raises:
            DataError: there are none, too many, two of one name, or ids that no pixel can have.
        """
        self.ignored = sorted(named.ignored.union(ignore))
        self.ids = sorted(number for number in named.names if number not in self.ignored)
        """The pixel value of each class."""
        self.names = tuple(named.names[number] for number in self.ids)
        check_classes(self.names, place)
        if self.ids[0] < 0 or self.ids[-1] > _LARGEST_ID:
            raise DataError(
                f"{place}: ids from {self.ids[0]} to {self.ids[-1]}; expected 0 to {_LARGEST_ID}, pixel values of 16 "
                "bits; correct the ids"
            )
        self.colours = _own_colours(palette_of_masks, self.ids)
        for row, number in enumerate(self.ids):
            self.colours[row] = named.colours.get(number, self.colours[row])
        self._table = np.full(_LARGEST_ID + 1, _UNKNOWN, dtype=np.uint16)
        self._table[[number for number in self.ignored if number < len(self._table)]] = IGNORE
        self._table[self.ids] = np.arange(len(self.ids))
        self._by_colour = {named.colours[number]: row for row, number in enumerate(self.ids) if number in named.colours}
        self._by_colour |= dict.fromkeys(
            (*named.ignored_colours, *(named.colours[i] for i in self.ignored if i in named.colours)), IGNORE
        )

    def labels(self, values: Values, place: str) -> LabelMap:
        """The label map of a mask.

        Raises:
            DataError: it holds a value or a colour of no class, which is not ignored either.
        """
        values = self._meant(values)
        return self._from_colours(values, place) if values.ndim == 3 else self._from_numbers(values, place)

    def count(self, values: Values, place: str) -> MaskCounts:
        """How many pixels of each class a mask has.

        Raises:
            DataError: it holds a colour of no class.
        """
        values = self._meant(values)
        if values.ndim == 3:
            return counts_of(self._from_colours(values, place), len(self.ids))
        pixels = np.bincount(values.ravel(), minlength=self.ids[-1] + 1)
        there = np.flatnonzero(pixels).tolist()
        ignored = {value: int(pixels[value]) for value in there if self._table[value] == IGNORE}
        outside = {value: int(pixels[value]) for value in there if self._table[value] == _UNKNOWN}
        return MaskCounts(pixels[self.ids], ignored, outside)

    def _meant(self, values: Values) -> Values:
        """A colour image of nothing but greys holds numbers, unless all of these greys are colours of classes."""
        numbers = as_numbers(values)
        if numbers.ndim == 3 or values.ndim == 2:
            return numbers
        return values if all((v, v, v) in self._by_colour for v in np.unique(numbers).tolist()) else numbers

    def _from_numbers(self, values: Values, place: str) -> LabelMap:
        labels = self._table[values]
        if (unknown := labels == _UNKNOWN).any():
            raise unknown_values(np.unique(values[unknown]).tolist(), self.ids, self.ignored, place)
        return labels.astype(np.uint8)

    def _from_colours(self, values: NDArray[Any], place: str) -> LabelMap:
        if not self._by_colour:
            raise colours_unknown(place)
        packed = (values.astype(np.int64) << np.array([16, 8, 0])).sum(-1)
        colours, where = np.unique(packed, return_inverse=True)
        rows = [self._by_colour.get((c >> 16, c >> 8 & 255, c & 255), _UNKNOWN) for c in colours.tolist()]
        if _UNKNOWN in rows:
            first = int(colours[rows.index(_UNKNOWN)])
            y, x = np.argwhere(packed == first)[0].tolist()
            raise DataError(
                f"{place}: colour {(first >> 16, first >> 8 & 255, first & 255)} at x {x}, y {y} is of no "
                f"class{and_more(rows.count(_UNKNOWN))}; expected the {len(self._by_colour)} colours of data.classes; "
                "add it there, or fix the mask"
            )
        return np.array(rows, dtype=np.uint8)[where].reshape(packed.shape)


def counts_of(labels: LabelMap, num_classes: int) -> MaskCounts:
    """The counts of a label map."""
    pixels = np.bincount(labels.ravel(), minlength=IGNORE + 1)
    return MaskCounts(pixels[:num_classes], {IGNORE: int(pixels[IGNORE])} if pixels[IGNORE] else {}, {})


def unknown_values(unknown: list[int], ids: list[int], ignored: list[int], place: str) -> DataError:
    """The error of pixel values outside the classes."""
    noun = "value" if len(unknown) == 1 else "values"
    return DataError(
        f"{place}: pixel {noun} {listed(unknown)} of no class; expected {_ranges(ids)}, or {listed(ignored)} to be "
        "ignored; fix the mask, or add to data.classes or data.ignore"
    )


def _own_colours(of_masks: ByteArray | None, ids: list[int]) -> ByteArray:
    """The colours that a palette of masks has for the classes, if they are distinct and more than greys."""
    if of_masks is not None and ids[-1] < len(of_masks):
        colours = of_masks[ids]
        if len(np.unique(colours, axis=0)) == len(ids) and (colours != colours[:, :1]).any():
            return colours
    return palette(len(ids))


def _ranges(ids: list[int]) -> str:
    """0..10, or the numbers where there are gaps."""
    return f"{ids[0]}..{ids[-1]}" if len(ids) > 1 and ids[-1] - ids[0] == len(ids) - 1 else listed(ids)

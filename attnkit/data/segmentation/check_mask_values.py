"""The part of the data check that looks for pixel values of no class in files of masks."""

from __future__ import annotations

import numpy as np

from attnkit.data.config import Split
from attnkit.data.finding import Finding, listed
from attnkit.data.segmentation.mask_classes import MaskCounts
from attnkit.data.segmentation.mask_files import MaskFiles
from attnkit.data.segmentation.named_ids import WHITE, black_and_white
from attnkit.data.segmentation.segmentation_set import SegmentationSet

_GREYS = 20
"""So many values outside the classes between black and white: a mask that was resized as photographs are."""


class OutsideValues:
    """Collects, mask by mask, the values that are neither of a class nor ignored."""

    def __init__(self, split: Split, images: SegmentationSet) -> None:
        """Take what the masks belong to."""
        self._split, self._images = split, images
        self._first: dict[int, int] = {}
        """The first image of each value."""
        self._masks: dict[int, int] = {}
        self._wrong_masks = 0
        self._white: list[int] = []
        """Images whose masks hold 0 and an ignored 255 alone."""
        self._known: set[int] = set()
        """Values of classes and ignored ones that are there."""

    def add(self, index: int, counts: MaskCounts) -> None:
        """Take the counts of one mask."""
        for value in counts.outside:
            self._first.setdefault(value, index)
            self._masks[value] = self._masks.get(value, 0) + 1
        self._wrong_masks += bool(counts.outside)
        self._known.update(counts.ignored)
        if isinstance(self._images, MaskFiles):
            there = np.array(self._images.classes.ids)[counts.per_class > 0].tolist()
            self._known.update(there)
            if there == [0] and counts.ignored.keys() == {WHITE} and not counts.outside:
                self._white.append(index)

    def findings(self) -> list[Finding]:
        """What was found, after the last mask."""
        if not isinstance(self._images, MaskFiles):
            return []
        classes = self._images.classes
        if self._split == "train" and self._known == {0, WHITE} and WHITE in classes.ignored and not self._masks:
            return [Finding.from_error(str(black_and_white(f"data.{self._split}", [0, WHITE])))]
        if not self._masks:
            return self._some_white()
        values = sorted(self._masks)
        place = self._images.mask_place(self._first[values[0]])
        what = f"pixel value{'s' * (len(values) > 1)} {_numbers(values)} of no class"
        what += f", in {self._wrong_masks} masks" if self._wrong_masks > 1 else ""
        why = f"expected {_numbers(classes.ids)}, or {_numbers(classes.ignored)} to be ignored"
        return [Finding("error", place, what, why, self._fix(values)), *self._some_white()]

    def _some_white(self) -> list[Finding]:
        """Masks to be looked at among those of class ids: their objects are taken for no class."""
        if not self._white:
            return []
        more = f", as are {len(self._white) - 1} more" if len(self._white) > 1 else ""
        what = f"its pixels are 0 and {WHITE} alone{more}, and {WHITE} is ignored"
        why = "expected the ids of what is there"
        fix = "make it anew if its objects are white; nothing is wrong if there are none"
        return [Finding("warning", self._images.mask_place(self._white[0]), what, why, fix)]

    def _fix(self, values: list[int]) -> str:
        if values == [WHITE]:
            return (
                "if the masks are black and white, say what that means: data.classes={0: background, 255: object} and "
                "data.ignore=[]; if 255 is of no class, data.ignore=[255]"
            )
        if len(values) >= _GREYS:
            return (
                "if the masks were resized or saved as JPEG, make them anew, resized to the nearest pixel and as PNG; "
                "else add to data.classes"
            )
        return "add to data.classes or data.ignore, or fix the masks"


def _numbers(numbers: list[int]) -> str:
    return listed([str(number) for number in numbers])

"""Images in one of several sizes, whole or a part of them.

Source: Carion et al. 2020, DETR, arXiv:2005.12872, section 4; with the same numbers Swin's detectors were trained.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from attnkit.data.detection.config import CropBranchConfig
from attnkit.data.detection.image_sizes import brought_to, padded
from attnkit.data.detection.resizing import Resizing, Views, drawn_number, window_before
from attnkit.structures.arrays import FloatArray, IntArray


@dataclass(frozen=True)
class MultiScale(Resizing):
    """One of several shorter sides.

    Attributes:
        short_sides: in pixels, all alike in probability.
        long_side: most that the longer side may become.
        crop_branch: how a part is cut out first; None: never.
    """

    short_sides: tuple[int, ...]
    long_side: int
    crop_branch: CropBranchConfig | None = None

    def views(self, sizes: IntArray, chances: FloatArray) -> Views:
        """Draw a part or take the whole, then draw its size."""
        windows, seen = np.concatenate([np.zeros_like(sizes), sizes[:, ::-1]], axis=1), sizes
        if self.crop_branch is not None:
            is_cut = chances[:, :1] < self.crop_branch.probability
            parts, sides = self._parts(self.crop_branch, sizes, chances)
            windows, seen = np.where(is_cut, parts, windows), np.where(is_cut, sides, seen)
        return Views(windows, brought_to(seen, _one_of(self.short_sides, chances[:, 6]), self.long_side))

    def most_pixels(self, sizes: IntArray) -> IntArray:
        """Of the whole, and of the parts that fill the most, with the largest shorter side."""
        largest = max(self.short_sides)
        shapes: list[IntArray | FloatArray] = [sizes]
        if self.crop_branch is not None:
            for side in self.crop_branch.short_sides:
                shapes += self._fullest(*self._bounds(self.crop_branch, brought_to(sizes, side, self.long_side)))
        pixels = [padded(brought_to(shape, largest, self.long_side)).prod(1) for shape in shapes]
        most: IntArray = np.max(pixels, axis=0)
        return most

    def _parts(self, branch: CropBranchConfig, sizes: IntArray, chances: FloatArray) -> tuple[IntArray, IntArray]:
        """(N, 4) cut out of the image, and (N, 2) their sides where it has a middling size."""
        middling = brought_to(sizes, _one_of(branch.short_sides, chances[:, 1]), self.long_side)
        least, most = self._bounds(branch, middling)
        sides = least + drawn_number(chances[:, 2:4], most - least + 1)
        starts = drawn_number(chances[:, 4:6], middling - sides + 1)
        return window_before(starts, sides, middling, sizes), sides

    def _bounds(self, branch: CropBranchConfig, middling: IntArray) -> tuple[IntArray, IntArray]:
        """(N, 2) least and most sides of a part."""
        return np.minimum(middling, branch.crop[0]), np.minimum(middling, branch.crop[1])

    def _fullest(self, least: IntArray, most: IntArray) -> list[FloatArray]:
        """Of wide and of high parts the shape (N, 2) that fills the most: as near as can be to both bounds at once."""
        ratio, one = self.long_side / max(self.short_sides), np.ones(len(least))
        wide = np.clip(ratio, least[:, 1] / most[:, 0], most[:, 1] / least[:, 0])
        high = np.clip(ratio, least[:, 0] / most[:, 1], most[:, 0] / least[:, 1])
        return [np.stack([one, wide], axis=1), np.stack([high, one], axis=1)]


def _one_of(sides: tuple[int, ...], chances: FloatArray) -> IntArray:
    return np.array(sides)[drawn_number(chances, len(sides))]

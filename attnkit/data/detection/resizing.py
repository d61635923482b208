"""Sizes of the images that a detector is shown, and how they are drawn in training: before any image is decoded.

Sizes are (height, width) in pixels. What is drawn for an image is a part of it, and the size that the part is brought
to, for many images at once.

Sources: Carion et al. 2020, DETR, arXiv:2005.12872, section 4, for several scales; with the same numbers Swin's
detectors were trained. Ghiasi et al. 2020, Simple copy-paste, arXiv:2012.07177, section 3, for large-scale jitter.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from attnkit.data.detection.config import CropBranchConfig, DetectionImageConfig
from attnkit.structures.arrays import FloatArray, IntArray, Size

STRIDE = 32
"""Pixels per cell of a backbone's last map."""
NUM_UNIFORMS = 7
"""Random numbers from 0 up to 1 that are drawn for an image."""


def padded(sizes: IntArray) -> IntArray:
    """Sides, of any shape, with what is added to make them multiples of STRIDE."""
    return -(-sizes // STRIDE) * STRIDE


def brought_to(sizes: IntArray | FloatArray, short_sides: IntArray | int, long_side: int) -> IntArray:
    """The sizes (N, 2) that images are brought to, their ratios kept.

    Args:
        sizes: (N, 2) of the images; only their ratios count.
        short_sides: the shorter side, or (N,) those of each.
        long_side: most that the longer side may become; the shorter one is smaller then.
    """
    scales = np.minimum(short_sides / sizes.min(1), long_side / sizes.max(1))
    return rounded(sizes * scales[:, None])


def rounded(sizes: FloatArray) -> IntArray:
    """To whole pixels, halves up; at least one."""
    return np.maximum(1, (sizes + 0.5).astype(np.int64))


def detection_size(size: Size, image: DetectionImageConfig) -> Size:
    """The size that an image is brought to when it is not varied."""
    height, width = brought_to(np.array([size]), image.short_side, image.long_side)[0].tolist()
    return height, width


class Crops(NamedTuple):
    """What is shown of N images."""

    windows: IntArray
    """(N, 4) x1 y1 x2 y2 of a part, in the image's pixels."""
    sizes: IntArray
    """(N, 2) what the part is brought to."""


class Resizing(ABC):
    """A way to crop and resize at random."""

    @abstractmethod
    def draw(self, sizes: IntArray, uniforms: FloatArray) -> Crops:
        """Choose what is shown of N images.

        Args:
            sizes: (N, 2) of the images.
            uniforms: (N, NUM_UNIFORMS) random numbers, which decide.
        """

    def padded(self, shown: IntArray) -> IntArray:
        """(N, 2) what crops of these sizes (N, 2) are padded to, each for itself."""
        return padded(shown)

    @abstractmethod
    def most_pixels(self, sizes: IntArray) -> IntArray:
        """(N,) the most that each of N images may have when it is shown, with its padding; `sizes` are (N, 2)."""


@dataclass(frozen=True)
class MultiScale(Resizing):
    """Images in one of several sizes, whole or a part of them.

    Attributes:
        short_sides: in pixels, all alike in probability.
        long_side: most that the longer side may become.
        crop_branch: how a part is cut out first; None: never.
    """

    short_sides: tuple[int, ...]
    long_side: int
    crop_branch: CropBranchConfig | None = None

    def draw(self, sizes: IntArray, uniforms: FloatArray) -> Crops:
        """Draw a part or take the whole, then draw its size."""
        windows, shown = np.concatenate([np.zeros_like(sizes), sizes[:, ::-1]], axis=1), sizes
        if self.crop_branch is not None:
            is_cut = uniforms[:, :1] < self.crop_branch.probability
            parts, sides = self._parts(self.crop_branch, sizes, uniforms)
            windows, shown = np.where(is_cut, parts, windows), np.where(is_cut, sides, shown)
        return Crops(
            windows,
            brought_to(
                shown, np.array(self.short_sides)[_integers(uniforms[:, 6], len(self.short_sides))], self.long_side
            ),
        )

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

    def _parts(self, branch: CropBranchConfig, sizes: IntArray, uniforms: FloatArray) -> tuple[IntArray, IntArray]:
        """(N, 4) cut out of the image, and (N, 2) their sides where it has a middling size."""
        middling = brought_to(
            sizes, np.array(branch.short_sides)[_integers(uniforms[:, 1], len(branch.short_sides))], self.long_side
        )
        least, most = self._bounds(branch, middling)
        sides = least + _integers(uniforms[:, 2:4], most - least + 1)
        starts = _integers(uniforms[:, 4:6], middling - sides + 1)
        return window_in_original(starts, sides, middling, sizes), sides

    def _bounds(self, branch: CropBranchConfig, middling: IntArray) -> tuple[IntArray, IntArray]:
        """(N, 2) least and most sides of a part."""
        return np.minimum(middling, branch.crop[0]), np.minimum(middling, branch.crop[1])

    def _fullest(self, least: IntArray, most: IntArray) -> list[FloatArray]:
        """Of wide and of high parts the shape (N, 2) that fills the most: as near as can be to both bounds at once."""
        ratio, one = self.long_side / max(self.short_sides), np.ones(len(least))
        wide = np.clip(ratio, least[:, 1] / most[:, 0], most[:, 1] / least[:, 0])
        high = np.clip(ratio, least[:, 0] / most[:, 1], most[:, 0] / least[:, 1])
        return [np.stack([one, wide], axis=1), np.stack([high, one], axis=1)]


@dataclass(frozen=True)
class LargeScaleJitter(Resizing):
    """Images much smaller or larger than they are, cut at any place or padded to a square.

    Attributes:
        scale: least and largest factor; 1 brings the longer side to that of the square.
        size: the side of the square, in pixels.
    """

    scale: tuple[float, float]
    size: int

    def draw(self, sizes: IntArray, uniforms: FloatArray) -> Crops:
        """Draw a factor, then a part where there is too much."""
        low, high = self.scale
        longer = self.size * (low + (high - low) * uniforms[:, 0])
        resized = rounded(sizes * (longer / sizes.max(1))[:, None])
        sides = np.minimum(resized, self.size)
        starts = _integers(uniforms[:, 4:6], resized - sides + 1)
        return Crops(window_in_original(starts, sides, resized, sizes), sides)

    def padded(self, shown: IntArray) -> IntArray:
        """The square."""
        return np.full_like(shown, padded(np.array(self.size)))

    def most_pixels(self, sizes: IntArray) -> IntArray:
        """Those of the square."""
        return self.padded(sizes).prod(1)


def _integers(uniforms: FloatArray, counts: IntArray | int) -> IntArray:
    """Integers below each count, all alike in probability; counts and uniforms are of one shape."""
    return (uniforms * counts).astype(np.int64)


def window_in_original(starts: IntArray, sides: IntArray, resized: IntArray, sizes: IntArray) -> IntArray:
    """Where a part of a resized image lies in the image itself, to the nearest pixel.

    So a part is resized once, from the image's own pixels, though it was chosen in another size.

    Args:
        starts: (N, 2) its first row and column, in the resized image.
        sides: (N, 2) its height and width there.
        resized: (N, 2) size of the resized image.
        sizes: (N, 2) of the image itself.

    Returns:
        (N, 4) x1 y1 x2 y2, at least a pixel wide and high.
    """
    scales = sizes / resized
    first = np.minimum((starts * scales + 0.5).astype(np.int64), sizes - 1)
    last = np.maximum(((starts + sides) * scales + 0.5).astype(np.int64), first + 1)
    return np.concatenate([first[:, ::-1], last[:, ::-1]], axis=1)

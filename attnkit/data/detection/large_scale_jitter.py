"""Images much smaller or larger than they are, cut or padded to a square.

Source: Ghiasi et al. 2020, Simple copy-paste, arXiv:2012.07177, section 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from attnkit.data.detection.image_sizes import padded, rounded
from attnkit.data.detection.resizing import Resizing, Views, drawn_number, window_before
from attnkit.structures.arrays import FloatArray, IntArray


@dataclass(frozen=True)
class LargeScaleJitter(Resizing):
    """A factor from a range; what is too large is cut at any place, what is too small lies at the top left.

    Attributes:
        scale: least and largest factor; 1 brings the longer side to that of the square.
        size: side of the square, in pixels.
    """

    scale: tuple[float, float]
    size: int

    def views(self, sizes: IntArray, chances: FloatArray) -> Views:
        """Draw a factor, then a part where there is too much."""
        low, high = self.scale
        longer = self.size * (low + (high - low) * chances[:, 0])
        resized = rounded(sizes * (longer / sizes.max(1))[:, None])
        sides = np.minimum(resized, self.size)
        starts = drawn_number(chances[:, 4:6], resized - sides + 1)
        return Views(window_before(starts, sides, resized, sizes), sides)

    def padded(self, shown: IntArray) -> IntArray:
        """The square."""
        return np.full_like(shown, padded(np.array(self.size)))

    def most_pixels(self, sizes: IntArray) -> IntArray:
        """Those of the square."""
        return self.padded(sizes).prod(1)

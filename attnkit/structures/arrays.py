"""Types of arrays and sizes, and the label of no class: what data, models and metrics call by one name."""

import numpy as np
from numpy.typing import NDArray

BoolArray = NDArray[np.bool_]
ByteArray = NDArray[np.uint8]
IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
Size = tuple[int, int]
"""Height and width, in pixels."""
IGNORE = 255
"""In every label map: a pixel of no class, neither learned nor scored."""

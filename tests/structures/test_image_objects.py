import numpy as np
import pytest
from pycocotools import mask

from attnkit.structures.image_objects import ImageFound, areas_of


@pytest.mark.parametrize("count", [0, 2, 255, 256, 700])
def test_areas_of_any_number_of_masks(count):
    """pycocotools itself goes wrong over more than 255 of them."""
    sides = np.arange(count) % 7 + 1
    pixels = np.zeros((9, 8, count), dtype=np.uint8, order="F")
    for number, side in enumerate(sides):
        pixels[:side, :side, number] = 1
    found = ImageFound(
        xywh=np.zeros((count, 4)),
        labels=np.zeros(count, dtype=np.int64),
        scores=np.zeros(count),
        rles=mask.encode(pixels),
    )
    rows = np.arange(count)[::-1]
    assert areas_of(found, rows, "mask").tolist() == (sides[::-1] ** 2.0).tolist()

import numpy as np
import pytest

from attnkit.data.detection.config import DetectionImageConfig
from attnkit.data.detection.image_sizes import brought_to, object_size, padded


@pytest.mark.parametrize(
    ("size", "sides", "expected"),
    [
        ((480, 640), (800, 1333), (800, 1067)),  # 1066.7
        ((640, 480), (800, 1333), (1067, 800)),
        ((427, 640), (800, 1333), (800, 1199)),
        ((375, 1242), (800, 1333), (402, 1333)),  # 402.5 less a little
        ((1600, 1600), (800, 1333), (800, 800)),
        ((31, 47), (64, 128), (64, 97)),
        ((1, 900), (800, 90), (1, 90)),
    ],
)
def test_by_hand(size, sides, expected):
    image = DetectionImageConfig(short_side=max(16, sides[0]), long_side=sides[1])
    assert object_size(size, image) == expected
    assert brought_to(np.array([(7, 7), size]), np.array([21, sides[0]]), sides[1]).tolist() == [[21, 21], [*expected]]


def test_sides_become_multiples_of_32():
    assert padded(np.array([[1, 32], [33, 800], [1333, 1344]])).tolist() == [[32, 32], [64, 800], [1344, 1344]]

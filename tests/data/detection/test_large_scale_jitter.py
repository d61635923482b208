import numpy as np

from attnkit.data.detection.large_scale_jitter import LargeScaleJitter
from attnkit.data.detection.resizing import CHANCES
from attnkit.data.images.image_randomness import uniforms

JITTER = LargeScaleJitter((0.1, 2.0), 500)


def many(size, count=3000):
    return JITTER.views(np.tile(np.array([size]), (count, 1)), uniforms(np.arange(count, dtype=np.uint64), CHANCES))


def drawn(scale, top=0.0, left=0.0):
    return np.array([[scale, 0, 0, 0, top, left, 0]])


def test_small_by_hand():
    """A factor of 0.1 + 1.9 / 2: the longer side is 525 at 0.5, and 50 at 0."""
    views = JITTER.views(np.array([(30, 50)]), drawn(0.0))
    assert (views.windows.tolist(), views.sizes.tolist()) == ([[0, 0, 50, 30]], [[30, 50]])
    views = JITTER.views(np.array([(20, 50)]), drawn(0.5, left=0.999))
    assert (views.windows.tolist(), views.sizes.tolist()) == ([[2, 0, 50, 20]], [[210, 500]])


def test_large_by_hand():
    """A factor of 1.81 brings 100 x 200 to 453 x 905: all rows; of the columns 101 to 601, which were 22.3 to 132.8."""
    views = JITTER.views(np.array([(100, 200)]), drawn(0.9, 0.9, 0.25))
    assert (views.windows.tolist(), views.sizes.tolist()) == ([[22, 0, 133, 100]], [[453, 500]])


def test_factors_come_from_all_of_the_range():
    windows, sizes = many((100, 100))
    factors = sizes[:, 0] / (windows[:, 3] - windows[:, 1]) / 5
    assert (factors.min() < 0.11, factors.max() > 1.97) == (True, True)
    assert 1.0 < factors.mean() < 1.1
    assert sizes.max() == 500


def test_parts_come_from_all_places():
    windows, _ = many((100, 100))
    assert windows.min(0).tolist()[:2] == [0, 0]
    assert windows.max(0).tolist()[2:] == [100, 100]
    assert windows[:, :2].max() >= 48


def test_all_are_padded_to_the_square():
    _, sizes = many((30, 70), 5)
    assert JITTER.padded(sizes).tolist() == [[512, 512]] * 5
    assert JITTER.most_pixels(np.array([(30, 70), (7, 9)])).tolist() == [512 * 512] * 2

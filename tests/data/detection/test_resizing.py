"""Sizes that images are brought to, and those that are drawn for them: worked out by hand, and never outside."""

import numpy as np
import pytest

from attnkit.data.detection.config import CropBranchConfig, DetectionImageConfig
from attnkit.data.detection.resizing import (
    NUM_UNIFORMS,
    LargeScaleJitter,
    MultiScale,
    brought_to,
    detection_size,
    padded,
    window_in_original,
)
from attnkit.data.images.image_randomness import uniforms

SIZES = np.array([(480, 640), (375, 500), (900, 300), (20, 31)])
SIDES = (480, 640, 800)
CROPS = MultiScale(SIDES, 1333, CropBranchConfig(probability=0.3))
JITTER = LargeScaleJitter((0.1, 2.0), 500)


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
def test_sizes_by_hand(size, sides, expected):
    image = DetectionImageConfig(short_side=max(16, sides[0]), long_side=sides[1])
    assert detection_size(size, image) == expected
    assert brought_to(np.array([(7, 7), size]), np.array([21, sides[0]]), sides[1]).tolist() == [[21, 21], [*expected]]


def test_sides_become_multiples_of_32():
    assert padded(np.array([[1, 32], [33, 800], [1333, 1344]])).tolist() == [[32, 32], [64, 800], [1344, 1344]]


# Several scales


def numbers(count, seed=0):
    return uniforms(np.arange(count, dtype=np.uint64) + np.uint64(seed), NUM_UNIFORMS)


def many(resizing, size, count=600):
    """(count, 4) windows and (count, 2) sizes of one image."""
    return resizing.draw(np.tile(np.array([size]), (count, 1)), numbers(count))


def shapes_of(windows):
    return (windows[:, 2:] - windows[:, :2])[:, ::-1]


class TestWhole:
    def test_each_side_as_often_as_the_others(self):
        windows, sizes = many(MultiScale(SIDES, 1333), (480, 640))
        assert (windows == [0, 0, 640, 480]).all()
        found, counts = np.unique(sizes, axis=0, return_counts=True)
        assert found.tolist() == [[480, 640], [640, 853], [800, 1067]]
        assert counts.min() > 160

    def test_the_longer_side_is_bounded(self):
        _, sizes = many(MultiScale(SIDES, 1333), (900, 300))
        assert np.unique(sizes, axis=0).tolist() == [[1333, 444]]

    def test_images_are_drawn_for_by_themselves(self):
        windows, sizes = CROPS.draw(SIZES, numbers(4))
        for row in range(4):
            alone = CROPS.draw(SIZES[row : row + 1], numbers(4)[row : row + 1])
            assert alone.windows.tolist() == windows[row : row + 1].tolist()
            assert alone.sizes.tolist() == sizes[row : row + 1].tolist()


class TestParts:
    def test_by_hand(self):
        """To 400 x 600, of which 384 + 8 (half of 17 numbers) rows and 384 + 162 (three quarters of 217) columns are
        taken, from row 4 (half of 9) and column 13 (a quarter of 55) on; half as large in the image itself.
        """
        drawn = np.array([[0.1, 0.0, 0.5, 0.75, 0.5, 0.25, 0.99]])
        crops = CROPS.draw(np.array([(200, 300)]), drawn)
        assert crops.windows.tolist() == [[7, 2, 280, 198]]  # 6.5 is rounded up, 279.5 too
        assert crops.sizes.tolist() == [[800, 1114]]  # 392 to 546

    def test_as_often_as_they_should_be(self):
        windows, _ = many(CROPS, (480, 640), 2000)
        assert 0.26 < (windows != [0, 0, 640, 480]).any(1).mean() < 0.34

    def test_sides_of_the_part_and_every_place(self):
        """In an image whose middling sizes are one and itself."""
        always = MultiScale(SIDES, 1333, CropBranchConfig(probability=1.0, short_sides=(480,), crop=(384, 600)))
        windows, sizes = many(always, (480, 640), 4000)
        parts = shapes_of(windows)
        assert (parts.min(0).tolist(), parts.max(0).tolist()) == ([384, 384], [480, 600])
        assert windows.min(0).tolist()[:2] == [0, 0]
        assert (windows[:, 2:].min(0) < [400, 400]).all()
        assert windows.max(0).tolist()[2:] == [640, 480]
        assert (windows[:, 0].max(), windows[:, 1].max()) > (230, 90)
        assert (sizes == brought_to(parts, sizes.min(1), 1333)).all()
        assert set(sizes.min(1).tolist()) == set(SIDES)

    def test_small_images_are_never_left(self):
        windows, sizes = many(CROPS, (3, 5))
        parts = shapes_of(windows)
        assert (windows.min(0).tolist()[:2], windows.max(0).tolist()[2:]) == ([0, 0], [5, 3])
        assert parts.min() >= 1
        assert sizes.max() <= 1333


class TestMostPixels:
    BRANCHES = (
        None,
        CropBranchConfig(probability=0.3),
        CropBranchConfig(probability=0.9, short_sides=(100, 600)),
        CropBranchConfig(probability=0.9, crop=(100, 900)),
    )

    @pytest.mark.parametrize("size", [*SIZES.tolist(), [8000, 500]])
    @pytest.mark.parametrize("crops", BRANCHES)
    @pytest.mark.parametrize("long_side", [1000, 1333])
    def test_no_crop_has_more_and_some_nearly_as_many(self, size, crops, long_side):
        resizing = MultiScale(SIDES, long_side, crops)
        _, sizes = many(resizing, size, 4000)
        (most,) = resizing.most_pixels(np.array([size]))
        pixels = padded(sizes).prod(1)
        assert pixels.max() <= most
        assert pixels.max() > (0.85 * most if crops else 0.999 * most)


def test_a_part_in_the_image_itself():
    """Of sides 10 and 40 shown as 5 and 80: rows 1 to 4 are 2 to 8, columns 3 to 8 are 1.5 to 4."""
    arrays = [np.array([pair]) for pair in ((1, 3), (3, 5), (5, 80), (10, 40))]
    assert window_in_original(*arrays).tolist() == [[2, 2, 4, 8]]
    arrays = [np.array([pair]) for pair in ((4, 79), (1, 1), (5, 80), (2, 3))]  # less than a pixel
    assert window_in_original(*arrays).tolist() == [[2, 1, 3, 2]]


# Large-scale jitter


def many_jittered(size, count=3000):
    return JITTER.draw(np.tile(np.array([size]), (count, 1)), uniforms(np.arange(count, dtype=np.uint64), NUM_UNIFORMS))


def jittered_by(scale, top=0.0, left=0.0):
    return np.array([[scale, 0, 0, 0, top, left, 0]])


def test_small_by_hand():
    """A factor of 0.1 + 1.9 / 2: the longer side is 525 at 0.5, and 50 at 0."""
    crops = JITTER.draw(np.array([(30, 50)]), jittered_by(0.0))
    assert (crops.windows.tolist(), crops.sizes.tolist()) == ([[0, 0, 50, 30]], [[30, 50]])
    crops = JITTER.draw(np.array([(20, 50)]), jittered_by(0.5, left=0.999))
    assert (crops.windows.tolist(), crops.sizes.tolist()) == ([[2, 0, 50, 20]], [[210, 500]])


def test_large_by_hand():
    """A factor of 1.81 brings 100 x 200 to 453 x 905: all rows; of the columns 101 to 601, which were 22.3 to 132.8."""
    crops = JITTER.draw(np.array([(100, 200)]), jittered_by(0.9, 0.9, 0.25))
    assert (crops.windows.tolist(), crops.sizes.tolist()) == ([[22, 0, 133, 100]], [[453, 500]])


def test_factors_come_from_all_of_the_range():
    windows, sizes = many_jittered((100, 100))
    factors = sizes[:, 0] / (windows[:, 3] - windows[:, 1]) / 5
    assert (factors.min() < 0.11, factors.max() > 1.97) == (True, True)
    assert 1.0 < factors.mean() < 1.1
    assert sizes.max() == 500


def test_parts_come_from_all_places():
    windows, _ = many_jittered((100, 100))
    assert windows.min(0).tolist()[:2] == [0, 0]
    assert windows.max(0).tolist()[2:] == [100, 100]
    assert windows[:, :2].max() >= 48


def test_all_are_padded_to_the_square():
    _, sizes = many_jittered((30, 70), 5)
    assert JITTER.padded(sizes).tolist() == [[512, 512]] * 5
    assert JITTER.most_pixels(np.array([(30, 70), (7, 9)])).tolist() == [512 * 512] * 2

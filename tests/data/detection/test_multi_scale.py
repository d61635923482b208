import numpy as np
import pytest

from attnkit.data.detection.config import CropBranchConfig
from attnkit.data.detection.image_sizes import brought_to, padded
from attnkit.data.detection.multi_scale import MultiScale
from attnkit.data.detection.resizing import CHANCES, window_before
from attnkit.data.images.image_randomness import uniforms

SIZES = np.array([(480, 640), (375, 500), (900, 300), (20, 31)])
SIDES = (480, 640, 800)
CROPS = MultiScale(SIDES, 1333, CropBranchConfig(probability=0.3))


def chances(count, seed=0):
    return uniforms(np.arange(count, dtype=np.uint64) + np.uint64(seed), CHANCES)


def many(resizing, size, count=600):
    """(count, 4) windows and (count, 2) sizes of one image."""
    return resizing.views(np.tile(np.array([size]), (count, 1)), chances(count))


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
        windows, sizes = CROPS.views(SIZES, chances(4))
        for row in range(4):
            alone = CROPS.views(SIZES[row : row + 1], chances(4)[row : row + 1])
            assert alone.windows.tolist() == windows[row : row + 1].tolist()
            assert alone.sizes.tolist() == sizes[row : row + 1].tolist()


class TestParts:
    def test_by_hand(self):
        """To 400 x 600, of which 384 + 8 (half of 17 numbers) rows and 384 + 162 (three quarters of 217) columns are
        taken, from row 4 (half of 9) and column 13 (a quarter of 55) on; half as large in the image itself.
        """
        drawn = np.array([[0.1, 0.0, 0.5, 0.75, 0.5, 0.25, 0.99]])
        views = CROPS.views(np.array([(200, 300)]), drawn)
        assert views.windows.tolist() == [[7, 2, 280, 198]]  # 6.5 is rounded up, 279.5 too
        assert views.sizes.tolist() == [[800, 1114]]  # 392 to 546

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
    def test_no_view_has_more_and_some_nearly_as_many(self, size, crops, long_side):
        resizing = MultiScale(SIDES, long_side, crops)
        _, sizes = many(resizing, size, 4000)
        (most,) = resizing.most_pixels(np.array([size]))
        pixels = padded(sizes).prod(1)
        assert pixels.max() <= most
        assert pixels.max() > (0.85 * most if crops else 0.999 * most)


def test_a_part_in_the_image_itself():
    """Of sides 10 and 40 shown as 5 and 80: rows 1 to 4 are 2 to 8, columns 3 to 8 are 1.5 to 4."""
    arrays = [np.array([pair]) for pair in ((1, 3), (3, 5), (5, 80), (10, 40))]
    assert window_before(*arrays).tolist() == [[2, 2, 4, 8]]
    arrays = [np.array([pair]) for pair in ((4, 79), (1, 1), (5, 80), (2, 3))]  # less than a pixel
    assert window_before(*arrays).tolist() == [[2, 1, 3, 2]]

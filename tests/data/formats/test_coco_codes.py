import numpy as np
import pytest
from pycocotools import mask as rle

from attnkit.data.formats.coco_codes import are_masks, code_of, is_outline, runs_of, short_polygon
from attnkit.structures.masks import Masks

H, W = 5, 7
INSIDE = np.zeros((H, W), dtype=np.uint8)
INSIDE[1:4, 2:6] = 1
CODE = rle.encode(np.asfortranarray(INSIDE))["counts"]
RUNS = [11, 3, 2, 3, 2, 3, 2, 3, 6]
SEGMENTATIONS = [
    [[2, 1, 6, 1, 6, 4, 2, 4]],
    [[2, 1, 4, 1, 4, 4, 2, 4], [4, 1, 6, 1, 6, 4, 4, 4], [0, 0, 1, 1]],
    {"size": [H, W], "counts": RUNS},
    {"size": [H, W], "counts": CODE},
    {"size": (H, W), "counts": CODE.decode()},
]


def drawn(code):
    """Of a 7 x 5 image."""
    return Masks.from_rle([code], (H, W)).bitmap(0).numpy()


@pytest.mark.parametrize("segmentation", SEGMENTATIONS)
def test_every_kind_is_one_code(segmentation):
    code = code_of(segmentation, H, W)
    assert list(code["size"]) == [H, W]
    assert isinstance(code["counts"], bytes | str)
    assert np.array_equal(drawn(code), INSIDE)
    assert runs_of(segmentation, H, W).tolist() == RUNS


@pytest.mark.parametrize("segmentation", [None, [], [[]], [[1, 1, 2, 2]]])
def test_no_outline_covers_nothing(segmentation):
    assert not drawn(code_of(segmentation, H, W)).any()


def test_polygons_are_cut_off_at_the_edge():
    code = code_of([[-3, -2, 4, -2, 4, 30, -3, 30]], H, W)
    assert np.array_equal(drawn(code), np.arange(W) < np.full((H, 1), 4))


@pytest.mark.parametrize(
    ("segmentation", "what"),
    [
        ({"size": [W, H], "counts": RUNS}, r"its size is \[7, 5\]"),
        ({"size": [H, W], "counts": [34]}, "its runs cover 34 pixels"),
        ({"size": [H, W], "counts": [30, -1, 6]}, "its runs cover 35 pixels"),
        ({"size": [H, W], "counts": "3"}, "its runs cover 3 pixels"),
        ([[0, 0, 2e6, 0, 0, 3]], "a coordinate is not within 1000000 pixels"),
        ([[0, 0, float("nan"), 0, 0, 3]], "a coordinate is not within 1000000 pixels"),
        ([[0, 0, 10**400, 0, 0, 3]], "a coordinate is not within 1000000 pixels"),
        ({"size": [H, W], "counts": [10**30]}, "a run has over 64 bits"),
        ({"size": [H, W], "counts": [2**62, 2**62, 2**62, 2**62, 35]}, f"its runs cover {2**64 + 35} pixels"),
    ],
)
def test_codes_that_are_broken(segmentation, what):
    for read in (runs_of, code_of):
        with pytest.raises(ValueError, match=what):
            read(segmentation, H, W)


def test_a_missing_one_has_no_runs():
    with pytest.raises(ValueError, match="there is none"):
        runs_of(None, H, W)


def test_what_stands_for_none():
    nothing = (None, [], [[]], [[1, 1, 2, 2]], [[1, 1, 2, 2, 3], []])
    assert [is_outline(one) for one in nothing] == [False] * 5
    assert [short_polygon(one) for one in nothing] == [0, 0, 0, 4, 5]


def test_what_does_not():
    something = (*SEGMENTATIONS, [1, 1, 6, 1, 6, 4], 3)
    assert [is_outline(one) for one in something] == [True] * 7
    assert [short_polygon(one) for one in something] == [0] * 7


@pytest.mark.parametrize(
    ("outlined", "objects", "expected"), [(0, 0, False), (0, 3, False), (9, 10, True), (8, 9, False), (3, 3, True)]
)
def test_nine_tenths_make_masks(outlined, objects, expected):
    assert are_masks(outlined, objects) == expected

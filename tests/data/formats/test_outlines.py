"""Polygons and run-length codes cover the same pixels; of codes by the hundred, the broken ones are found."""

import numpy as np
import pytest
from pycocotools import mask as rle

from attnkit.data.formats.outlines import are_masks, code_of, first_broken, is_outline, runs_of, short_polygon
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


# Many compressed codes

HEIGHT, WIDTH = 23, 31


def codes(count, seed=0):
    """Noise, so that runs of all lengths come in all orders; empty and full ones among them."""
    random = np.random.default_rng(seed)
    shares = random.choice([0.0, 0.02, 0.5, 0.98, 1.0], count)
    bitmaps = random.random((HEIGHT, WIDTH, count)) < shares
    return [one["counts"] for one in rle.encode(np.asfortranarray(bitmaps.astype(np.uint8)))]


def sized(codes, height=HEIGHT, width=WIDTH):
    return [{"size": [height, width], "counts": counts} for counts in codes]


def test_what_coco_writes_is_whole():
    assert first_broken(sized(codes(50)), at_once=7) is None
    assert first_broken([]) is None


def test_large_ones():
    one = rle.frPyObjects({"size": [4000, 5000], "counts": [3, 12_345_678, 7_654_319]}, 4000, 5000)
    assert first_broken([one]) is None
    assert first_broken(sized([one["counts"]], 4000, 5001)) == 0


@pytest.mark.parametrize("change", [
    lambda code: b"",
    lambda code: code[:-1],
    lambda code: code + b"1",
    lambda code: code[:-1] + b"o",
    lambda code: b"\xff" + code,
    lambda code: b" " + code,
    lambda code: code[:2] + b"oooooooooooo" + code[2:],
], ids=["empty", "short", "long", "no end", "high", "low", "endless"])  # fmt: skip
@pytest.mark.parametrize("where", [0, 4, 11])
def test_broken_ones(change, where):
    some = codes(12)
    some[where] = change(some[where])
    assert first_broken(sized(some), at_once=5) == where


def test_a_run_that_is_negative():
    """5, 3, -2, 12: they cover 18 pixels all the same."""
    code = b"53N9"
    with pytest.raises(ValueError, match="its runs cover 18 pixels"):
        runs_of({"size": [3, 6], "counts": code.decode()}, 3, 6)
    assert first_broken(sized([code], 3, 6)) == 0


def test_it_agrees_with_the_runs_of_one():
    random = np.random.default_rng(1)
    broken = 0
    for code in codes(200, seed=2):
        spoilt = bytearray(code)
        spoilt[random.integers(len(spoilt))] = random.integers(48, 112)
        try:
            runs_of({"size": [HEIGHT, WIDTH], "counts": bytes(spoilt).decode()}, HEIGHT, WIDTH)
            expected = None
        except (ValueError, IndexError):
            expected, broken = 0, broken + 1
        assert first_broken(sized([bytes(spoilt)])) == expected
    assert 100 < broken < 200

"""Compressed run-length codes by the hundred: all that COCO writes is whole, and what is not is found."""

import numpy as np
import pytest
from pycocotools import mask

from attnkit.data.formats import run_length_codes
from attnkit.data.formats.coco_codes import runs_of
from attnkit.data.formats.run_length_codes import first_broken

HEIGHT, WIDTH = 23, 31


def codes(count, seed=0):
    """Noise, so that runs of all lengths come in all orders; empty and full ones among them."""
    random = np.random.default_rng(seed)
    shares = random.choice([0.0, 0.02, 0.5, 0.98, 1.0], count)
    bitmaps = random.random((HEIGHT, WIDTH, count)) < shares
    return [one["counts"] for one in mask.encode(np.asfortranarray(bitmaps.astype(np.uint8)))]


def sized(codes, height=HEIGHT, width=WIDTH):
    return [{"size": [height, width], "counts": counts} for counts in codes]


def test_what_coco_writes_is_whole(monkeypatch):
    monkeypatch.setattr(run_length_codes, "_AT_ONCE", 7)
    assert first_broken(sized(codes(50))) is None
    assert first_broken([]) is None


def test_large_ones():
    one = mask.frPyObjects({"size": [4000, 5000], "counts": [3, 12_345_678, 7_654_319]}, 4000, 5000)
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
def test_broken_ones(change, where, monkeypatch):
    monkeypatch.setattr(run_length_codes, "_AT_ONCE", 5)
    some = codes(12)
    some[where] = change(some[where])
    assert first_broken(sized(some)) == where


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

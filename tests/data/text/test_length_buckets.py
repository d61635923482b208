import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnkit.data.text.length_buckets import by_length, cut, cut_into

LENGTHS = st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), min_size=1, max_size=60)


def test_runs_by_hand():
    src, tgt = np.array([2, 2, 3, 3, 5, 7, 4]), np.array([1, 2, 2, 4, 4, 9, 1])
    # 3 x 3 <= 9, 4 x 3 > 9; then 2 x 4 <= 8; 5 and 7 apart, since 2 x 7 > 9; 9 > 8 is alone; 4 x 1 <= 9
    assert cut(src, tgt, (9, 8)).tolist() == [[0, 3], [3, 4], [4, 5], [5, 6], [6, 7]]
    assert cut(src, tgt, (9, 100)).tolist() == [[0, 3], [3, 4], [4, 5], [5, 6], [6, 7]]
    assert cut(src, tgt, (100, 8)).tolist() == [[0, 3], [3, 5], [5, 6], [6, 7]]
    assert cut(src, tgt, (100, 100)).tolist() == [[0, 7]]
    assert cut(src[:0], tgt[:0], (9, 8)).tolist() == []


def fits(src, tgt, limits, first, last):
    rows = last - first
    return rows * max(src[first:last]) <= limits[0] and rows * max(tgt[first:last]) <= limits[1]


@given(LENGTHS, st.tuples(st.integers(1, 90), st.integers(1, 90)))
def test_runs_are_whole_within_the_limits_and_as_long_as_can_be(lengths, limits):
    src, tgt = (np.array(side) for side in zip(*lengths, strict=True))
    cuts = cut(src, tgt, limits).tolist()
    assert [pair for first, last in cuts for pair in range(first, last)] == list(range(len(src)))
    for first, last in cuts:
        assert last - first == 1 or fits(src, tgt, limits, first, last)
        assert last == len(src) or not fits(src, tgt, limits, first, last + 1)


@given(LENGTHS, st.data())
def test_a_given_number_of_runs(lengths, data):
    src, tgt = (np.array(side) for side in zip(*lengths, strict=True))
    count = data.draw(st.integers(1, len(src)))
    cuts = cut_into(src, tgt, (40, 40), count).tolist()
    assert len(cuts) == count
    assert [pair for first, last in cuts for pair in range(first, last)] == list(range(len(src)))


def test_the_limits_are_stretched_by_no_more_than_it_takes():
    lengths = np.full(100, 10)
    assert np.diff(cut_into(lengths, lengths, (100, 100), 10)).tolist() == [[10]] * 10
    # 9 runs of 12 need limits of 120, and no 8 pairs more can be in one
    assert np.diff(cut_into(lengths, lengths, (100, 100), 9)).max() == 12
    assert sorted(np.diff(cut_into(lengths, lengths, (100, 100), 12)).ravel().tolist()) == [5] * 4 + [10] * 8


def test_the_order():
    src, tgt = np.array([3, 1, 2, 1, 3]), np.array([2, 2, 1, 2, 2])
    assert by_length(src, tgt).tolist() == [2, 1, 3, 0, 4]


@pytest.mark.parametrize("size", [1, 50])
def test_a_stretch_of_any_size(size):
    lengths = np.full(size, 1000)
    assert cut_into(lengths, lengths, (10, 10), 1).tolist() == [[0, size]]

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnkit.decoding.steps import close_gaps


@pytest.mark.parametrize(
    ("stays", "rows"),
    [
        ([True, True, True], [0, 1, 2]),
        ([True, False, True, True, False, True], [0, 5, 2, 3]),
        ([False, False, True, False, True], [2, 4]),
        ([True, True, False], [0, 1]),
        ([False, False], []),
        ([], []),
    ],
)
def test_the_last_rows_fill_the_gaps(stays: list[bool], rows: list[int]) -> None:
    assert close_gaps(np.array(stays, bool)).tolist() == rows


@given(st.lists(st.booleans(), max_size=40))
def test_all_that_stay_are_there_once_and_few_move(stays: list[bool]) -> None:
    rows = close_gaps(np.array(stays, bool)).tolist()
    assert sorted(rows) == [row for row, stay in enumerate(stays) if stay]
    assert all(old == new or old >= len(rows) for new, old in enumerate(rows))

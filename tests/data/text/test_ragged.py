import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnkit.data.text.ragged import MappedRagged, concatenate, ragged, write_ragged

ROWS = [[5, 6, 7], [], [8], [9, 10]]


def test_rows_in_memory():
    rows = ragged(ROWS)
    assert rows.flat().tolist() == [5, 6, 7, 8, 9, 10]
    assert rows.lengths.tolist() == [3, 0, 1, 2]
    assert [rows.row(i).tolist() for i in range(4)] == ROWS
    some = rows.rows(np.array([3, 1, 0, 3]))
    assert some.flat().tolist() == [9, 10, 5, 6, 7, 9, 10]
    assert some.lengths.tolist() == [2, 0, 3, 2]
    assert some.row(2).tolist() == [5, 6, 7]
    assert rows.rows(np.array([], dtype=np.int64)).flat().tolist() == []


def test_parts_one_after_the_other():
    both = concatenate([ragged(ROWS), ragged([[1], [2, 3]])])
    assert [both.row(i).tolist() for i in range(6)] == [*ROWS, [1], [2, 3]]


@pytest.mark.parametrize("dtype", ["<u2", "<u4", "u1"])
def test_rows_in_files(dtype, tmp_path):
    with write_ragged(tmp_path, "x", np.dtype(dtype)) as writer:
        writer.append(ragged(ROWS))
        writer.append(ragged([[1], [200, 3]]))
    rows = MappedRagged(tmp_path, "x", np.dtype(dtype))
    assert [rows.row(i).tolist() for i in range(6)] == [*ROWS, [1], [200, 3]]
    assert rows.rows(np.array([5, 1, 0])).flat().tolist() == [200, 3, 5, 6, 7]
    rows.release()
    assert rows.rows(np.array([4, 2])).flat().tolist() == [1, 8]
    assert rows.lengths.dtype == np.int32
    assert (tmp_path / "x.values").stat().st_size == 9 * np.dtype(dtype).itemsize


@given(st.lists(st.lists(st.integers(0, 2**31), max_size=5), min_size=1, max_size=9), st.data())
def test_any_choice_of_rows(rows, data):
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=9))
    some = ragged(rows).rows(np.array(chosen, dtype=np.int64))
    assert [some.row(i).tolist() for i in range(len(chosen))] == [rows[i] for i in chosen]

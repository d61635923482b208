"""Text in columns: they grow with what they hold, and a name cannot break them."""

import pytest

from attnkit.report.growing_table import GrowingTable, shown


def test_columns_grow_and_never_shrink():
    table = GrowingTable(right=[1])
    assert table.lines([["ab", "1"], ["c", "123"]]) == "ab    1\nc   123\n"
    assert table.lines([["abcde", "7"]]) == "abcde    7\n"
    assert table.lines([["x", "1"]]) == "x        1\n"


def test_wide_letters_take_two_places():
    assert GrowingTable().lines([["名前", "a"], ["bcdef", "a"]]) == "名前   a\nbcdef  a\n"


def test_rows_may_be_of_different_lengths():
    table = GrowingTable()
    assert table.lines([["a"], ["b", "cc", "d"], ["e", "f"]]) == "a\nb  cc  d\ne  f\n"
    assert table.lines([]) == ""


@pytest.mark.parametrize(
    ("name", "text"),
    [("grüne Straße", "grüne Straße"), ("two\nlines", r"two\nlines"), ("a\tb", r"a\tb"), ("\x1b[31m", r"\x1b[31m")],
)
def test_names_that_would_break_the_terminal(name, text):
    assert shown(name) == text

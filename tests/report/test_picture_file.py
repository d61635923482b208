"""Files for drawings: which endings there are, and names of classes as there is room for them."""

import pytest

from attnkit.errors import AttnkitError
from attnkit.report import picture_file


def test_an_unknown_ending_is_refused(tmp_path):
    with pytest.raises(
        AttnkitError, match=r"c: no known ending; expected .png, .svg, .pdf, .csv; rename it, to confus"
    ):
        picture_file.check_picture("--confusion", tmp_path / "c")


def test_endings_in_capitals_are_known(tmp_path):
    picture_file.check_picture("--confusion", tmp_path / "c.CSV")
    assert picture_file.is_csv(tmp_path / "c.CSV")
    assert not picture_file.is_csv(tmp_path / "c.png")


def test_a_table_is_written_with_what_needs_quotes(tmp_path):
    picture_file.write_csv(tmp_path / "new/c.csv", ["class", "IoU"], [["dog, big", 0.5], ['a "b"', ""]])
    assert (tmp_path / "new/c.csv").read_bytes() == b'class,IoU\n"dog, big",0.5\n"a ""b""",\n'


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x" * 24, "x" * 24),
        ("abcdefghijklm nopqrstuvwxyz", "abcdefghijkl…opqrstuvwxyz"),
        ("two\nlines", r"two\nlines"),
    ],
)
def test_long_names_lose_their_middle(name, text):
    assert picture_file.short(name) == text

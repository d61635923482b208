"""Lines are split and grouped as they arrive."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnkit.errors import DataError
from attnkit.predict.line_stream import available, decode_lines, lines_of


def lines_of_blocks(blocks):
    """The lines of input that arrives in these blocks."""
    waiting = [*blocks, b""]
    return list(decode_lines(lambda size: waiting.pop(0), "stdin"))


# Lines


def test_only_line_feeds_end_lines():
    assert lines_of_blocks([b"a\x0bb\x0cc\xc2\x85d\xe2\x80\xa8e\rf\n"]) == ["a\x0bb\x0cc\x85d\u2028e\rf"]


def test_crlf_blank_lines_and_no_final_newline():
    assert lines_of_blocks([b"a\r\n\r\n\n \tb\nlast"]) == ["a", "", "", " \tb", "last"]


def test_byte_order_mark_is_dropped_from_the_first_line_only():
    assert lines_of_blocks([b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n"]) == ["a", "\ufeffb"]


def test_empty_input_has_no_lines():
    assert lines_of_blocks([]) == []


@given(st.lists(st.text(st.characters(exclude_characters="\n\r\ufeff", codec="utf-8"))), st.integers(1, 7))
def test_lines_do_not_depend_on_the_blocks(lines, size):
    content = io.BytesIO("".join(f"{line}\n" for line in lines).encode())
    assert list(decode_lines(lambda _: content.read(size), "stdin")) == lines


def test_bad_bytes_are_named_after_the_lines_before_them():
    waiting = [b"a\nb\nc\xff\nd\n", b""]
    lines = decode_lines(lambda size: waiting.pop(0), "in.txt")
    assert [next(lines), next(lines)] == ["a", "b"]
    with pytest.raises(DataError) as caught:
        next(lines)
    assert str(caught.value) == (
        "in.txt:3: not UTF-8, byte 0xff at byte 2 of the line; expected UTF-8; "
        "the lines before it are done; convert the input, by iconv for example"
    )


def test_files_follow_each_other_and_dash_is_stdin(tmp_path):
    (tmp_path / "a").write_bytes(b"1\n2")
    (tmp_path / "b").write_bytes(b"\n3\n")
    paths = [tmp_path / "a", tmp_path.__class__("-"), tmp_path / "b"]
    assert list(lines_of(paths, io.BytesIO(b"in\n"))) == ["1", "2", "in", "", "3"]


# Groups


def test_groups_hold_everything_in_order_and_at_most_the_limit():
    groups = list(available(iter(map(str, range(50))), limit=7))
    assert [line for group in groups for line in group] == [str(n) for n in range(50)]
    assert all(1 <= len(group) <= 7 for group in groups)


def test_a_group_does_not_wait_for_more_lines():
    answered = []

    def slow_writer():
        yield "first"
        while not answered:  # the second line is written when the first has been answered
            pass
        yield "second"

    for group in available(slow_writer(), limit=7):
        answered += group
    assert answered == ["first", "second"]


def test_an_error_of_the_input_comes_after_the_lines_before_it():
    def breaks():
        yield "a"
        yield "b"
        raise DataError("in:3: broken")

    groups = available(breaks(), limit=1)
    assert [next(groups), next(groups)] == [["a"], ["b"]]
    with pytest.raises(DataError, match="in:3: broken"):
        next(groups)

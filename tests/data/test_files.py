import errno
import gzip
import os
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnkit.data.files import (
    cache_folder,
    cached_folder,
    find_file,
    find_file_or_folder,
    hash_file,
    raw_lines,
    read_lines,
)
from attnkit.errors import DataError


def lines_of(path):
    return list(read_lines(path, path.name))


@pytest.fixture
def places(tmp_path, monkeypatch):
    """A working directory, an $ATTNKIT_DATA and a cache, all empty."""
    for name in ("work", "own", "caches/attnkit/data"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("ATTNKIT_DATA", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    return tmp_path / "work", tmp_path / "own", tmp_path / "caches" / "attnkit" / "data"


class TestFindFile:
    def test_working_directory_then_own_folder_then_cache(self, places):
        for place in reversed(places):
            (place / "set").mkdir()
            (place / "set" / "a.txt").touch()
            assert find_file("set/a.txt") == place / "set" / "a.txt"

    def test_absolute_and_home(self, places, monkeypatch):
        path = places[1] / "a.txt"
        path.touch()
        assert find_file(str(path)) == path
        monkeypatch.setenv("HOME", str(places[1]))
        monkeypatch.setenv("USERPROFILE", str(places[1]))
        assert find_file("~/a.txt") == path

    def test_it_says_where_it_looked(self, places):
        with pytest.raises(DataError) as caught:
            find_file("set/a.txt")
        assert str(caught.value) == (
            f"set/a.txt: no such file; looked in {places[0]}, $ATTNKIT_DATA ({places[1]}), {places[2]}; "
            "correct the path, or set ATTNKIT_DATA to the folder that it starts from"
        )

    def test_it_says_that_the_variable_is_not_set(self, places, monkeypatch):
        monkeypatch.delenv("ATTNKIT_DATA")
        with pytest.raises(DataError, match=r"looked in .*, \$ATTNKIT_DATA \(not set\), "):
            find_file("a.txt")

    def test_a_folder_is_not_a_file(self, places):
        (places[1] / "set").mkdir()
        with pytest.raises(DataError, match=r"^set: is a folder, not a file; looked in "):
            find_file("set")
        with pytest.raises(
            DataError, match=r"own.set: is a folder, not a file; expected a data file; correct the path"
        ):
            find_file(str(places[1] / "set"))
        with pytest.raises(DataError, match=r"own.b: no such file; expected a data file; correct the path"):
            find_file(str(places[1] / "b"))


def test_the_cache_is_where_the_platform_has_it(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("LOCALAPPDATA", "local")
    for platform, expected in (
        ("linux", Path.home() / ".cache" / "attnkit"),
        ("darwin", Path.home() / "Library" / "Caches" / "attnkit"),
        ("win32", Path("local") / "attnkit"),
    ):
        monkeypatch.setattr(sys, "platform", platform)
        assert cache_folder() == expected


class TestReadLines:
    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            (b"", []),
            (b"\n", [""]),
            (b"a\n\nb\n", ["a", "", "b"]),
            (b"a\nb", ["a", "b"]),
            (b"a\r\nb\r\r\n\r\nc\r", ["a", "b", "", "c"]),
            (b"a\rb\n", ["a\rb"]),
            (b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n", ["a", "\ufeffb"]),
            (b"\xef\xbb\xbf", [""]),
            ("a\tb\u00a0c\u202fd\n".encode(), ["a\tb\u00a0c\u202fd"]),
            ("a\u0085b\u2028c\u2029d\x0be\x0cf\x1cg\n😀\n".encode(), ["a\u0085b\u2028c\u2029d\x0be\x0cf\x1cg", "😀"]),
            (b"a\0b\n", ["a\0b"]),
        ],
    )
    def test_plain_and_packed(self, content, expected, tmp_path):
        plain, packed = tmp_path / "a.txt", tmp_path / "b.txt"
        plain.write_bytes(content)
        packed.write_bytes(gzip.compress(content))
        assert lines_of(plain) == expected
        assert lines_of(packed) == expected

    @given(st.lists(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\n\r\ufeff"), max_size=20)))
    def test_what_was_written_is_read(self, tmp_path_factory, lines):
        path = tmp_path_factory.mktemp("lines") / "a.txt"
        path.write_bytes("".join(line + "\n" for line in lines).encode())
        assert lines_of(path) == lines

    def test_several_gzip_members_are_one_file(self, tmp_path):
        path = tmp_path / "a.gz"
        path.write_bytes(gzip.compress(b"a\nb") + gzip.compress(b"c\nd\n"))
        assert lines_of(path) == ["a", "bc", "d"]

    def test_not_utf8(self, tmp_path):
        path = tmp_path / "a.txt"
        path.write_bytes(b"gut\nGr\xf6\xdfe\n")
        lines = read_lines(path, "my/a.txt")
        assert next(lines) == "gut"
        with pytest.raises(DataError) as caught:
            next(lines)
        assert str(caught.value) == (
            "my/a.txt:2: not UTF-8, byte 0xf6 at column 3; expected UTF-8 text; "
            "convert the file, for instance with iconv -f latin1 -t utf-8"
        )

    def test_truncated_gzip(self, tmp_path):
        path = tmp_path / "a.gz"
        path.write_bytes(gzip.compress("".join(f"{i * i}\n" for i in range(9999)).encode())[:-3000])
        with pytest.raises(DataError, match=r"^a.gz: broken gzip stream \(.*\); expected a whole .gz file; copy"):
            lines_of(path)

    def test_damaged_gzip(self, tmp_path):
        path = tmp_path / "a.gz"
        content = bytearray(gzip.compress("".join(f"{i * i}\n" for i in range(9999)).encode()))
        content[2000:2010] = bytes(10)
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"^a.gz: broken gzip stream"):
            lines_of(path)
        path.write_bytes(b"\x1f\x8bnothing like it")
        with pytest.raises(DataError, match=r"^a.gz: broken gzip stream"):
            lines_of(path)

    def test_it_cannot_be_opened(self, tmp_path):
        with pytest.raises(
            DataError, match=r"^b.txt: cannot be read \(No such file or directory\); expected a readable"
        ):
            list(read_lines(tmp_path / "b.txt", "b.txt"))
        with pytest.raises(
            DataError, match=r"^b.txt: cannot be read \(No such file or directory\); expected a readable"
        ):
            hash_file(tmp_path / "b.txt", "b.txt")

    def test_files_are_closed(self, tmp_path):
        for content in (b"a\nb\n", gzip.compress(b"a\nb\n")):  # a file left open is a warning, which is an error
            (tmp_path / "a").write_bytes(content)
            lines = read_lines(tmp_path / "a", "a")
            next(lines)
            lines.close()


def test_raw_lines_keep_what_reading_removes(tmp_path):
    (tmp_path / "a").write_bytes(gzip.compress(b"\xef\xbb\xbfa\r\nb\r"))
    assert list(raw_lines(tmp_path / "a", "a")) == [b"\xef\xbb\xbfa\r", b"b\r"]


def test_the_hash_is_of_the_bytes_on_disk(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert hash_file(tmp_path / "a", "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def read(folder):
    return (folder / "a").read_text()


def writes(text):
    return lambda folder: (folder / "a").write_text(text)


def test_it_is_made_once(tmp_path):
    assert cached_folder(tmp_path / "in/x", read=read, write=writes("first")) == "first"
    assert cached_folder(tmp_path / "in/x", read=read, write=writes("second")) == "first"
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["x"]


def test_it_is_made_again_where_it_is_not_whole(tmp_path):
    (tmp_path / "x").mkdir()
    assert cached_folder(tmp_path / "x", read=read, write=writes("new")) == "new"


def test_nothing_is_left_of_a_failure(tmp_path):
    def fails(folder):
        (folder / "a").write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(
        DataError,
        match=rf"^{tmp_path}: the cache cannot be written \(No space left on device\); expected room and permission to "
        "write; free some space, or set XDG_CACHE_HOME to another place$",
    ):
        cached_folder(tmp_path / "x", read=read, write=fails)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed_after_a_while(tmp_path):
    old, new = tmp_path / "x.partial-1", tmp_path / "x.partial-2"
    for folder in (old, new):
        folder.mkdir()
    long_ago = time.time() - 4000
    os.utime(old, (long_ago, long_ago))
    cached_folder(tmp_path / "x", read=read, write=writes("1"))
    assert not old.exists()
    assert new.exists()


def test_a_faster_process_is_as_good(tmp_path):
    def slower(folder):
        (folder / "a").write_text("mine")
        (tmp_path / "x").mkdir()
        (tmp_path / "x/a").write_text("theirs")

    assert cached_folder(tmp_path / "x", read=read, write=slower) == "theirs"


def test_a_file_or_a_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "set").mkdir()
    assert find_file_or_folder("set") == tmp_path / "set"
    assert find_file_or_folder(str(tmp_path / "set")) == tmp_path / "set"
    with pytest.raises(
        DataError, match=r"^none: no such file; looked in .*, \$ATTNKIT_DATA \(not set\), .*cache.*; corr"
    ):
        find_file_or_folder("none")
    with pytest.raises(DataError, match=r"none: no such file; expected a folder or a data file; correct the path$"):
        find_file_or_folder(str(tmp_path / "none"))

import errno
import os
import time

import pytest

from attnkit.data.cached_folder import cached_folder
from attnkit.errors import DataError


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

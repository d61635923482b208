import pytest

from attnkit.data.data_root import open_tree
from attnkit.errors import DataError
from tests.data.image_files import write_files, write_tar, write_zip

FILES = {
    "b/two.txt": b"22",
    "a/one.txt": b"1",
    "a/deep/er/three.bin": bytes(range(11)),
    ".hidden/x": b"x",
    "a/.DS_Store": b"x",
    "__MACOSX/a/one.txt": b"x",
    "Thumbs.db": b"x",
}
NAMES = ["a/deep/er/three.bin", "a/one.txt", "b/two.txt"]
FOLDERS = ["a", "a/deep", "a/deep/er", "b", "empty"]


def trees(tmp_path):
    folder = write_files(tmp_path / "folder", FILES)
    (folder / "empty").mkdir()
    files = {**FILES, "empty": None}
    yield open_tree(folder), f"{folder}/"
    for name, mode in (("a.tar", "w"), ("a.tar.gz", "w:gz"), ("a.tar.xz", "w:xz"), ("a.tar.bz2", "w:bz2")):
        path = write_tar(tmp_path / name, files, mode)
        yield open_tree(path), f"{path}:"
    path = write_zip(tmp_path / "a.zip", files)
    yield open_tree(path), f"{path}:"
    yield open_tree(path), f"{path}:"  # from the cache


def test_folders_and_archives_read_alike(tmp_path):
    for tree, start in trees(tmp_path):
        assert list(tree.names) == NAMES
        assert list(tree.folders) == FOLDERS
        assert [tree.read(number) for number in range(3)] == [bytes(range(11)), b"1", b"22"]
        assert tree.place(1) == f"{start}a/one.txt"


def test_a_file_that_vanished_is_named(tmp_path):
    tree = open_tree(write_files(tmp_path / "folder", FILES))
    (tmp_path / "folder/a/one.txt").unlink()
    with pytest.raises(
        DataError, match=r"folder/a/one.txt: cannot be read \(No such file or directory\); expected a rea"
    ):
        tree.read(1)
    path = write_tar(tmp_path / "a.tar", FILES)
    tree = open_tree(path)
    path.unlink()
    with pytest.raises(DataError, match=r"a.tar:a/one.txt: cannot be read \(.*\); expected a readable archive; see"):
        tree.read(1)


def test_links_are_followed_but_not_in_circles(tmp_path):
    write_files(tmp_path, {"data/x.txt": b"x", "root/a/y.txt": b"y"})
    (tmp_path / "root/linked").symlink_to(tmp_path / "data")
    (tmp_path / "root/a/up").symlink_to(tmp_path / "root")
    assert open_tree(tmp_path / "root").names == ["a/y.txt", "linked/x.txt"]


def test_fingerprints_follow_the_content(tmp_path):
    folder = write_files(tmp_path / "folder", FILES)
    before = open_tree(folder).fingerprint([0, 1])
    assert open_tree(folder).fingerprint([0, 1]) == before
    (folder / "b/two.txt").write_bytes(b"another")
    assert open_tree(folder).fingerprint([0, 1]) == before
    (folder / "a/one.txt").write_bytes(b"another")
    assert open_tree(folder).fingerprint([0, 1]) != before
    (folder / "a/one.txt").unlink()
    tree = open_tree(folder)
    assert tree.fingerprint([0]) != tree.fingerprint([1])
    path = write_tar(tmp_path / "a.tar", {"a": b"1"})
    before = open_tree(path).fingerprint([])
    assert open_tree(write_tar(path, {"a": b"2"})).fingerprint([]) != before

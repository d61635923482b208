"""What archives hold: read without unpacking to files, and nothing of them leads out of the cache."""

import io
import os
import tarfile
import zipfile

import pytest

from attnkit.data.data_root import open_tree
from attnkit.data.files import cache_folder
from attnkit.errors import DataError
from tests.data.image_files import write_tar, write_zip

FILES = {
    "b/two.txt": b"22",
    "a/one.txt": b"1",
    "a/deep/er/three.bin": bytes(range(11)),
    ".hidden/x": b"x",
    "a/.DS_Store": b"x",
    "__MACOSX/a/one.txt": b"x",
    "Thumbs.db": b"x",
}


def test_a_plain_tar_is_read_where_it_lies(tmp_path):
    open_tree(write_tar(tmp_path / "a.tar", FILES))
    assert not (cache_folder() / "archives").exists()
    open_tree(write_tar(tmp_path / "a.tar.gz", FILES, "w:gz"))
    assert len(list((cache_folder() / "archives").iterdir())) == 1


def test_an_archive_of_other_content_is_another(tmp_path):
    path = write_tar(tmp_path / "a.tar.gz", {"a": b"1"}, "w:gz")
    assert open_tree(path).read(0) == b"1"
    assert open_tree(write_tar(path, {"a": b"2"}, "w:gz")).read(0) == b"2"


def test_a_cache_that_is_not_whole_is_made_again(tmp_path):
    path = write_zip(tmp_path / "a.zip", FILES)
    open_tree(path)
    (folder,) = (cache_folder() / "archives").iterdir()
    for name, content in (("members", b"1"), ("index.json", b"{"), ("index.json", b'{"format": 0}')):
        (folder / name).write_bytes(content)
        assert open_tree(path).read(2) == b"22"


def test_names_cannot_lead_out_of_the_cache(tmp_path):
    files = {"../../../out.txt": b"bad", "/abs.txt": b"bad", "a/./b//c.txt": b"good"}
    for path in (write_tar(tmp_path / "a.tar.gz", files, "w:gz"), write_zip(tmp_path / "a.zip", files)):
        tree = open_tree(path)
        assert "a/b/c.txt" in tree.names
    written = {path.name for path in tmp_path.rglob("*")} | {path.name for path in cache_folder().rglob("*")}
    assert not written & {"out.txt", "abs.txt"}


def test_links_and_devices_of_a_tar_are_left_out(tmp_path):
    for name, mode in (("a.tar", "w"), ("a.tar.gz", "w:gz")):
        with tarfile.open(tmp_path / name, mode) as tar:
            for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
                info = tarfile.TarInfo(f"link{kind!r}")
                info.type, info.linkname = kind, "/etc/passwd"
                tar.addfile(info)
            info = tarfile.TarInfo("file")
            info.size = 2
            tar.addfile(info, io.BytesIO(b"ok"))
        assert list(open_tree(tmp_path / name).names) == ["file"]


def test_the_last_of_equal_names_counts(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for content in (b"old", b"new!"):
            info = tarfile.TarInfo("a")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    tree = open_tree(tmp_path / "a.tar")
    assert [tree.read(number) for number in range(len(tree.names))] == [b"new!"]


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tar.xz", "a.zip", "a.jpg"])
def test_what_is_no_archive_is_named(name, tmp_path):
    (tmp_path / name).write_bytes(b"nothing that could be unpacked" * 50)
    with pytest.raises(
        DataError, match=rf"{name}: no archive, or a broken one \(.*\); expected a folder or a whole .tar"
    ):
        open_tree(tmp_path / name)


def test_a_cut_off_archive_is_named_and_leaves_nothing(tmp_path):
    files = {"a": os.urandom(5000), "b": os.urandom(5000)}
    for path in (write_tar(tmp_path / "a.tar.gz", files, "w:gz"), write_tar(tmp_path / "a.tar.xz", files, "w:xz")):
        path.write_bytes(path.read_bytes()[:7000])
        with pytest.raises(
            DataError, match=rf"{path.name}: no archive, or a broken one \(.*\); .*; correct the path, or"
        ):
            open_tree(path)
    assert list((cache_folder() / "archives").iterdir()) == []


def test_a_locked_zip_is_named(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"a": b"secret"})
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        at_central = archive.start_dir
    content[at_central + 8] |= 1  # the flag that says that it is encrypted
    content[6] |= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a.zip: cannot be unpacked \(.*\); expected an archive without a password"):
        open_tree(path)

import pytest

from attnkit.data.data_root import DataRoot, find_image, open_tree_once
from attnkit.data.finding import listed
from attnkit.errors import DataError
from tests.data.image_files import write_files, write_tar

CONTENT = {"top/a/x.png": b"1", "top/a/deep/y.txt": b"22", "top/b/x.png": b"333", "top/classes.json": b"{}"}


@pytest.fixture(params=["folder", "archive"])
def root(request, tmp_path):
    if request.param == "archive":
        return DataRoot(str(write_tar(tmp_path / "a.tar", CONTENT)))
    return DataRoot(str(write_files(tmp_path / "data", CONTENT)))


def test_folders_are_found_with_and_without_the_one_that_holds_all(root):
    for name in ("a", "/a/", "top/a"):
        files = root.folder(name, "data.x")
        assert [files.below(number) for number in files.numbers] == ["deep/y.txt", "x.png"]
        assert files.place == f"{root.path}/top/a"
        assert files.tree.read(files.find("x.png")) == b"1"
        assert files.find("y.txt") is None
        assert [files.is_image(number) for number in files.numbers] == [False, True]
    assert root.top == "top"
    assert len(root.below("").numbers) == 4


def test_files_are_read(root):
    for name in ("classes.json", "top/classes.json"):
        content, place = root.read(name, "data.classes")
        assert content == b"{}"
        assert place.endswith("top/classes.json")


def test_what_is_not_there(root):
    message = r"has no folder 'c' for data.x; expected one of a, a/deep, b; correct data.x$"
    with pytest.raises(DataError, match=message):
        root.folder("c", "data.x")
    with pytest.raises(DataError, match=r"has no file 'c.json' for data.y; expected a path inside it; correct data.y$"):
        root.read("c.json", "data.y")


def test_of_a_folder_only_what_is_named_is_listed(tmp_path, monkeypatch):
    root = DataRoot(str(write_files(tmp_path, CONTENT)))
    files = root.folder("top/b", "data.x")
    assert list(files.tree.names) == ["x.png"]
    assert root.folder("top/b", "data.y").tree is files.tree
    outside = write_files(tmp_path / "outside", {"z.png": b"1"})
    assert list(DataRoot(str(tmp_path / "top")).folder(str(outside), "data.x").tree.names) == ["z.png"]


def test_many_names_are_cut_short():
    assert listed([]) == "none"
    assert listed([str(i) for i in range(12)]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"


def test_folders_in_front_are_dropped(tmp_path):
    root = DataRoot(str(write_files(tmp_path, {"x/1.jpg": b"", "x/a/1.jpg": b"", "x/a/2.jpg": b""})))
    files = root.folder("x", "data.x")

    def found(name):
        number = find_image(files, name)
        return None if number is None else files.below(number)

    assert found("1.jpg") == found("./1.jpg") == found("/home/b/1.jpg") == found("C:\\b\\1.jpg") == "1.jpg"
    assert found("a/1.jpg") == found("b//a/1.jpg") == found("b\\a\\1.jpg") == "a/1.jpg"
    assert [found(name) for name in ("2.jpg", "b/2.jpg", "", "/")] == [None] * 4


def test_an_archive_is_listed_once_until_it_changes(tmp_path):
    path = write_tar(tmp_path / "a.tar", {"a": b"1"})
    tree = open_tree_once(path)
    assert open_tree_once(path) is tree
    assert open_tree_once(write_tar(tmp_path / "b.tar", {"b": b"1"})).names == ["b"]
    assert open_tree_once(write_tar(path, {"a": b"1", "c": b"2"})).names == ["a", "c"]


def test_a_folder_is_listed_every_time(tmp_path):
    assert open_tree_once(write_files(tmp_path / "folder", {"a": b"1"})).names == ["a"]
    assert open_tree_once(write_files(tmp_path / "folder", {"b": b"2"})).names == ["a", "b"]

"""Where the images lie that a json names."""

import pytest

from attnkit.data.data_root import DataRoot
from attnkit.errors import DataError
from attnkit.new_recipe.detection_data import folder_of, has_any, image_names
from tests.data.image_files import write_files


@pytest.fixture
def root(tmp_path):
    return DataRoot(str(write_files(tmp_path, {"a/1.png": b"", "a/2.png": b"", "b/2.png": b"", "b/c/3.png": b""})))


def test_names_are_read_as_json_has_them():
    content = (
        b'{"images": [{"file_name":"a \\"b\\".png"}, {"file_name" : "caf\\u00e9.png", "id": 3}], "x": "file_name"}'
    )
    assert image_names(content, "x.json") == ['a "b".png', "café.png"]


@pytest.mark.parametrize("content", [b"{}", b"no json", b'{"images": {}}', b'{"file_name": "\\q"}'])
def test_what_is_no_such_json_is_told_elsewhere(content):
    assert image_names(content, "x.json") == []


def test_an_empty_list():
    with pytest.raises(DataError, match=r"^x.json: lists no images; expected COCO's json of images and the objects on"):
        image_names(b'{"images": [ ], "annotations": []}', "x.json")


@pytest.mark.parametrize(
    ("names", "folder"),
    [
        (["1.png", "2.png"], "a"),
        (["3.png"], "b/c"),
        (["2.png"], "a"),
        (["b/2.png"], ""),
        (["x/b/2.png"], ""),
        (["7.png", "x\\2.png"], "a"),
        (["7.png"], None),
    ],
)
def test_the_folder_of_most_images(names, folder, root):
    folders = [root.below(one) for one in ("", "a", "b", "b/c")]
    found = folder_of(names, folders)
    assert (None if found is None else found.folder) == folder


def test_names_that_are_asked_for_are_spread_evenly(tmp_path):
    """The first forty images are in one folder, all hundred in another."""
    files = {f"all/{number}.png": b"" for number in range(100)} | {f"some/{number}.png": b"" for number in range(40)}
    root = DataRoot(str(write_files(tmp_path, files)))
    found = folder_of([f"{number}.png" for number in range(100)], [root.below("some"), root.below("all")])
    assert found.folder == "all"


def test_whether_any_is_there(root):
    assert has_any(["7.png", "1.png"], root.below("a"))
    assert not has_any(["7.png", "3.png"], root.below("a"))

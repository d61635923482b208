from attnkit.data.data_root import DataRoot
from attnkit.data.images.named_files import find_image
from tests.data.image_files import write_files


def test_folders_in_front_are_dropped(tmp_path):
    root = DataRoot(str(write_files(tmp_path, {"x/1.jpg": b"", "x/a/1.jpg": b"", "x/a/2.jpg": b""})))
    files = root.folder("x", "data.x")

    def found(name):
        number = find_image(files, name)
        return None if number is None else files.below(number)

    assert found("1.jpg") == found("./1.jpg") == found("/home/b/1.jpg") == found("C:\\b\\1.jpg") == "1.jpg"
    assert found("a/1.jpg") == found("b//a/1.jpg") == found("b\\a\\1.jpg") == "a/1.jpg"
    assert [found(name) for name in ("2.jpg", "b/2.jpg", "", "/")] == [None] * 4

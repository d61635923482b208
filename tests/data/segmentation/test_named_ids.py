import numpy as np
import pytest

from attnkit.data.data_root import open_tree
from attnkit.data.segmentation import named_ids
from attnkit.data.segmentation.named_ids import found_classes
from attnkit.errors import DataError
from tests.data.image_files import picture, write_files
from tests.data.scene_files import mask


def classes(tmp_path, *masks, ignore=(255,)):
    contents = [one if isinstance(one, bytes) else mask(np.array([one], dtype=np.uint8)) for one in masks]
    tree = open_tree(write_files(tmp_path, {f"{i}.png": content for i, content in enumerate(contents)}))
    return found_classes(tree, range(len(masks)), ignore).names


def test_every_number_up_to_the_largest(tmp_path):
    assert classes(tmp_path, [0, 2, 255], [0, 4]) == {number: f"class {number}" for number in range(5)}


def test_ignored_values_are_no_classes(tmp_path):
    assert list(classes(tmp_path, [0, 2, 11], ignore=(11,))) == [0, 1, 2]


def test_a_broken_mask_is_left_out(tmp_path):
    assert list(classes(tmp_path, b"nothing", [0, 1])) == [0, 1]


def test_where_all_are_broken_the_first_is_told(tmp_path):
    with pytest.raises(DataError, match=r"0.png: not an image"):
        classes(tmp_path, b"nothing", b"")


def test_masks_are_read_once(tmp_path, monkeypatch):
    first = classes(tmp_path, [0, 3])
    monkeypatch.setattr(named_ids, "decode_mask", lambda *_: pytest.fail("a mask is decoded again"))
    tree = open_tree(tmp_path)
    assert found_classes(tree, range(1), (255,)).names == first


@pytest.mark.parametrize(("values", "named"), [([0, 255], "0 and 255"), ([255], "255")])
@pytest.mark.parametrize("ignore", [(255,), ()])
def test_black_and_white(values, named, ignore, tmp_path):
    message = (
        rf"^{tmp_path}: the pixels of the training masks are {named} alone; expected class ids, 0, 1, 2 and so on; say "
        r"what they mean: data.classes={0: background, 255: object} and data.ignore=\[\]$"
    )
    with pytest.raises(DataError, match=message):
        classes(tmp_path, values, ignore=ignore)


def test_colours_say_nothing(tmp_path):
    with pytest.raises(DataError, match=r"0.png: pixels are colours, and what they mean is not known; expected class"):
        classes(tmp_path, mask(np.array(picture())))

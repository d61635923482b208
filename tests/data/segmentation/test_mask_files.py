import json
import pickle

import numpy as np
import pytest
import torch

from attnkit.data.config import HoldBackConfig
from attnkit.data.open import OpenedData
from attnkit.data.segmentation.config import MaskFilesConfig
from attnkit.errors import DataError
from attnkit.structures.arrays import IGNORE
from tests.data.image_files import picture, pixels, png, write_files, write_tar
from tests.data.scene_files import labels, mask, scenes

NAMES = ("b/two", "one", "three")


def opened(path, split="train", **options):
    return OpenedData(MaskFilesConfig(format="mask_files", path=str(path), **options))[split]


def with_mask(tmp_path, values, image=None, **options):
    """A set of one image."""
    content = values if isinstance(values, bytes) else mask(np.array(values))
    files = {"images/x.png": image or png(5, 7), "masks/x.png": content}
    return opened(write_files(tmp_path, files), **options)


@pytest.mark.parametrize("archive", [False, True])
def test_images_and_labels_are_read(archive, tmp_path):
    content = scenes(*NAMES, size=(5, 11))
    data = opened(write_tar(tmp_path / "a.tar", content) if archive else write_files(tmp_path, content))
    assert len(data) == 3
    assert data.class_names == ("class 0", "class 1", "class 2")
    assert [data.name(i) for i in range(3)] == ["two", "one", "three"]
    assert data.place(0).endswith("images/b/two.jpg")
    assert data.mask_place(0).endswith("masks/b/two.png")
    for index in range(3):
        image, found = data.read(index)
        assert (image.dtype, tuple(image.shape)) == (torch.uint8, (3, 5, 11))
        assert np.array_equal(data.read_image(index), image)
        assert np.array_equal(found.numpy(), labels(index, size=(5, 11)))
        assert np.array_equal(data.read_labels(index), found.numpy())
        assert data.read_labels(index).dtype == np.uint8
        assert data.size(index) == (5, 11)
    some = pickle.loads(pickle.dumps(data.select(np.array([2, 0]))))
    assert [some.name(i) for i in range(len(some))] == ["three", "two"]
    assert np.array_equal(some.read_labels(1), labels(0, size=(5, 11)))


def test_splits_share_the_classes_of_training(tmp_path):
    content = scenes("x", images="images/train", masks="masks/train", classes=4)
    content |= scenes("y", images="images/val", masks="masks/val", first_seed=5, classes=2)
    root = write_files(tmp_path, content)
    train, valid = opened(root), opened(root, "valid")
    assert len(train) == len(valid) == 1
    assert train.class_names == valid.class_names == ("class 0", "class 1", "class 2", "class 3")
    assert np.array_equal(train.colours, valid.colours)
    assert opened(root, "test") is None


def test_parts_are_held_back(tmp_path):
    root = write_files(tmp_path, scenes(*map(str, range(10))))
    options = {"hold_back": HoldBackConfig(valid=0.2, test=0.1)}
    parts = [opened(root, split, **options) for split in ("train", "valid", "test")]
    assert [len(part) for part in parts] == [7, 2, 1]
    assert {part.name(i) for part in parts for i in range(len(part))} == set(map(str, range(10)))
    moved = write_tar(tmp_path / "a.tar", {f"top/{name}": file for name, file in scenes(*map(str, range(10))).items()})
    assert [opened(moved, "valid", **options).name(i) for i in range(2)] == [parts[1].name(i) for i in range(2)]
    assert opened(root, "test") is None


def test_classes_of_a_file(tmp_path):
    about = {"classes": [{"id": 3, "name": "sky", "colour": [1, 2, 3]}, {"id": 8, "name": "road"}], "ignore": {"id": 0}}
    content = {"top/" + name: file for name, file in scenes("x").items()}
    content |= {"top/masks/x.png": mask(np.array([[0, 3, 8, 255]], dtype=np.uint8)), "top/images/x.jpg": png(1, 4)}
    root = write_tar(tmp_path / "a.tar", content | {"top/classes.json": json.dumps(about).encode()})
    data = opened(root, classes="classes.json")
    assert data.class_names == ("sky", "road")
    assert data.colours[0].tolist() == [1, 2, 3]
    assert data.read_labels(0).tolist() == [[IGNORE, 0, 1, IGNORE]]


def test_classes_of_the_recipe(tmp_path):
    values = np.array([[0, 255, 2]], dtype=np.uint8)
    data = with_mask(tmp_path, values, png(1, 3), classes={0: "ground", 255: "house"}, ignore=[2])
    assert data.class_names == ("ground", "house")
    assert data.read_labels(0).tolist() == [[0, 1, IGNORE]]
    assert opened(tmp_path, classes=["a", "b", "c"]).read_labels(0).tolist() == [[0, IGNORE, 2]]


@pytest.mark.parametrize(("classes", "names"), [(None, ("class 1", "class 2")), (["a", "b"], ("a", "b"))])
def test_zero_can_be_no_class(classes, names, tmp_path):
    values = np.array([[0, 1, 2, 255]], dtype=np.uint8)
    data = with_mask(tmp_path, values, png(1, 4), classes=classes, reduce_zero_label=True)
    assert data.class_names == names
    assert data.read_labels(0).tolist() == [[IGNORE, 0, 1, IGNORE]]


def test_zero_cannot_be_both(tmp_path):
    message = (
        r"^data.classes: class a has id 0, which data.reduce_zero_label says is no class; expected ids from 1 on; "
    )
    with pytest.raises(DataError, match=message):
        with_mask(tmp_path, labels(), classes={0: "a", 1: "b"}, reduce_zero_label=True)


def test_colours_of_a_palette(tmp_path):
    drawn = [(9, 8, 7), (200, 0, 30), (0, 150, 0)]
    assert with_mask(tmp_path, mask(labels(), palette=drawn)).colours.tolist() == [list(colour) for colour in drawn]


def test_colour_masks(tmp_path):
    about = {"classes": [{"name": "a", "colour": [255, 0, 0]}, {"name": "b", "colour": [0, 0, 255]}]}
    write_files(tmp_path, {"classes.json": json.dumps(about).encode()})
    values = np.array([[[0, 0, 255], [255, 0, 0]]], dtype=np.uint8)
    data = with_mask(tmp_path, mask(values), png(1, 2), classes="classes.json")
    assert data.read_labels(0).tolist() == [[1, 0]]


def test_a_turned_photograph(tmp_path):
    from tests.data.images.test_decode import turned_photo

    values = labels()
    for number, stored in enumerate((values, np.rot90(values))):
        data = with_mask(tmp_path / str(number), mask(stored.copy()), turned_photo(8))
        image, found = data.read(0)
        assert tuple(image.shape) == (3, 7, 5)
        assert np.array_equal(found.numpy(), np.rot90(values))
        assert data.size(0) == (5, 7)


def test_what_cannot_be_read_is_named(tmp_path):
    data = with_mask(tmp_path, labels(), png(7, 5))
    for read in (data.read, data.read_labels, data.size):
        with pytest.raises(
            DataError, match=r"masks/x.png: 7 x 5 pixels, but its image .*x.png has 5 x 7; expected the"
        ):
            read(0)
    data = with_mask(tmp_path, labels(), b"nothing")
    with pytest.raises(DataError, match=r"images/x.png: not an image"):
        data.read(0)
    write_files(tmp_path, {"masks/x.png": mask(labels(classes=5)), "images/x.png": png(5, 7)})
    with pytest.raises(DataError, match=r"masks/x.png: pixel values 3, 4 of no class; expected 0..2, or 255 to be"):
        data.read(0)


def test_no_training_images(tmp_path):
    root = write_files(tmp_path, scenes("x", images="images/val", masks="masks/val"))
    with pytest.raises(DataError, match=rf"^{root}: no folders of training images and masks by their usual names; exp"):
        opened(root)
    with pytest.raises(DataError, match=r"^data.train: not given, but another split is; expected folders of training "):
        opened(root, valid={"images": "images/val", "masks": "masks/val"})


def test_the_image_is_the_one_of_the_mask(tmp_path):
    data = with_mask(tmp_path, labels(), png(5, 7, seed=3))
    assert np.array_equal(data.read(0)[0].numpy(), pixels(picture(5, 7, seed=3)))

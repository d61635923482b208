import re

import numpy as np
import pytest

from attnkit.data.classification.config import ImageFolderConfig
from attnkit.data.classification.image_set import ArrayImages, FileImages
from attnkit.data.config import HoldBackConfig
from attnkit.data.open import OpenedData
from attnkit.errors import DataError
from tests.data.image_files import picture, pixels, png, write_files, write_tar, write_zip

BIG = 100
"""Pixels: not kept decoded."""


def files(*names, side=BIG):
    return {name: png(side, side, seed=number) for number, name in enumerate(names)}


def opened(path, split="train", **options):
    return OpenedData(ImageFolderConfig(format="image_folder", path=str(path), **options))[split]


def names(images):
    return [images.place(i).rpartition("/")[2] for i in range(len(images))]


SPLITS = files("train/b/2.png", "train/a/1.png", "train/a/deep/3.PNG", "val/b/4.png", "test/a/5.png")


@pytest.mark.parametrize("valid", ["val", "valid", "validation", "dev", "Val"])
def test_splits_by_their_usual_names(valid, tmp_path):
    root = write_files(tmp_path, {name.replace("val", valid): content for name, content in SPLITS.items()})
    train, valid, test = (opened(root, split) for split in ("train", "valid", "test"))
    assert train.class_names == valid.class_names == test.class_names == ("a", "b")
    assert names(train) == ["1.png", "3.PNG", "2.png"]
    assert train.labels.tolist() == [0, 0, 1]
    assert train.labels.dtype == np.int64
    assert (names(valid), valid.labels.tolist()) == (["4.png"], [1])
    assert (names(test), test.labels.tolist()) == (["5.png"], [0])
    assert np.array_equal(valid.read(0).numpy(), pixels(picture(BIG, BIG, seed=3)))


@pytest.mark.parametrize("top", ["", "top/", "top/inner/"])
def test_archives_and_a_folder_above(top, tmp_path):
    content = {f"{top}{name}": file for name, file in SPLITS.items()}
    for path in (
        write_tar(tmp_path / "a.tar", content),
        write_tar(tmp_path / "a.tar.xz", content, "w:xz"),
        write_zip(tmp_path / "a.zip", content),
        write_files(tmp_path / "folder", content),
    ):
        train = opened(path)
        assert names(train) == ["1.png", "3.PNG", "2.png"]
        assert train.class_names == ("a", "b")
        assert train.read(2).shape == (3, BIG, BIG)


def test_one_set_of_classes_is_split(tmp_path):
    content = files(*(f"{name}/{i}.png" for name in ("x", "y") for i in range(10)), side=8)
    hold_back = HoldBackConfig(valid=0.2, test=0.1)
    chosen_before = None
    for root in (
        write_files(tmp_path / "f", content),
        write_tar(tmp_path / "a.tar", {f"top/{n}": c for n, c in content.items()}),
    ):
        parts = [opened(root, split, hold_back=hold_back) for split in ("train", "valid", "test")]
        assert [np.bincount(part.labels).tolist() for part in parts] == [[7, 7], [2, 2], [1, 1]]
        assert all(part.class_names == ("x", "y") for part in parts)
        assert len({place for part in parts for place in map(part.place, range(len(part)))}) == 20
        chosen = [[re.search(r"[xy]/\d+\.png", part.place(i)).group() for i in range(len(part))] for part in parts]
        assert chosen == [*map(sorted, chosen)]
        assert chosen_before in (None, chosen)  # wherever the data lies
        chosen_before = chosen


def test_validation_is_held_back_where_only_test_is_there(tmp_path):
    content = files(*(f"train/x/{i}.png" for i in range(10)), "test/x/t.png")
    root = write_files(tmp_path, content)
    hold_back = HoldBackConfig(valid=0.3, test=0.3)
    assert len(opened(root, "valid", hold_back=hold_back)) == 3
    assert len(opened(root, "train", hold_back=hold_back)) == 7
    assert names(opened(root, "test", hold_back=hold_back)) == ["t.png"]
    assert opened(root, "valid", hold_back=HoldBackConfig(valid=0)) is None


def test_folders_named_by_the_recipe(tmp_path):
    root = write_files(tmp_path, files("in/one/a/1.png", "in/two/a/2.png", "in/one/b/3.png"))
    options = {"train": "one", "valid": "two"}
    assert names(opened(root, train="in/one")) == ["1.png", "3.png"]
    assert names(opened(root, **options)) == ["1.png", "3.png"]
    assert names(opened(root, "valid", **options)) == ["2.png"]
    with pytest.raises(
        DataError, match=r": has no folder 'three' for data.train; expected one of one, two; correct data.train$"
    ):
        opened(root, train="three")


def test_what_is_no_image_is_left_out(tmp_path):
    root = write_files(tmp_path, {**SPLITS, "train/a/notes.txt": b"", "train/list.csv": b"", "train/stray.png": png()})
    (root / "train/empty").mkdir()
    assert len(opened(root)) == 3
    assert opened(root).class_names == ("a", "b")


def test_a_class_that_training_lacks(tmp_path):
    root = write_files(tmp_path, {**SPLITS, **files("val/c/1.png")})
    with pytest.raises(
        DataError,
        match=rf"^{root}/val/c/1.png: class c has no training image; expected the classes of training: a, b; "
        "add training images, or remove this folder$",
    ):
        opened(root, "valid")
    assert len(opened(root, "test")) == 1


def test_no_training_folder(tmp_path):
    root = write_files(tmp_path, files("val/a/1.png", "test/a/1.png"))
    with pytest.raises(
        DataError,
        match=rf"^{root}: has test, val, but no folder of training images; expected one named train; rename it, or",
    ):
        opened(root)


def test_two_folders_that_could_be_a_split(tmp_path):
    root = write_files(tmp_path, files("train/a/1.png", "val/a/1.png", "valid/a/1.png"))
    with pytest.raises(
        DataError, match=rf"^{root}: val, valid could each be data.valid; expected one; name it as data.valid$"
    ):
        opened(root)


def test_no_class_folders(tmp_path):
    root = write_files(tmp_path / "flat", files("1.png", "2.png"))
    with pytest.raises(
        DataError,
        match=rf"^{root}: has images, but none in a folder of its class; expected a folder of images per class, such "
        rf"as {root}/daisy/1.jpg; sort the images into folders$",
    ):
        opened(root)
    (tmp_path / "none/a").mkdir(parents=True)
    with pytest.raises(DataError, match=rf"^{tmp_path}/none: has no image; expected a folder of images per class"):
        opened(tmp_path / "none")


def test_the_folder_is_looked_up(tmp_path, monkeypatch):
    write_files(tmp_path / "own/set", SPLITS)
    with pytest.raises(DataError, match=r"^set: no such file; looked in .*; correct the path, or set ATTNKIT_DATA"):
        opened("set")
    monkeypatch.setenv("ATTNKIT_DATA", str(tmp_path / "own"))
    assert len(opened("set")) == 3


def test_small_images_are_kept_decoded_and_large_ones_not(tmp_path):
    small = write_files(tmp_path / "s", files("train/a/1.png", "train/b/2.png", side=8))
    assert isinstance(opened(small), ArrayImages)
    assert isinstance(opened(write_files(tmp_path / "l", SPLITS)), FileImages)


def test_some_of_the_images(tmp_path):
    images = opened(write_files(tmp_path, SPLITS)).select(np.array([2, 0]))
    assert (names(images), images.labels.tolist(), images.class_names) == (["2.png", "1.png"], [1, 0], ("a", "b"))

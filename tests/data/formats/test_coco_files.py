"""COCO's jsons and the images that they are about: which are found, and which are left out."""

import json

import pytest

from attnkit.errors import DataError
from tests.data.formats.coco_files import (
    CATEGORIES,
    H,
    W,
    annotation,
    coco,
    one_set,
    opened,
    pictures,
)
from tests.data.image_files import png, write_files


@pytest.mark.parametrize("name", ["train/{}.png", "./{}.png", "x/train/{}.png", "C:\\data\\train\\{}.png"])
def test_names_with_folders_in_front(name, tmp_path):
    assert len(one_set(tmp_path, [], names=name)) == 1


def test_folders_below_the_one_of_the_images(tmp_path):
    names = {"1": "a/x.png", "2": "b/x.png"}
    images = [{"id": int(i), "file_name": name, "height": H, "width": W} for i, name in names.items()]
    content = json.dumps({"images": images, "annotations": [annotation(image=2)], "categories": CATEGORIES}).encode()
    files = {f"train/{name}": png(H, W, seed=int(i)) for i, name in names.items()} | {"a/train.json": content}
    data = opened(write_files(tmp_path, files), hold_back={"valid": 0.0})
    assert [data.place(i) for i in range(2)] == [f"{tmp_path}/train/{name}" for name in names.values()]
    assert [len(data.read_objects(i)) for i in range(2)] == [0, 1]
    assert data.left_out() == []


def lines(data, root):
    return [f"{one.severity} {one}".replace(f"{root}/", "") for one in data.left_out()]


def test_what_is_left_out(tmp_path):
    stray = [annotation(image=image, number=image) for image in (1, 70, 80)]
    content = coco(stray, images=(1, 2, 3))
    root = write_files(tmp_path, pictures((1, 4)) | {"a/train.json": content})
    data = opened(root, hold_back={"valid": 0.0})
    assert [data.name(i) for i in range(len(data))] == ["1"]
    assert lines(data, root) == [
        "warning a/train.json: 2.png is not in train, and so is 1 more; its annotations are left out; copy the images "
        "again",
        "warning a/train.json: an annotation is of image 70, which it does not list, and so is 1 more; the annotation "
        "is left out; add the image to its images, or remove the annotation",
        "warning train/4.png: an image that a/train.json does not name; it is left out; remove it, or annotate it",
    ]


def test_two_images_of_one_file(tmp_path):
    root = write_files(tmp_path, pictures() | {"a/train.json": coco([], images=(1, 2, 3), names="x/1.png")})
    assert lines(opened(root), root) == [
        "error a/train.json: images 1 and 2 are of one file, 1.png, and so is 1 more; the objects of one are not on "
        "the other; name a file for each; the folders in front of their names may be missing"
    ]


def test_splits_that_share_a_folder(tmp_path):
    files = pictures((1, 2)) | {"a/train.json": coco([]), "a/valid.json": coco([], images=(2,))}
    root = write_files(tmp_path, files)
    valid = {"images": "train", "annotations": "a/valid.json"}
    assert [opened(root, split, valid=valid).left_out() for split in ("train", "valid")] == [[], []]


def test_none_of_the_images_is_there(tmp_path):
    message = r"a/train.json: none of its 1 images is in .*/train, such as 9.png; expected the images there; correct "
    with pytest.raises(DataError, match=message):
        opened(write_files(tmp_path, pictures() | {"a/train.json": coco([], images=(9,))}))


def test_categories_that_are_left_out(tmp_path):
    root = {"id": 0, "name": "dog", "supercategory": "none"}
    data = one_set(tmp_path, [annotation(category=8)], categories=[root, *CATEGORIES])
    assert (data.class_names, data.category_ids) == (("cat", "dog"), (3, 8))
    assert lines(data, tmp_path) == [
        "warning a/train.json: category 0 has the name of category 8, dog, and no annotation; it is left out; remove "
        "it, or rename it if it is another class"
    ]

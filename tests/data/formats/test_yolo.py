import pickle

import numpy as np
import pytest
from PIL import Image

from attnkit.data.detection.config import YoloConfig
from attnkit.data.open import OpenedData
from attnkit.errors import DataError
from tests.data.image_files import picture, pixels, png, saved, write_files, write_tar

H, W = 10, 20
BOX = b"1 0.5 0.4 0.2 0.6\n"
"""8 1 12 7"""
POLYGON = b"1 0.1 0.2 0.5 0.2 0.5 0.8 0.1 0.8\n"
"""2 2 10 8"""
NAMES = b"names: [cat, dog]\n"


def images(split="train", names=("1",), *, first_seed=0, labels=BOX, form="{kind}/{split}", size=(H, W)):
    """Images with labels of the same, in folders of a form."""
    files = {}
    for seed, name in enumerate(names, first_seed):
        files[f"{form.format(kind='images', split=split)}/{name}.png"] = png(*size, seed=seed)
        if labels is not None:
            files[f"{form.format(kind='labels', split=split)}/{name}.txt"] = labels
    return files


def opened(path, split="train", **options):
    return OpenedData(YoloConfig(format="yolo", path=str(path), **options))[split]


def data(tmp_path, labels=BOX, *, files=None, **options):
    content = images(labels=labels) | {"data.yaml": NAMES} | (files or {})
    return opened(write_files(tmp_path, content), **({"hold_back": {"valid": 0.0}} | options))


def test_boxes(tmp_path):
    found = data(tmp_path, b"1 0.5 0.4 0.2 0.6\n\n 0\t0.25 .5 0.5 1 \r\n")
    assert (found.class_names, found.category_ids) == (("cat", "dog"), (1, 2))
    assert (found.has_masks, found.semantic_classes, found.size(0)) == (False, None, (H, W))
    image, objects = found.read(0)
    assert np.array_equal(image.numpy(), pixels(picture(H, W)))
    assert np.allclose(objects.boxes.numpy(), [[8, 1, 12, 7], [0, 0, 10, 10]], atol=1e-5)
    assert objects.labels.tolist() == [1, 0]
    assert np.allclose(objects.areas.numpy(), [24, 100], atol=1e-4)
    assert objects.crowd.tolist() == [False, False]
    assert objects.masks is objects.difficult is None
    assert [one.id for one in found.annotations(0)] == ["1", "3"]
    assert found.annotation_place(0) == f"{tmp_path}/labels/train/1.txt"


def test_polygons(tmp_path):
    found = data(tmp_path, POLYGON + BOX + 8 * POLYGON)
    assert found.has_masks
    objects = found.read_objects(0)
    assert np.allclose(objects.boxes[0].numpy(), [2, 2, 10, 8], atol=1e-5)
    drawn = np.zeros((H, W), dtype=bool)
    drawn[2:8, 2:10] = True
    assert np.array_equal(objects.masks.bitmaps()[0].numpy(), drawn)
    assert objects.masks.areas().tolist() == [48, 0] + [48] * 8
    assert np.allclose(objects.areas.numpy(), [48, 24] + [48] * 8)


def test_a_few_polygons_are_boxes(tmp_path):
    found = data(tmp_path, POLYGON + BOX + 7 * POLYGON)
    assert (found.has_masks, found.masks_wanted) == (False, True)
    assert np.allclose(found.read_objects(0).boxes[0].numpy(), [2, 2, 10, 8], atol=1e-5)


def test_polygons_as_boxes(tmp_path):
    found = data(tmp_path, POLYGON, masks=False)
    assert (found.has_masks, found.masks_wanted) == (False, False)
    assert np.allclose(found.read_objects(0).boxes.numpy(), [[2, 2, 10, 8]])


@pytest.mark.parametrize("labels", [None, b"", b"\n \n"])
def test_images_without_objects(labels, tmp_path):
    files = {"images/train/0.png": png(H, W, seed=5)}
    if labels is not None:
        files["labels/train/0.txt"] = labels
    found = data(tmp_path, files=files)
    assert [len(found.read_objects(i)) for i in range(2)] == [0, 1]
    assert [found.image_id(i) for i in range(2)] == [1, 2]
    assert found.annotation_place(0).endswith("images/train/0.png" if labels is None else "labels/train/0.txt")


def test_images_are_seen_as_people_see_them(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    found = data(tmp_path, files={"images/train/1.png": saved(picture(H, W), exif=exif)})
    image, objects = found.read(0)
    assert np.array_equal(image.numpy(), np.rot90(pixels(picture(H, W)), -1, axes=(1, 2)))
    assert found.size(0) == found.header_size(0) == (W, H)
    assert np.allclose(objects.boxes.numpy(), [[4, 2, 6, 14]])


@pytest.mark.parametrize(
    "names",
    [
        {"data.yaml": b"nc: 2\nnames:\n  0: cat\n  1: dog\n"},
        {"x/coco8.yml": b"names: {'1': dog, '0': cat}\n", "other.yaml": b"lr: 1\n", "broken.yaml": b"a: [\n"},
        {"labels/classes.txt": b"cat\ndog\n"},
        {},
    ],
)
def test_names(names, tmp_path):
    root = write_files(tmp_path, images() | names)
    assert opened(root, classes=None if names else ("cat", "dog")).class_names == ("cat", "dog")


@pytest.mark.parametrize(
    ("files", "what"),
    [
        ({}, r": no data.yaml with names; expected one, or classes.txt; add it, or name the classes as data.classes$"),
        ({"data.yaml": b"names: [\n"}, r"/data.yaml: no yaml \(.*\); expected names and folders, as YOLO has them; "),
        (
            {"data.yaml": b"names: [a]\nmade: 2001-99-99\n"},
            r"/data.yaml: no yaml \(month must be in 1..12\); expected ",
        ),
        ({"data.yaml": b"[" * 5000}, r"/data.yaml: no yaml \(maximum recursion depth .*\); expected names and folders"),
        ({"data.yaml": b"names: 3\n"}, r"/data.yaml: names is 3; expected a list of names, or names by number; fix "),
        (
            {"data.yaml": b"names: {0: a, 2: b}\n"},
            r"/data.yaml: names have the numbers 0, 2; expected 0 to 1; fix it$",
        ),
        ({"data.yaml": b"names: {a: b}\n"}, r"/data.yaml: names have the numbers a; expected 0 to 0; fix it$"),
        ({"data.yaml": b"nc: 3\nnames: [a]\n"}, r"/data.yaml: nc is 3, but there are 1 names; expected as many; fix "),
        ({"data.yaml": b"names: [a, a]\n"}, r"/data.yaml: two classes are named a; expected a name for each; rename "),
        ({"data.yaml": b"names: []\n"}, r"/data.yaml: no classes; expected one at least; fix the file$"),
        ({"classes.txt": b"\n"}, r"/classes.txt: names nothing; expected one name per line; fix it$"),
        ({"classes.txt": b"\xff"}, r"/classes.txt: not UTF-8 \(.*\); expected one name per line; fix it$"),
    ],
)
def test_names_that_are_none(files, what, tmp_path):
    with pytest.raises(DataError, match=rf"^{tmp_path}{what}"):
        opened(write_files(tmp_path, images() | files))


@pytest.mark.parametrize(
    "form", ["{kind}/{split}", "{split}/{kind}", "top/{kind}/{split}", "{split}", "{kind}/{split}2017"]
)
@pytest.mark.parametrize("archive", [False, True])
def test_usual_folders(form, archive, tmp_path):
    files = {
        **images("train", ("1", "2"), form=form),
        **images("val", ("3",), form=form, first_seed=2),
        **images("test", ("4", "5", "6"), form=form, first_seed=3),
        "top/data.yaml" if "top" in form else "data.yaml": NAMES,
    }
    path = write_tar(tmp_path / "a.tar", files) if archive else write_files(tmp_path, files)
    sets = [opened(path, split) for split in ("train", "valid", "test")]
    assert [[one.name(i) for i in range(len(one))] for one in sets] == [["1", "2"], ["3"], ["4", "5", "6"]]
    assert [len(one.read(0)[1]) for one in sets] == [1, 1, 1]
    assert [one.left_out() for one in sets] == [[], [], []]


@pytest.mark.parametrize("form", ["{kind}", "x", "x/{kind}"])
def test_one_set_is_split(form, tmp_path):
    names = [str(i) for i in range(20)]
    root = write_files(tmp_path, images("", names, form=form) | {"data.yaml": NAMES})
    sets = [opened(root, split, hold_back={"valid": 0.2, "test": 0.1}) for split in ("train", "valid", "test")]
    assert [len(one) for one in sets] == [14, 4, 2]
    assert len({one.image_id(i) for one in sets for i in range(len(one))}) == 20
    assert opened(root, "test") is None


def test_folders_that_yaml_names(tmp_path):
    yaml = (
        b"path: ../datasets/x\ntrain: [/else/images/a, images/b]\nval: ../c/images\ntest: test.txt\nnames: [cat, dog]"
    )
    files = {
        **images("a", ("1",)),
        **images("b", ("2",), first_seed=1),
        **images("c", ("3",), first_seed=2, form="{split}/{kind}"),
        **images("other", ("4", "5"), first_seed=3),
        "test.txt": b"./images/other/5.png\n\n/home/me/x/images/other/4.png\n",
        "data.yaml": yaml,
    }
    root = write_files(tmp_path, files)
    sets = [opened(root, split) for split in ("train", "valid", "test")]
    assert [[one.name(i) for i in range(len(one))] for one in sets] == [["1", "2"], ["3"], ["4", "5"]]


def test_folders_that_yaml_names_and_are_not_there(tmp_path):
    """The last part of a path alone would be another folder."""
    files = images("", [str(i) for i in range(10)], form="{kind}")
    root = write_files(tmp_path, files | {"data.yaml": NAMES + b"train: ../train/images\nval: ../valid/images\n"})
    assert [len(opened(root, split)) for split in ("train", "valid")] == [9, 1]


def test_folders_that_the_recipe_names(tmp_path):
    files = images("a", ("1",)) | images("b", ("2", "3"), first_seed=1) | {"list.txt": b"images/b/3.png\n"}
    root = write_files(tmp_path, files | {"data.yaml": NAMES + b"train: images/b"})
    options = {"train": "images/a", "valid": "list.txt", "test": "./images/b/"}
    sets = [opened(root, split, **options) for split in ("train", "valid", "test")]
    assert [[one.name(i) for i in range(len(one))] for one in sets] == [["1"], ["3"], ["2", "3"]]


@pytest.mark.parametrize(
    ("files", "options", "what"),
    [
        (
            {},
            {"train": "nowhere"},
            r": has no folder 'nowhere' for data.train; expected one of images, images/train, la",
        ),
        (
            {},
            {"train": "x.txt"},
            r": has no file 'x.txt' for data.train; expected a path inside it; correct data.train$",
        ),
        ({}, {"train": "labels"}, r"/labels: has no image; expected JPEG, PNG or the like; correct data.train$"),
        ({"x.txt": b"\n"}, {"train": "x.txt"}, r"/x.txt: names nothing; expected one image per line; fix it$"),
        (
            {"x.txt": b"\nimages/train/1.png\n9.png\n"},
            {"train": "x.txt"},
            r"/x.txt:3: 9.png is not in .*; expected a path from there; fix the list, or add the file$",
        ),
        (
            {"images/train/1.png": None, "images/val/1.png": png()},
            {},
            r": no folder of training images by its usual names; expected such as images/train and labels/train, or "
            r"train/images and train/labels; name it as data.train$",
        ),
        (
            {"labels/train/1.txt": None, "labels/train/2.txt": BOX, "images/train/0.png": png()},
            {},
            r"/images/train/0.png: no labels, nor has any of 2 images; expected a .txt beside it, or with images in "
            r"its path replaced by labels; add them$",
        ),
    ],
)
def test_images_that_are_not_found(files, options, what, tmp_path):
    content = {name: one for name, one in (images() | {"data.yaml": NAMES} | files).items() if one is not None}
    with pytest.raises(DataError, match=rf"^{tmp_path}{what}"):
        opened(write_files(tmp_path, content), **options)


def test_images_without_labels(tmp_path):
    found = data(tmp_path, files={f"images/train/{name}.png": png(seed=9) for name in ("0", "2", "3")})
    assert [str(one) for one in found.left_out()] == [
        f"{tmp_path}/images/train/0.png: 3 of 4 images are without labels, this one first; they count as images "
        "without objects; add their .txt, an empty one where there is no object"
    ]


def test_labels_without_an_image(tmp_path):
    found = data(tmp_path, files={f"labels/train/{name}.txt": BOX for name in ("7", "8", "classes")})
    assert [str(one) for one in found.left_out()] == [
        f"{tmp_path}/labels/train/7.txt: labels without an image, and so is 1 more; they are left out; add the image, "
        "or remove them"
    ]


_EXPECTED = "expected a class, and centre, width and height of a box, or three corners or more; fix it"


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b"1 0.5 0.4 0.2", f"4 numbers; {_EXPECTED}"),
        (b"1 0.5 0.4 0.2 0.6 0.9", f"6 numbers; {_EXPECTED}"),
        (b"1 0.5 0.4 0.2 wide", f"what is no number; {_EXPECTED}"),
        (b"1 0.5 0.4 0.2 nan", f"what is no number; {_EXPECTED}"),
        (b"2 0.5 0.4 0.2 0.6", "class 2 of 2; expected 0 to 1; correct it, or the names in data.yaml or data.classes"),
        (
            b"-1 0.5 0.4 0.2 0.6",
            "class -1 of 2; expected 0 to 1; correct it, or the names in data.yaml or data.classes",
        ),
        (b"0.5 0.5 0.4 0.2 0.6", "class 0.5 of 2; expected 0 to 1; correct it, or the names in data.yaml or data.clas"),
        (
            b"1 320 240 20 60",
            "the number 320; expected shares of the image's width and height, from 0 to 1; divide pixels by them",
        ),
    ],
)
def test_lines_that_are_no_object(line, what, tmp_path):
    found = data(tmp_path, BOX + line)
    with pytest.raises(DataError, match=rf"^{tmp_path}/labels/train/1.txt:2: {what}"):
        found.read(0)


def test_parts_of_a_set(tmp_path):
    root = write_files(tmp_path, images(names=("1", "2"), labels=BOX) | {"data.yaml": NAMES})
    part = pickle.loads(pickle.dumps(opened(root, hold_back={"valid": 0.0}).select(np.array([1]))))
    assert (len(part), part.name(0), part.image_id(0), len(part.read_objects(0))) == (1, "2", 2, 1)

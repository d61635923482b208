"""What is found in somebody's folders and archives."""

import json

import pytest

from attnkit.data.data_root import DataRoot
from attnkit.data.open import OpenedData
from attnkit.errors import DataError
from attnkit.new_recipe.own_data import coco_data, folder_of, found_data, has_any, image_names
from tests.data.formats.coco_files import annotation, coco, pictures
from tests.data.image_files import png, write_files, write_tar


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def part(images, annotations, *, numbers=(1, 2)):
    """Files of a split."""
    objects = [annotation(image=numbers[0])]
    return pictures(numbers, folder=images) | {annotations: coco(objects, images=numbers)}


def splits(config):
    """Folder and json of each that there is."""
    parts = {split: getattr(config, split) for split in ("train", "valid", "test")}
    return {split: (one.images, one.annotations) for split, one in parts.items() if one is not None}


def sizes(config):
    sets = [OpenedData(config)[split] for split in ("train", "valid", "test")]
    return [None if one is None else len(one) for one in sets]


# images and a json


@pytest.mark.parametrize(
    ("images", "annotations", "path", "below"),
    [
        ("photos", "objects.json", ".", ("photos", "objects.json")),
        ("d/photos", "d/objects.json", "d", ("photos", "objects.json")),
        ("d", "d/objects.json", "d", (".", "objects.json")),
        ("d/photos/", "d/a/b.json", "d", ("photos", "a/b.json")),
    ],
)
def test_one_set(images, annotations, path, below, folder):
    write_files(folder, part(images, annotations))
    config = coco_data(images, annotations)
    assert (config.path, splits(config)) == (path, {"train": below})
    assert sizes(config) == [2, None, None]


def test_absolute_paths(folder):
    write_files(folder, part("d/photos", "d/objects.json"))
    config = coco_data("d/photos", str(folder / "d/objects.json"))
    assert (config.path, splits(config)) == (str(folder / "d"), {"train": ("photos", "objects.json")})


@pytest.mark.parametrize(
    ("images", "annotations", "others"),
    [
        ("train2017", "a/instances_train2017.json", {"valid": ("val2017", "a/instances_val2017.json")}),
        ("train", "train.json", {"valid": ("valid", "valid.json"), "test": ("test", "test.json")}),
        ("x_training", "Training_a.json", {"valid": ("x_validation", "validation_a.json")}),
        ("photos", "train.json", {"valid": ("photos", "val.json")}),
    ],
)
def test_other_sets_are_found_by_their_names(images, annotations, others, folder):
    write_files(folder, part(f"d/{images}", f"d/{annotations}"))
    for number, (where, json_file) in enumerate(others.values(), start=3):
        write_files(folder, part(f"d/{where}", f"d/{json_file}", numbers=(number,)))
    config = coco_data(f"d/{images}", f"d/{annotations}")
    assert splits(config) == {"train": (images, annotations)} | others
    assert sizes(config) == [2, *(1 if split in others else None for split in ("valid", "test"))]


def test_folders_of_the_sets_below_the_one_of_images(folder):
    write_files(folder, part("d/images/train", "d/train.json") | part("d/images/dev", "d/dev.json", numbers=(3,)))
    config = coco_data("d/images", "d/train.json")
    assert splits(config) == {"train": ("images/train", "train.json"), "valid": ("images/dev", "dev.json")}
    assert sizes(config) == [2, 1, None]


def test_words_inside_other_words_are_none(folder):
    write_files(folder, part("trains", "trains.json") | part("vals", "vals.json") | part("strain", "strain.json"))
    assert splits(coco_data("trains", "trains.json")) == {"train": ("trains", "trains.json")}


def test_what_is_not_there(folder):
    write_files(folder, part("photos", "objects.json"))
    with pytest.raises(DataError, match=r"^nowhere: no such folder; expected a folder of images; correct --images$"):
        coco_data("nowhere", "objects.json")
    message = r"^photos: no such file; expected COCO's json of objects; correct --annotations$"
    with pytest.raises(DataError, match=message):
        coco_data("photos", "photos")


def test_images_that_are_elsewhere(folder):
    write_files(folder, part("photos", "train.json") | {"other/9.png": png()})
    message = (
        "train.json: none of its 2 images is in other, such as 1.png; expected them there, or in folders there as it "
        "names them; correct --images"
    )
    with pytest.raises(DataError, match=f"^{message}$"):
        coco_data("other", "train.json")
    write_files(folder, {"val.json": coco([], images=(7,))})
    message = (
        "val.json: none of its 1 images is in photos, such as 7.png; its name makes it the valid set; add its images, "
        "or move it elsewhere"
    )
    with pytest.raises(DataError, match=f"^{message}$"):
        coco_data("photos", "train.json")


def test_a_json_without_images(folder):
    write_files(folder, {"d/1.png": png(), "d/none.json": coco([], images=())})
    message = (
        "none.json: lists no images; expected COCO's json of images and the objects on them; correct the path, or fix "
        "the file"
    )
    with pytest.raises(DataError, match=f"^d/{message}$"):
        coco_data("d", "d/none.json")
    with pytest.raises(DataError, match=f"/d/{message}$"):
        found_data("d")


# a folder or archive


def test_yolo(folder):
    files = {"d/images/train/1.png": png(), "d/labels/train/1.txt": b"0 0.5 0.5 0.2 0.2\n"}
    write_files(folder, files)
    config = found_data("d")
    assert (config.format, config.path, config.hold_back.valid) == ("yolo", "d", 0.0)
    write_files(folder, {"e/data.yaml": b"names: [cat]", "e/train/1.png": png(), "e/train/1.txt": b"", "e/x.json": b""})
    assert found_data("e").format == "yolo"


def test_voc(folder):
    write_files(folder, {"d/1.png": png(), "d/1.XML": b"<annotation/>", "d/about.json": b"{}"})
    config = found_data("d")
    assert (config.format, config.path, config.hold_back.valid) == ("voc", "d", 0.0)


@pytest.mark.parametrize(
    ("train", "valid"),
    [
        (("train", "annotations/instances_train.json"), ("val", "annotations/instances_val.json")),
        (("images/train2017", "train2017.json"), ("images/val2017", "val2017.json")),
        (("train", "train/_annotations.coco.json"), ("valid", "valid/_annotations.coco.json")),
        (("images", "train.json"), ("images", "dev.json")),
        (("train/images", "train/objects.json"), ("test/images", "test/objects.json")),
    ],
)
@pytest.mark.parametrize("top", ["", "top/"])
@pytest.mark.parametrize("archive", [False, True])
def test_coco(train, valid, top, archive, folder):
    files = part(*train) | part(*valid, numbers=(3,))
    files = {top + name: content for name, content in files.items()}
    if archive:
        write_tar(folder / "d.tar", files)
    else:
        write_files(folder / "d", files)
    config = found_data("d.tar" if archive else "d")
    assert [size for size in sizes(config) if size is not None] == [2, 1]


def test_coco_has_other_jsons_too(folder):
    files = part("train", "a/instances_train.json") | {
        "a/captions_train.json": b"{}",
        "a/person_keypoints_train.json": b"",
    }
    assert splits(found_data(str(write_files(folder / "d", files)))) == {"train": ("train", "a/instances_train.json")}


@pytest.mark.parametrize("name", ["objects.json", "a/val_objects.json"])
def test_one_json_is_that_of_training(name, folder):
    write_files(folder / "d", part("images", name))
    assert splits(found_data("d")) == {"train": ("images", name)}


def test_images_beside_the_json(folder):
    write_files(folder / "d", part(".", "objects.json"))
    assert sizes(found_data("d")) == [2, None, None]


@pytest.mark.parametrize("archive", [False, True])
@pytest.mark.parametrize(
    ("names", "files", "images"),
    [
        ("{}.png", ("photos/{}.png",), "photos"),
        ("{}.png", ("photos/{}.png", "images/other{}.png", "z/1{}.png"), "photos"),
        ("{}.png", ("a/b c/{}.png", "a/{}.jpg"), "a/b c"),
        ("C:\\\\old\\\\{}.png", ("photos/{}.png",), "photos"),
        ("{}.png", ("images/{}.png", "photos/{}.png"), "images"),
        ("photos/{}.png", ("photos/{}.png",), {False: ".", True: "photos"}),
        ("caf\u00e9 {}.png", ("photos/caf\u00e9 {}.png",), "photos"),
    ],
)
def test_the_folder_that_has_the_images_of_the_json(names, files, images, archive, folder):
    there = {name.format(number): png(seed=number) for name in files for number in (1, 2, 3)}
    there |= {"notes.json": coco([annotation()], images=(1, 2, 3), names=names), "readme.txt": b""}
    write_tar(folder / "d.tar", there) if archive else write_files(folder / "d", there)
    config = found_data("d.tar" if archive else "d")
    assert config.train.images == (images if isinstance(images, str) else images[archive])
    assert sizes(config) == [3, None, None]


def test_images_below_several_folders_are_named_from_above(folder):
    """In photos/a a 2.png is found too, if the beginning of photos/b/2.png is left out; it is another image."""
    files = {f"photos/{name}.png": png(seed=seed) for seed, name in enumerate(("a/1", "a/2", "b/2"))}
    content = coco([], images=(1, 2)).replace(b'"1.png', b'"a/1.png').replace(b'"2.png', b'"b/2.png')
    write_files(folder / "d", files | {"notes.json": content})
    assert found_data("d").train.images == "photos"


def test_images_that_are_in_no_folder(folder):
    write_files(folder, {"d/photos/1.png": png(), "d/notes.json": coco([], images=(7, 8))})
    message = (
        "d/notes.json: none of its 2 images is in .*d, such as 7.png; expected them in a folder there; name theirs "
        "with --images, and the json with --annotations"
    )
    with pytest.raises(DataError, match=f"{message}$"):
        found_data("d")


def test_data_of_no_kind(folder):
    write_files(folder, {"photos/1.png": png(), "photos/2.png": png()})
    message = (
        "photos: 2 files, none of which says where objects are; expected YOLO's data.yaml and labels, Pascal VOC's "
        "xml files or COCO's json; correct --data"
    )
    with pytest.raises(DataError, match=f"^{message}$"):
        found_data("photos")
    write_files(folder, {f"photos/{name}.json": json.dumps({}).encode() for name in "ab"})
    message = (
        "photos: which of a.json, b.json has the training objects is not clear; expected one with train in its name; "
        "name it with --annotations, and its images with --images"
    )
    with pytest.raises(DataError, match=f"^{message}$"):
        found_data("photos")


# where the images lie that a json names


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

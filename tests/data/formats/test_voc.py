import pickle

import numpy as np
import pytest
from PIL import Image

from attnkit.data.detection.config import VocConfig
from attnkit.data.open import OpenedData
from attnkit.errors import DataError
from tests.data.image_files import picture, pixels, png, saved, write_files, write_tar
from tests.data.scene_files import mask

H, W = 10, 20


def voc_object(name="dog", box=(3, 2, 12, 7), *, difficult=None, more=""):
    corners = "".join(
        f"<{key}>{value}</{key}>" for key, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    )
    mark = "" if difficult is None else f"<difficult>{difficult}</difficult>"
    return f"<object><name>{name}</name>{mark}<bndbox>{corners}</bndbox>{more}</object>"


def xml(*objects, size=(H, W)):
    sides = "" if size is None else f"<size><width>{size[1]}</width><height>{size[0]}</height><depth>3</depth></size>"
    return f"<annotation><filename>else.jpg</filename>{sides}{''.join(objects)}</annotation>".encode()


def files(names, *, images="JPEGImages", notes="Annotations", first_seed=0, content=None):
    pictures = {f"{images}/{name}.png": png(H, W, seed=seed) for seed, name in enumerate(names, first_seed)}
    return pictures | {f"{notes}/{name}.xml": xml(voc_object()) if content is None else content for name in names}


def lists(**splits):
    return {f"ImageSets/Main/{split}.txt": "\n".join(names).encode() for split, names in splits.items()}


def opened(path, split="train", **options):
    return OpenedData(VocConfig(format="voc", path=str(path), **options))[split]


def data(tmp_path, content, more=None, **options):
    root = write_files(tmp_path, files(["1"], content=content) | (more or {}))
    return opened(root, **({"hold_back": {"valid": 0.0}} | options))


def names_of(found):
    return [found.name(i) for i in range(len(found))]


def test_objects(tmp_path):
    part = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>"
    objects = (
        voc_object(),
        voc_object(" cat ", (1, 1, 20, 10), difficult=1, more=part),
        voc_object("cat", (4.5, 2, 7, 3)),
    )
    found = data(tmp_path, xml(*objects))
    assert (found.class_names, found.category_ids) == (("cat", "dog"), (1, 2))
    assert (found.has_masks, found.semantic_classes, found.size(0), found.image_id(0)) == (False, None, (H, W), 1)
    image, objects = found.read(0)
    assert np.array_equal(image.numpy(), pixels(picture(H, W)))
    assert objects.boxes.tolist() == [[2, 1, 12, 7], [0, 0, 20, 10], [3.5, 1, 7, 3]]
    assert objects.labels.tolist() == [1, 0, 0]
    assert objects.areas.tolist() == [60, 200, 7]
    assert objects.difficult.tolist() == [False, True, False]
    assert objects.masks is None
    assert [one.id for one in found.annotations(0)] == ["1", "2", "3"]
    assert found.annotation_place(0) == f"{tmp_path}/Annotations/1.xml"


def test_difficult_objects_may_be_left_out_of_training(tmp_path):
    names = [str(i) for i in range(10)]
    content = xml(voc_object(), voc_object("cat", difficult=1))
    root = write_files(tmp_path, files(names, content=content))
    sets = [opened(root, split, difficult=False) for split in ("train", "valid")]
    assert [one.class_names for one in sets] == [("cat", "dog")] * 2
    assert [one.read_objects(0).difficult.tolist() for one in sets] == [[False], [False, True]]


@pytest.mark.parametrize("size", [None, (0, 0), ("x", 4)])
def test_without_a_size_an_image_is_seen_as_people_see_it(size, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = {"JPEGImages/1.png": saved(picture(H, W), exif=exif)}
    assert data(tmp_path / "1", xml(size=size), turned, classes=("a",)).read(0)[0].shape == (3, W, H)
    assert data(tmp_path / "2", xml(), turned, classes=("a",)).read(0)[0].shape == (3, H, W)


def test_lists(tmp_path):
    content = files(["1", "2.b", "3", "4", "5 c"]) | lists(train=["1 1", "2.b", "", "4 -1"], val=["3 0"], test=["5 c"])
    content["SegmentationClass/1.png"] = mask(np.zeros((H, W), dtype=np.uint8))
    for path in (write_files(tmp_path / "x", content), in_archive(tmp_path, content)):
        sets = [opened(path, split) for split in ("train", "valid", "test")]
        assert [names_of(one) for one in sets] == [["1", "2.b"], ["3"], ["5 c"]]
        assert [len(one.read(0)[1]) for one in sets] == [1, 1, 1]


def in_archive(tmp_path, content):
    return write_tar(tmp_path / "a.tar", {f"VOCdevkit/VOC2012/{name}": one for name, one in content.items()})


def test_a_list_of_all_is_split(tmp_path):
    names = [str(i) for i in range(10)]
    root = write_files(tmp_path, files(names) | lists(trainval=names))
    assert [len(opened(root, split)) for split in ("train", "valid")] == [9, 1]
    assert opened(root, "test") is None


@pytest.mark.parametrize("empty", [b"", b" \n\r\n", b"\xef\xbb\xbf\n"])
def test_an_empty_list_is_none(empty, tmp_path):
    names = [str(i) for i in range(10)]
    root = write_files(tmp_path, files(names) | lists(train=names))
    write_files(root, {f"ImageSets/Main/{name}.txt": empty for name in ("val", "test")})
    sets = [opened(root, split, hold_back={"valid": 0.2, "test": 0.1}) for split in ("train", "valid", "test")]
    assert [len(one) for one in sets] == [7, 2, 1]
    write_files(root, lists(validation=names[:3]))
    assert [len(opened(root, split)) for split in ("train", "valid")] == [10, 3]


def test_test_images_whose_objects_are_not_told(tmp_path):
    root = write_files(tmp_path, files(["1", "2"]) | lists(train=["1"], val=["2"], test=["8", "9"]))
    assert opened(root, "test") is None
    assert len(opened(root)) == 1


@pytest.mark.parametrize("form", ["{}", "top/{}", "{}/x"])
def test_folders_of_splits(form, tmp_path):
    content = {}
    for seed, (split, name) in enumerate((("train", "1"), ("valid", "2"), ("test", "3"))):
        folder = form.format(split)
        content |= files([name], images=folder, notes=folder, first_seed=seed)
    sets = [opened(write_files(tmp_path, content), split) for split in ("train", "valid", "test")]
    assert [names_of(one) for one in sets] == [["1"], ["2"], ["3"]]


def test_a_folder_of_annotations_in_each_split(tmp_path):
    content = {}
    for seed, split in enumerate(("train", "valid")):
        content |= files(["1"], images=f"{split}/JPEGImages", notes=f"{split}/Annotations", first_seed=seed)
    sets = [opened(write_files(tmp_path, content), split) for split in ("train", "valid")]
    assert [one.place(0) for one in sets] == [f"{tmp_path}/{split}/JPEGImages/1.png" for split in ("train", "valid")]


def test_one_folder_of_all(tmp_path):
    names = [str(i) for i in range(20)]
    root = write_files(tmp_path, files(names, images="x", notes="x"))
    sets = [opened(root, split, hold_back={"valid": 0.2, "test": 0.1}) for split in ("train", "valid", "test")]
    assert [len(one) for one in sets] == [14, 4, 2]


def test_what_the_recipe_names(tmp_path):
    content = files(["1", "2", "3"]) | files(["4"], images="more", notes="more", first_seed=3)
    content |= {"my.txt": b"x/1.jpg\n3\n"}
    root = write_files(tmp_path, content | lists(train=["2"]))
    sets = [opened(root, split, train="my.txt", valid="more") for split in ("train", "valid")]
    assert [names_of(one) for one in sets] == [["1", "3"], ["4"]]


def left_out(found, root):
    return [f"{one}".replace(f"{root}/", "") for one in found.left_out()]


def test_what_is_left_out(tmp_path):
    content = files(["1", "2", "3", "4"])
    for name in ("JPEGImages/2.png", "Annotations/3.xml", "Annotations/4.xml"):
        del content[name]
    root = write_files(tmp_path, content)
    assert left_out(opened(root), root) == [
        "Annotations/2.xml: its image is missing; it is left out; copy the images again",
        "JPEGImages/3.png: an image without xml, and so is 1 more; it is left out; add it, without objects if there "
        "are none",
    ]
    write_files(root, lists(train=["1", "2", "3"]))
    assert left_out(opened(root), root) == [
        "Annotations/2.xml: its image is missing; it is left out; copy the images again",
        "ImageSets/Main/train.txt:3: an image without xml; it is left out; add it, without objects if there are none",
    ]


def test_classes(tmp_path):
    content = files(["1"]) | files(["2"], first_seed=1, content=xml(voc_object("zebra"), voc_object("")))
    root = write_files(tmp_path, content | lists(train=["1"], val=["2"]))
    assert opened(root, classes=("zebra", "dog")).read_objects(0).labels.tolist() == [1]
    message = (
        rf"^{root}/Annotations/2.xml: object 1 is of class zebra, which is not among the 1 of training, dog; expected "
        r"one of them; correct it, or name all as data.classes$"
    )
    with pytest.raises(DataError, match=message):
        opened(root, "valid").read(0)
    with pytest.raises(
        DataError, match=r"2.xml: object 2 is of class none, which is not among the 1 of training, zebr"
    ):
        opened(root, "valid", classes=("zebra",)).read(0)
    with pytest.raises(
        DataError, match=r"^data.classes: two classes are named a; expected a name for each; rename one"
    ):
        opened(root, classes=("a", "a"))
    with pytest.raises(DataError, match=rf"^{tmp_path}/none: no classes; expected one at least; fix the file$"):
        opened(write_files(tmp_path / "none", files(["1"], content=xml())))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"<annotation>", r"no xml \(.*\); expected VOC's, with an annotation of an image; fix it, or remove it and"),
        (b"<html/>", r"xml of <html>; expected VOC's, with an annotation of an image; fix it, or remove it and the i"),
        (b'<?xml version="1.0" encoding="gbk"?><annotation/>', r"no xml \(multi-byte encodings are not supported\); e"),
        (b'<?xml version="1.0" encoding="x"?><annotation/>', r"no xml \(unknown encoding: .*\); expected VOC's, with "),
        (xml(size=(3, "inf")), r"a size of inf x 3 pixels; expected 1000000 a side at most; fix the file$"),
        (xml(size=("1e400", 3)), r"a size of 3 x inf pixels; expected 1000000 a side at most; fix the file$"),
        (xml(size=(3, 10**30)), r"a size of 1e\+30 x 3 pixels; expected 1000000 a side at most; fix the file$"),
        (
            xml("<object><name>dog</name></object>"),
            "object 1 has no bndbox with xmin, ymin, xmax, ymax; expected its corners in pixels; fix the file$",
        ),
        (
            xml(voc_object(box=(1, "", 3, 4))),
            "object 1 has no bndbox with xmin, ymin, xmax, ymax; expected its corners",
        ),
        (
            xml(voc_object(box=(1, "x", 3, 4))),
            r"object 1 has the box \[0.0, nan, 3.0, 4.0\]; expected four numbers, or",
        ),
        (
            xml(size=(3, 4)),
            r"for 4 x 3 pixels, but its image .*/1.png has 20 x 10; expected the same size; correct the",
        ),
    ],
)
def test_files_that_are_broken(content, what, tmp_path):
    found = data(tmp_path, content, classes=("dog",))
    with pytest.raises(DataError, match=rf"^{tmp_path}/Annotations/1.xml: {what}"):
        found.read(0)


def test_all_files_are_broken(tmp_path):
    root = write_files(tmp_path, files(["1", "2"], content=b"<html/>"))
    with pytest.raises(DataError, match=rf"^{root}/Annotations/1.xml: xml of <html>; expected VOC's, with an annotati"):
        opened(root)


def test_classes_are_found_beside_a_broken_file(tmp_path):
    root = write_files(tmp_path, files(["1", "2"]) | {"Annotations/2.xml": b"<"})
    assert opened(root, hold_back={"valid": 0.0}).class_names == ("dog",)


@pytest.mark.parametrize(
    ("content", "options", "what"),
    [
        (
            {"x.txt": b"1"},
            {},
            r": no image has an xml; expected 1.xml for 1.jpg, beside it or in Annotations; correct da",
        ),
        (
            files(["1"]),
            {"train": "x"},
            r": has no folder 'x' for data.train; expected one of Annotations, JPEGImages; co",
        ),
        (
            files(["1"]),
            {"train": "x.txt"},
            r": has no file 'x.txt' for data.train; expected a path inside it; correct ",
        ),
        (
            files(["1"]) | {"x.txt": b"9"},
            {"train": "x.txt"},
            r"/x.txt: no image has an xml; expected 1.xml for 1.jpg, ",
        ),
        (
            files(["1"]) | {"x.txt": b"\n"},
            {"train": "x.txt"},
            r"/x.txt: names nothing; expected one image per line; fi",
        ),
        (
            files(["1"]) | {"ImageSets/Main/train.txt": b"\n"},
            {},
            r"/ImageSets/Main/train.txt: names nothing; expected one image per line; fix it$",
        ),
        (
            files(["1"], images="a/x", notes="a/Annotations") | files(["1"], images="b/x", notes="b/Annotations"),
            {},
            r": a, b each have a folder Annotations; expected one; name one of them as data.path, or each as "
            r"data.train, data.valid and data.test$",
        ),
        (
            files(["1"]) | files(["1"], images="JPEGImages/more", notes="more"),
            {},
            r"/JPEGImages/more/1.png: .*/JPEGImages/1.png has its name too; expected a name for each; rename one of "
            r"them, or name folders or lists as data.train, data.valid and data.test$",
        ),
        (
            files(["1"]) | lists(val=["1"]),
            {},
            r": no list or folder of training images by its usual name; expected ImageSets/Main/train.txt, or a folder "
            r"train; name it as data.train$",
        ),
    ],
)
def test_images_that_are_not_found(content, options, what, tmp_path):
    with pytest.raises(DataError, match=rf"^{tmp_path}{what}"):
        opened(write_files(tmp_path, content), **options)


def test_parts_of_a_set(tmp_path):
    root = write_files(tmp_path, files(["1", "2"]))
    part = pickle.loads(pickle.dumps(opened(root, hold_back={"valid": 0.0}).select(np.array([1]))))
    assert (len(part), part.name(0), part.image_id(0), len(part.read_objects(0))) == (1, "2", 2, 1)

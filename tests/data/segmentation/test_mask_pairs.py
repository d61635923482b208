import pytest

from attnkit.data.data_root import DataRoot
from attnkit.data.segmentation.config import MaskFilesConfig
from attnkit.data.segmentation.mask_pairs import find_pairs, pair, pair_by_list
from attnkit.errors import DataError
from tests.data.image_files import write_files, write_tar

SPLITS = ("train", "valid", "test")


def pairs(tmp_path, names, *, images="images", masks="masks", archive=False):
    """The pairs among empty files."""
    content = dict.fromkeys(names, b"")
    path = write_tar(tmp_path / "a.tar", content) if archive else write_files(tmp_path / "f", content)
    root = DataRoot(str(path))
    return pair(root.folder(images, "x"), root.folder(masks, "x"), option="data.train")


def named(found):
    return [(found.images.names[i].split("/")[-1], found.masks.names[m].split("/")[-1]) for i, m in found.rows]


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("x.jpg", "x.png"),
        ("deep/x.JPG", "deep/x.PNG"),
        ("city/x_000019_leftImg8bit.png", "city/x_000019_gtFine_labelIds.png"),
        ("x.png", "x_L.png"),
        ("x.jpg", "x_mask.gif"),
        ("x.tif", "x-label.tif"),
        ("x_sat.jpg", "x_mask.png"),
        ("x_rgb.png", "x.png"),
        ("x.jpg", "x.jpg"),
        ("a.b.jpg", "a.b.png"),
    ],
)
@pytest.mark.parametrize("archive", [False, True])
def test_masks_are_named_as_their_images(image, mask, archive, tmp_path):
    found = pairs(tmp_path, [f"images/{image}", f"masks/{mask}", "images/y.jpg", "masks/z.png"], archive=archive)
    assert named(found) == [(image.split("/")[-1], mask.split("/")[-1])]
    lone = [
        [tree.names[n].split("/")[-1] for n in numbers]
        for tree, numbers in ((found.images, found.images_alone), (found.masks, found.masks_alone))
    ]
    assert lone == [["y.jpg"], ["z.png"]]


def test_the_same_name_in_another_folder_is_another_one(tmp_path):
    found = pairs(tmp_path, ["images/a/x.jpg", "images/b/x.jpg", "masks/b/x.png"])
    assert found.rows == [(1, 0)]
    assert found.images_alone == [0]


def test_the_first_of_several_masks_is_taken(tmp_path):
    masks = ["x_gtFine_color", "x_gtFine_instanceIds", "x_gtFine_labelIds", "x_gtFine_labelTrainIds"]
    found = pairs(tmp_path, ["images/x_leftImg8bit.png", *(f"masks/{name}.png" for name in masks)])
    assert named(found) == [("x_leftImg8bit.png", "x_gtFine_labelTrainIds.png")]
    assert [found.masks.names[n] for n in found.masks_alone] == ["x_gtFine_labelIds.png"]
    found = pairs(tmp_path / "2", ["images/x.png", "masks/x.jpg", "masks/x.png", "masks/x_mask.png"])
    assert named(found) == [("x.png", "x.png")]


@pytest.mark.parametrize("archive", [False, True])
def test_images_and_masks_in_one_folder(archive, tmp_path):
    names = ["f/x.jpg", "f/x.png", "f/y.png", "f/y_mask.png", "f/z.png", "f/notes.txt"]
    found = pairs(tmp_path, names, images="f", masks="f", archive=archive)
    assert named(found) == [("x.jpg", "x.png"), ("y.png", "y_mask.png")]
    assert [found.images.names[n].split("/")[-1] for n in found.images_alone] == ["z.png"]
    assert [found.images.names[n].split("/")[-1] for n in found.others] == ["notes.txt"]
    assert found.masks_alone == []


def test_masks_below_the_images(tmp_path):
    found = pairs(tmp_path, ["f/x.jpg", "f/masks/x.png"], images="f", masks="f/masks")
    assert named(found) == [("x.jpg", "x.png")]
    assert found.images_alone == found.masks_alone == []


def test_what_is_left_out_is_told(tmp_path):
    names = ["images/x.jpg", *(f"images/{name}.jpg" for name in "abc"), "images/n.txt", "masks/x.png", "masks/q.png"]
    found = pairs(tmp_path, names)
    assert [str(one).removeprefix(f"{tmp_path}/f/") for one in found.left_out()] == [
        "images/a.jpg: an image without a mask, and so are 2 more; it is left out; add its mask, or remove it",
        "masks/q.png: a mask without an image; it is left out; add its image, or remove it",
        "images/n.txt: no image by the end of its name; it is left out; remove it, or convert it to JPEG or PNG",
    ]
    assert found.image_name(found.rows[0][0]) == "x.jpg"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["images/a.jpg", "images/b.jpg", "masks/c.png"],
            r"/f/images: not one of 2 images has a mask in .*/f/masks, which holds 1 mask, such as c.png; expected "
            r"a.png for a.jpg; rename the masks, or name a list of both as data.train.list$",
        ),
        (["images/a.jpg", "masks/a.txt"], r"which holds none; expected a.png for a.jpg; "),
        (["images/a.txt", "masks/a.png"], r"/f/images: has files, but no image; expected JPEG, PNG or the like; "),
    ],
)
def test_no_pair_at_all(names, message, tmp_path):
    with pytest.raises(DataError, match=message):
        pairs(tmp_path, names)


class TestLists:
    NAMES = ("top/a/x 1.jpg", "top/b/x 1.png", "top/a/y.jpg", "top/b/y.png")

    def by_list(self, tmp_path, content, images="", masks=""):
        root = DataRoot(str(write_files(tmp_path, dict.fromkeys(self.NAMES, b""))))
        folders = [root.folder(name, "x") if name else root.below(root.top) for name in (images, masks)]
        return named(pair_by_list(content, "l.txt", *folders))

    @pytest.mark.parametrize(
        "content",
        [
            b"a/y.jpg b/y.png\na/x 1.jpg\tb/x 1.png\n",
            b"/a/y.jpg , /b/y.png\r\n\r\na/x 1.jpg,b/x 1.png",
            b"\xef\xbb\xbfa/y.jpg\tb/y.png\na/x 1.jpg\tb/x 1.png",
        ],
    )
    def test_pairs_in_the_order_of_the_list(self, content, tmp_path):
        assert self.by_list(tmp_path, content) == [("y.jpg", "y.png"), ("x 1.jpg", "x 1.png")]

    def test_names_alone(self, tmp_path):
        assert self.by_list(tmp_path, b"y\ty.png\n", "a", "b") == [("y.jpg", "y.png")]
        assert self.by_list(tmp_path, b"y\n", "a", "b") == [("y.jpg", "y.png")]

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"\na/z.jpg b/y.png", r"^l.txt:2: a/z.jpg is not in .*/top; expected a path from there; fix the list"),
            (b"a/y.jpg b/z.png", r"^l.txt:1: b/z.png is not in "),
            (b"a/y.jpg", r"^l.txt:1: mask of a/y.jpg is not in "),
            (b"\n \n", r"^l.txt: names no image; expected a line per image: image and mask; fix the list$"),
            (b"\xff\xfe", r"^l.txt: not UTF-8 \(.*; expected a line per image: image and mask; fix it$"),
        ],
    )
    def test_broken_lists(self, content, message, tmp_path):
        with pytest.raises(DataError, match=message):
            self.by_list(tmp_path, content)


# Folders


def found(path, **options):
    """By split, the names of the pairs without ending."""
    config = MaskFilesConfig(format="mask_files", path=str(path), **options)
    root = DataRoot(config.path)
    pairs = {split: find_pairs(root, config, split) for split in SPLITS}
    return {
        split: [(pair.images.names[i].rpartition(".")[0], pair.masks.names[m].rpartition(".")[0]) for i, m in pair.rows]
        for split, pair in pairs.items()
        if pair is not None
    }


@pytest.mark.parametrize(
    ("train", "valid", "test"),
    [
        (("images/training", "annotations/training"), ("images/validation", "annotations/validation"), None),
        (("img_dir/train", "ann_dir/train"), ("img_dir/val", "ann_dir/val"), ("img_dir/test", "ann_dir/test")),
        (("leftImg8bit/train", "gtFine/train"), ("leftImg8bit/val", "gtFine/val"), None),
        (("train/images", "train/masks"), ("valid/images", "valid/masks"), ("test/images", "test/masks")),
        (("train", "trainannot"), ("val", "valannot"), ("test", "testannot")),
        (("train", "train_labels"), ("dev", "dev_labels"), ("testing", "testing_labels")),
        (("images-train", "masks-train"), ("images-val", "masks-val"), None),
        (("images", "masks"), None, None),
        (("JPEGImages", "SegmentationClass"), None, None),
    ],
)
@pytest.mark.parametrize("top", ["", "top/"])
def test_usual_names(train, valid, test, top, tmp_path):
    splits = {split: pair for split, pair in zip(SPLITS, (train, valid, test), strict=True) if pair}
    content = {f"{top}readme.txt" if top else "readme.txt": b"", f"{top}other/x.png": b""}
    for split, (images, masks) in splits.items():
        content |= {f"{top}{images}/{split}.jpg": b"", f"{top}{masks}/{split}.png": b""}
    expected = {
        split: [(f"{top}{images}/{split}", f"{top}{masks}/{split}")] for split, (images, masks) in splits.items()
    }
    assert found(write_tar(tmp_path / "a.tar", content)) == expected
    assert found(write_files(tmp_path / "f", content)) == expected


def test_images_without_masks_are_no_split(tmp_path):
    content = dict.fromkeys(("train/a.jpg", "train_masks/a.png", "test/a.jpg"), b"")
    assert set(found(write_files(tmp_path, content))) == {"train"}


def test_two_that_could_be(tmp_path):
    content = dict.fromkeys(("images/train/a.jpg", "train/images/a.jpg", "masks/train/a.png"), b"")
    message = r": images/train, train/images could each be data.train.images; expected one; name images and masks as "
    with pytest.raises(DataError, match=message):
        found(write_files(tmp_path, content))


def test_where_one_split_is_named_no_other_is_looked_for(tmp_path):
    content = dict.fromkeys(("x/a.jpg", "y/a.png", "images/val/b.jpg", "masks/val/b.png"), b"")
    root = write_files(tmp_path, content)
    assert found(root, train={"images": "x", "masks": "y"}) == {"train": [("a", "a")]}
    assert found(root, valid={"images": "images/val", "masks": "masks/val"}) == {"valid": [("b", "b")]}


def test_a_list_of_a_split(tmp_path):
    content = dict.fromkeys(("top/a/x.jpg", "top/b/x.png"), b"") | {
        "top/l.txt": b"a/x.jpg b/x.png\n",
        "top/names.txt": b"x",
    }
    for path in (write_tar(tmp_path / "a.tar", content), write_files(tmp_path / "f", content)):
        assert found(path, train={"list": "l.txt"}) == {"train": [("top/a/x", "top/b/x")]}
        both = found(path, train={"list": "top/names.txt", "images": "top/a", "masks": "top/b"})["train"]
        assert [(i.rpartition("/")[2], m.rpartition("/")[2]) for i, m in both] == [("x", "x")]


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({"images": "a"}, r"^data.train.masks: not given; expected images and masks, or list; add it$"),
        ({"masks": "a"}, r"^data.train.images: not given; expected images and masks, or list; add it$"),
        ({"images": "a", "masks": "c"}, r"has no folder 'c' for data.train.masks; expected one of a, b; correct "),
        ({"list": "l.txt"}, r"has no file 'l.txt' for data.train.list; expected a path inside it; correct "),
    ],
)
def test_what_the_recipe_names_wrongly(train, message, tmp_path):
    root = write_files(tmp_path, dict.fromkeys(("a/x.jpg", "b/x.png"), b""))
    with pytest.raises(DataError, match=message):
        found(root, train=train)

import pytest

from attnkit.data.data_root import DataRoot
from attnkit.data.segmentation.config import MaskFilesConfig
from attnkit.data.segmentation.mask_folders import find_pairs
from attnkit.errors import DataError
from tests.data.image_files import write_files, write_tar

SPLITS = ("train", "valid", "test")


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


def test_a_list(tmp_path):
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

import json

import numpy as np
import pytest

from attnkit.data.open import OpenedData
from attnkit.data.segmentation.check_segmentation import check_segmentation
from attnkit.data.segmentation.config import CocoMasksConfig, MaskFilesConfig, SegmentationShapesConfig
from attnkit.errors import DataError
from tests.data.image_files import picture, png, saved, write_files
from tests.data.scene_files import labels, mask, scenes

COUNTS = {"train": 10, "val": 2, "test": 2}


def folder(tmp_path, files=None, *, without=()):
    """A folder where nothing is wrong but what `files` brings in."""
    good, seed = {}, 0
    for split, count in COUNTS.items():
        names = map(str, range(count))
        good |= scenes(*names, images=f"images/{split}", masks=f"masks/{split}", first_seed=seed)
        seed += count
    return write_files(tmp_path, {name: good[name] for name in good if name not in without} | (files or {}))


def check(root, *, quick=False, **options):
    return check_segmentation(OpenedData(MaskFilesConfig(format="mask_files", path=str(root), **options)), quick=quick)


def lines(report, root=""):
    found = [f"{finding.severity} {finding}" for finding in report.findings]
    return [line.replace(f"{root}/", "") for line in found] if root else found


def values(*rows):
    return mask(np.array(rows, dtype=np.uint8))


@pytest.mark.parametrize("quick", [True, False])
def test_nothing_to_find(quick, tmp_path):
    report = check(folder(tmp_path), quick=quick)
    assert report.findings == []
    assert report.ok
    counted = np.sum([np.bincount(labels(seed).ravel(), minlength=3) for seed in range(10)], axis=0)
    stats = report.stats["train"]
    names = ("class 0", "class 1", "class 2")
    assert stats.pixels == dict(zip(names, counted.tolist(), strict=True))
    assert stats.images_with == dict.fromkeys(names, 10)
    assert (stats.images, stats.masks_read, stats.ignored_pixels, stats.broken) == (10, 10, 0, 0)
    assert stats.smallest == stats.largest == (5, 7)
    assert [(split, stats.images) for split, stats in report.stats.items()] == [
        ("train", 10),
        ("valid", 2),
        ("test", 2),
    ]


@pytest.mark.parametrize("quick", [True, False])
def test_broken_files_are_named(quick, tmp_path):
    root = folder(tmp_path, {"images/train/3.jpg": b"", "masks/val/1.png": b"nothing"})
    report = check(root, quick=quick)
    why = "expected a whole image file (JPEG, PNG, WebP, BMP, GIF, TIFF or PPM); copy it again, or remove it"
    assert lines(report, root) == [
        f"error masks/val/1.png: not an image, or of an unknown kind; {why}",
        f"warning images/train/3.jpg: empty file, 0 bytes; {why}",
    ]
    assert (report.stats["train"].broken, report.stats["train"].masks_read) == (1, 9)


@pytest.mark.parametrize("quick", [True, False])
def test_sizes_that_differ(quick, tmp_path):
    root = folder(tmp_path, {"masks/test/0.png": mask(labels(size=(7, 5)))})
    assert lines(check(root, quick=quick), root) == [
        "error masks/test/0.png: 5 x 7 pixels, but its image images/test/0.jpg has 7 x 5; expected the same size; make "
        "the mask again, or remove both"
    ]


def test_many_broken_masks_are_counted(tmp_path):
    root = folder(
        tmp_path,
        {f"masks/train/{i}.png": b"" for i in range(2)}
        | scenes(*(f"x{i:02}" for i in range(11)), images="images/train", masks="masks/train", first_seed=50)
        | {f"masks/train/x{i:02}.png": b"" for i in range(11)},
    )
    found = lines(check(root, quick=True))
    assert len(found) == 11
    assert found[-1] == (
        "warning data.train: 3 more images or masks are broken or do not fit; all should be whole; fix them too"
    )


def test_what_is_cut_off_shows_when_it_is_decoded(tmp_path):
    cut = saved(picture(50, 70), "JPEG")[:1000]
    root = folder(tmp_path, {"images/test/1.jpg": cut, "masks/test/1.png": mask(labels(size=(50, 70)))})
    assert check(root, quick=True).findings == []
    (line,) = lines(check(root), root)
    assert line.startswith("error images/test/1.jpg: cannot be decoded (")


def test_missing_partners(tmp_path):
    root = folder(tmp_path, without=("masks/train/3.png", "images/val/0.jpg"))
    assert lines(check(root), root) == [
        "warning images/train/3.jpg: an image without a mask; it is left out; add its mask, or remove it",
        "warning masks/val/0.png: a mask without an image; it is left out; add its image, or remove it",
    ]


def test_what_is_left_out_of_a_set_that_is_split_is_told_once(tmp_path):
    root = write_files(tmp_path, scenes(*map(str, range(20))) | {"images/alone.png": png(5, 7)})
    report = check(root, hold_back={"valid": 0.2, "test": 0.2})
    assert [line for line in lines(report) if "alone" in line] == [
        f"warning {root}/images/alone.png: an image without a mask; it is left out; add its mask, or remove it"
    ]
    assert [stats.images for stats in report.stats.values()] == [12, 4, 4]


class TestBlackAndWhite:
    HOW = "data.classes={0: background, 255: object} and data.ignore=[]"

    def folder(self, tmp_path):
        drawn = {
            f"masks/{split}/{i}.png": mask((labels(i) > 0).astype(np.uint8) * 255)
            for split, count in COUNTS.items()
            for i in range(count)
        }
        return folder(tmp_path, drawn)

    def test_without_classes(self, tmp_path):
        root = self.folder(tmp_path)
        assert lines(check(root, quick=True)) == [
            f"error {root}: the pixels of the training masks are 0 and 255 alone; expected class ids, 0, 1, 2 and so "
            f"on; say what they mean: {self.HOW}"
        ]

    def test_with_names_the_ignored_class_is_seen(self, tmp_path):
        found = lines(check(self.folder(tmp_path), quick=True, classes=["background", "object"]))
        assert found[0] == (
            "error data.train: the pixels of the training masks are 0 and 255 alone; expected class ids, 0, 1, 2 and "
            f"so on; say what they mean: {self.HOW}"
        )

    def test_255_of_no_class(self, tmp_path):
        root = self.folder(tmp_path)
        line, *_ = lines(check(root, quick=True, classes=["background", "object"], ignore=[]), root)
        assert line == (
            "error masks/train/0.png: pixel value 255 of no class, in 10 masks; expected 0, 1, or none to be ignored; "
            f"if the masks are black and white, say what that means: {self.HOW}; if 255 is of no class, "
            "data.ignore=[255]"
        )

    def test_it_is_mended_so(self, tmp_path):
        report = check(self.folder(tmp_path), classes={0: "background", 255: "object"}, ignore=[])
        assert report.findings == []
        assert set(report.stats["train"].pixels) == {"background", "object"}


def test_some_black_and_white_masks_among_others(tmp_path):
    white = {f"masks/train/{i}.png": mask((labels(i) > 0).astype(np.uint8) * 255) for i in (3, 5)}
    assert (
        "warning masks/train/3.png: its pixels are 0 and 255 alone, as are 1 more, and 255 is ignored; expected the "
        "ids of what is there; make it again if its objects are white; nothing is wrong if there are none"
    ) in lines(check(folder(tmp_path, white)), tmp_path)


@pytest.mark.parametrize("quick", [True, False])
def test_ids_outside_the_classes(quick, tmp_path):
    wrong = labels()
    wrong[2, 3] = 9
    root = folder(tmp_path, {"masks/train/4.png": mask(wrong), "masks/val/1.png": mask(wrong * 5)})
    report = check(root, quick=quick, classes=["a", "b", "c"])
    fix = "expected 0, 1, 2, or 255 to be ignored; add to data.classes or data.ignore, or fix the masks"
    assert lines(report, root) == [
        f"error masks/train/4.png: pixel value 9 of no class; {fix}",
        f"error masks/val/1.png: pixel values 5, 10, 45 of no class; {fix}",
    ]
    with pytest.raises(DataError, match=rf"^{root}/masks/train/4.png: pixel value 9 of no class; expected 0, 1, 2"):
        report.raise_errors()


def test_masks_that_were_resized_as_photographs(tmp_path):
    smooth = mask(np.arange(35, dtype=np.uint8).reshape(5, 7) * 7)
    root = folder(tmp_path, {"masks/test/0.png": smooth})
    (line,) = (line for line in lines(check(root), root) if "0.png" in line)
    assert line.startswith(
        "error masks/test/0.png: pixel values 7, 14, 21, 28, 35, 42, 49, 56, 63, 70 and 24 more of no"
    )
    assert line.endswith(
        "if the masks were resized or saved as JPEG, make them again, resized to the nearest pixel and as PNG; else "
        "add to data.classes"
    )


def test_masks_where_everything_is_ignored(tmp_path):
    empty = values(*[[255] * 7] * 5)
    root = folder(tmp_path, {"masks/train/4.png": empty, "masks/train/6.png": empty, "masks/test/0.png": empty})
    why = "there is nothing to learn or to score on such an image; label it, or remove it"
    assert lines(check(root), root) == [
        f"warning masks/train/4.png: all pixels are ignored, and so is 1 more; {why}",
        f"warning masks/test/0.png: all pixels are ignored; {why}",
    ]
    root = folder(tmp_path, {f"masks/val/{i}.png": empty for i in range(2)})
    assert (
        "error data.valid: all pixels of all masks are ignored; there is nothing to learn or to score; see "
        "data.ignore, data.classes and data.reduce_zero_label"
    ) in lines(check(root), root)


def test_many_ignored_pixels(tmp_path):
    half = values([0, 1, 2, 255, 255, 255, 255], *[[255] * 7] * 4)
    root = folder(tmp_path, {f"masks/test/{i}.png": half for i in range(2)})
    assert lines(check(root), root) == [
        "warning data.test: 91% of the pixels are ignored; the model never learns what is there, and no score "
        "covers it; see data.ignore; give them a class if they are of one"
    ]


def test_classes_that_are_not_there(tmp_path):
    root = folder(tmp_path, {f"masks/val/{i}.png": mask(labels(classes=2)) for i in range(2)})
    assert lines(check(root, classes=["a", "b", "c", "d"]), root) == [
        "warning data.train: no pixel of 1 of 4 classes, d; they cannot be learned; add images of them, or correct "
        "data.classes",
        "warning data.valid: no pixel of 2 of 4 classes, c, d; how well they are found cannot be measured; add "
        "images of them, or correct data.classes",
        "warning data.test: no pixel of 1 of 4 classes, d; how well they are found cannot be measured; add images "
        "of them, or correct data.classes",
    ]


def test_one_class_alone(tmp_path):
    drawn = {f"masks/{split}/{i}.png": values(*[[0] * 7] * 5) for split, count in COUNTS.items() for i in range(count)}
    root = folder(tmp_path, drawn)
    assert lines(check(root)) == [
        "error data.train: one class alone, class 0; there is nothing to tell apart; give the rest of the images a "
        "class too: see data.classes and data.ignore"
    ]


def large(*counts):
    """A mask of 100x100 pixels, so many of each class, the rest of the first."""
    pixels = np.zeros(10_000, dtype=np.uint8)
    pixels[: sum(counts)] = np.repeat(np.arange(1, len(counts) + 1), counts)
    return mask(pixels.reshape(100, 100))


def test_balance(tmp_path):
    drawn = {}
    for split, count in COUNTS.items():
        for i in range(count):
            drawn[f"images/{split}/{i}.jpg"] = png(100, 100, seed=len(drawn))
            drawn[f"masks/{split}/{i}.png"] = large(40, 9, 30 if i < 3 or split != "train" else 0)
    names = ["a", "b", "c", "d"]
    assert lines(check(folder(tmp_path, drawn), classes=names)) == [
        "warning data.train: 99.4% of the pixels are a; a model that always predicts it is nearly always right; see "
        "the scores per class; loss.class_weights=median_frequency helps",
        "warning data.train: under 0.1% of the pixels are of 2 of 4 classes, c (0.09%), d (0.09%); they hardly "
        "count in the loss; loss.class_weights=median_frequency; see the scores per class",
        "warning data.train: on fewer than 5 images are 1 of 4 classes, d (3); a class is hardly learned from so few; "
        "add images of them",
    ]


def test_images_that_stand_twice(tmp_path):
    same = saved(picture(5, 7, seed=90), "JPEG")
    root = folder(tmp_path, {f"images/{name}.jpg": same for name in ("train/1", "train/2", "val/0", "test/1")})
    assert check(root, quick=True).findings == []
    good = "the score is too good where the model has seen the answer; remove these images from"
    assert lines(check(root), root) == [
        "warning images/train/2.jpg: the same image is there twice, at images/train/1.jpg; it counts double; "
        "remove all but one",
        f"warning images/val/0.jpg: the same image is in train too, at images/train/1.jpg; {good} train",
        f"warning images/test/1.jpg: the same image is in train too, at images/train/1.jpg; {good} train",
        f"warning images/test/1.jpg: the same image is in valid too, at images/val/0.jpg; {good} valid",
    ]


def test_a_quick_look_decodes_some_masks_alone(tmp_path):
    """Two hundred, evenly chosen: of 300 masks not the third, with values of no class; all are compared in size."""
    root = folder(tmp_path, scenes(*(f"{i:03}" for i in range(10, 300)), images="images/train", masks="masks/train"))
    (root / "masks/train/011.png").write_bytes(mask(labels() + 50))
    (root / "masks/train/6.png").write_bytes(mask(labels(size=(7, 5))))
    report = check(root, quick=True, classes=["a", "b", "c"])
    assert [line.split(";")[0] for line in lines(report, root)] == [
        "warning masks/train/6.png: 5 x 7 pixels, but its image images/train/6.jpg has 7 x 5"
    ]
    assert report.stats["train"].masks_read == 200


def test_missing_splits(tmp_path):
    root = write_files(tmp_path, scenes(*map(str, range(10))))
    held_back = {"valid": 0.0}
    quick, deep = (lines(check(root, quick=quick, hold_back=held_back)) for quick in (True, False))
    assert quick == [
        "warning data.valid: no images; the best checkpoint cannot be chosen, nor training stopped early; name folders "
        "of valid images and masks as data.valid, or set data.hold_back.valid=0.1"
    ]
    assert deep[:1] == quick
    assert deep[1].startswith(
        "warning data.test: no images; the model cannot be scored on images it was not trained on; "
    )


def test_other_kinds_of_data(tmp_path):
    config = SegmentationShapesConfig(format="shapes", train_images=11, valid_images=3, test_images=2, size=17)
    report = check_segmentation(OpenedData(config))
    assert report.ok
    assert [stats.images for stats in report.stats.values()] == [11, 3, 2]
    assert sum(report.stats["test"].pixels.values()) == 2 * 17 * 17
    assert check_segmentation(OpenedData(config), quick=True).stats["test"].pixels == report.stats["test"].pixels


def test_coco_with_other_categories(tmp_path):
    def about(*names):
        images = [{"id": 1, "file_name": "1.png", "height": 5, "width": 7}]
        categories = [{"id": number, "name": name} for number, name in enumerate(names)]
        return json.dumps({"images": images, "annotations": [], "categories": categories}).encode()

    root = write_files(tmp_path, {"x/1.png": png(5, 7), "t.json": about("cat", "dog"), "v.json": about("dog")})
    train, valid = ({"images": "x", "annotations": name} for name in ("t.json", "v.json"))
    config = CocoMasksConfig(format="coco_masks", path=str(root), train=train, valid=valid)
    assert (
        "error data.valid: 2 classes, background, dog, but training has 3, background, cat, dog; a class would be "
        "scored as another one; give both the same categories"
    ) in lines(check_segmentation(OpenedData(config), quick=True))


def test_progress_is_told():
    told = []
    config = SegmentationShapesConfig(format="shapes", train_images=1003, valid_images=3, test_images=2, size=16)
    check_segmentation(OpenedData(config), quick=True, progress=lambda *how_far: told.append(how_far))
    assert told == [("train", 500, 1003), ("train", 1000, 1003)]


def test_data_that_cannot_be_opened(tmp_path):
    report = check(tmp_path / "none")
    assert len(report.findings) == 1
    assert not report.ok
    assert lines(report)[0].startswith(f"error {tmp_path}/none: no such file")

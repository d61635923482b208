import numpy as np
import pytest

from attnkit.data.classification.check_images import check_images
from attnkit.data.classification.config import ImageFolderConfig, NpzImagesConfig, ShapesConfig
from attnkit.data.open import OpenedData
from attnkit.errors import DataError
from tests.data.image_files import picture, png, saved, write_files

BIG = 100


def folder(tmp_path, files=None, *, without=(), per_class=10):
    """A folder where nothing is wrong but what `files` brings in."""
    counts = {"train": per_class, "val": 2, "test": 2}
    names = [f"{split}/{c}/{i}.png" for split, count in counts.items() for c in "ab" for i in range(count)]
    good = {name: png(BIG, BIG + 1, seed=seed) for seed, name in enumerate(names)}
    return write_files(tmp_path, {name: good[name] for name in names if name not in without} | (files or {}))


def check(root, **options):
    return check_images(OpenedData(ImageFolderConfig(format="image_folder", path=str(root))), **options)


def lines(report):
    return [f"{finding.severity} {finding}" for finding in report.findings]


def test_nothing_to_find(tmp_path):
    root = folder(tmp_path)
    for quick in (False, True):
        report = check(root, quick=quick)
        assert report.findings == []
        assert report.ok
        report.raise_errors()
        assert {split: stats.per_class for split, stats in report.stats.items()} == {
            "train": {"a": 10, "b": 10},
            "valid": {"a": 2, "b": 2},
            "test": {"a": 2, "b": 2},
        }
        stats = report.stats["train"]
        assert (stats.images, stats.broken, stats.smallest, stats.largest) == (20, 0, (BIG, BIG + 1), (BIG, BIG + 1))


@pytest.mark.parametrize("quick", [True, False])
def test_broken_files_are_named(quick, tmp_path):
    root = folder(tmp_path, {"train/a/3.png": b"", "val/b/1.png": b"nothing"})
    report = check(root, quick=quick)
    why = "expected a whole image file (JPEG, PNG, WebP, BMP, GIF, TIFF or PPM); copy it again, or remove it"
    assert lines(report) == [
        f"error {root}/val/b/1.png: not an image, or of an unknown kind; {why}",
        f"warning {root}/train/a/3.png: empty file, 0 bytes; {why}",
    ]
    assert (report.stats["train"].broken, report.stats["valid"].broken) == (1, 1)
    assert not report.ok
    with pytest.raises(DataError, match=rf"^{root}/val/b/1.png: not an image, or of an unknown kind; expected"):
        report.raise_errors()


def test_a_cut_off_file_shows_when_it_is_decoded(tmp_path):
    root = folder(tmp_path, {"test/a/0.png": png(BIG, BIG)[:5000]})
    assert check(root, quick=True).findings == []
    (line,) = lines(check(root))
    assert line.startswith(f"error {root}/test/a/0.png: cannot be decoded (")


def test_broken_small_images_are_known_at_once(tmp_path):
    names = [f"{split}/{c}/{i}.png" for split in ("train", "val") for c in "ab" for i in range(10)]
    files = {name: png(16, 16, seed=seed) for seed, name in enumerate(names)}
    root = write_files(tmp_path, {**files, "val/a/3.png": files["val/a/3.png"][:100]})
    (line,) = lines(check(root, quick=True))
    assert line.startswith(f"error {root}/val/a/3.png: cannot be decoded (")


def test_many_broken_files_are_counted(tmp_path):
    root = folder(tmp_path, {f"train/a/broken{i:02}.jpg": b"" for i in range(13)})
    found = lines(check(root, quick=True))
    assert len(found) == 11
    assert found[-1] == "warning data.train: 3 more images are broken; all should be whole; copy them again"


def test_training_images_that_are_all_broken_are_an_error(tmp_path):
    root = write_files(tmp_path, {f"train/{c}/{i}.png": b"" for c in "ab" for i in range(10)})
    assert not check(root, quick=True).ok


def test_duplicates_across_splits(tmp_path):
    same = png(BIG, BIG, seed=900)
    files = {"train/a/0.png": same, "val/a/0.png": same, "test/b/1.png": saved(picture(BIG, BIG, seed=900), "BMP")}
    root = folder(tmp_path, files)
    fix = "the score is too good where the model has seen the answer; remove these images from"
    assert lines(check(root)) == [
        f"warning {root}/val/a/0.png: the same image is in train too, at {root}/train/a/0.png; {fix} train",
        f"warning {root}/test/b/1.png: the same image is in train too, at {root}/train/a/0.png; {fix} train",
        f"warning {root}/test/b/1.png: the same image is in valid too, at {root}/val/a/0.png; {fix} valid",
    ]
    assert check(root, quick=True).findings == []


def test_several_duplicates_are_counted(tmp_path):
    files = {f"{split}/a/{i}.png": png(BIG, BIG, seed=900 + i) for split in ("train", "test") for i in (0, 1)}
    (line,) = lines(check(folder(tmp_path, files)))
    assert "test/a/0.png: the same image is in train too, at " in line
    assert "/train/a/0.png, and so does 1 more of 4; " in line


def test_duplicates_within_a_split(tmp_path):
    files = {f"train/{name}.png": png(BIG, BIG, seed=900) for name in ("a/0", "a/1", "a/2", "b/7")}
    root = folder(tmp_path, files)
    assert lines(check(root)) == [
        f"warning {root}/train/b/7.png: the same image is there with another class, at {root}/train/a/2.png; "
        "one of the two labels is wrong; remove one of them",
        f"warning {root}/train/a/1.png: the same image is there twice, at {root}/train/a/0.png, and so does 1 more"
        "; it counts double; remove all but one",
    ]


def test_classes(tmp_path):
    root = folder(tmp_path, {f"train/c/{i}.png": png(BIG, BIG, seed=500 + i) for i in range(3)})
    few = "fewer than 10 images of 1 of 3 classes, c (3); a class is hardly learned from so few; add images"
    missing = (
        "no image of 1 of 3 classes, c; how well they are told apart cannot be measured; add some, or hold more back"
    )
    assert lines(check(root, quick=True)) == [
        f"warning data.train: {few}",
        f"warning data.valid: {missing}",
        f"warning data.test: {missing}",
    ]


def test_balance(tmp_path):
    files = {f"train/b/more{i}.png": png(BIG, BIG, seed=500 + i) for i in range(92)}
    assert lines(check(folder(tmp_path, files), quick=True)) == [
        "warning data.train: 102 images of b, but 10 of a; the model will prefer frequent classes; "
        "add images of the rare classes; see scores per class"
    ]


def test_one_class(tmp_path):
    root = write_files(tmp_path, {f"train/a/{i}.png": png(BIG, BIG, seed=i) for i in range(20)})
    assert lines(check(root, quick=True)) == [
        "error data.train: one class alone, a; there is nothing to tell apart; add another class"
    ]


def test_what_is_left_out(tmp_path):
    root = folder(tmp_path, {"train/a/notes.txt": b"", "train/a/x.csv": b"", "val/stray.png": png(BIG, BIG)})
    (root / "train/empty").mkdir()
    assert lines(check(root, quick=True)) == [
        f"warning {root}/train/empty: class folder without an image; there is no such class for this split; "
        "add images, or remove the folder",
        f"warning {root}/train/a/notes.txt: no image by the end of its name, and so is 1 more; it is left out; "
        "remove it, or convert it to JPEG or PNG",
        f"warning {root}/val/stray.png: an image in no class folder; it is left out; "
        "move it into the folder of its class",
    ]


def test_odd_sizes(tmp_path):
    files = {
        "train/a/1.png": png(BIG, 5 * BIG + 1),
        "train/a/2.png": png(6 * BIG, BIG),
        "train/b/1.png": png(15, 20),
        "val/a/0.png": saved(picture(1, 1).resize((6001, 1300))),
    }
    root = folder(tmp_path, files)
    report = check(root, quick=True)
    assert lines(report) == [
        f"warning {root}/train/a/1.png: very long, 501 x 100 pixels, and so is 1 more; a crop shows little of it; "
        "cut it into parts",
        f"warning {root}/train/b/1.png: very small, 20 x 15 pixels; there is little to see on it; "
        "remove it, or take a larger copy",
        f"warning {root}/val/a/0.png: very large, 6001 x 1300 pixels; decoding takes most of the time; "
        "make it smaller once",
    ]
    assert (report.stats["train"].smallest, report.stats["train"].largest) == ((15, 20), (600, 100))


def test_splits_that_are_missing():
    config = ShapesConfig(format="shapes", train_images=60, valid_images=60, test_images=60, size=16)
    assert check_images(OpenedData(config)).findings == []


def test_a_split_that_nothing_is_held_back_for(tmp_path):
    np.savez(
        tmp_path / "a.npz",
        x_train=np.random.default_rng(0).integers(0, 256, (30, 20, 20), dtype=np.uint8),
        y_train=np.arange(30) % 2,
    )
    config = NpzImagesConfig(format="npz", path=str(tmp_path / "a.npz"), hold_back={"valid": 0})
    valid = (
        "warning data.valid: no images; the best checkpoint cannot be chosen, nor training stopped early; "
        "add a folder of valid images, or set data.hold_back.valid=0.1"
    )
    test = (
        "warning data.test: no images; the model cannot be scored on images it was not trained on; "
        "add a folder of test images, or set data.hold_back.test=0.1"
    )
    assert lines(check_images(OpenedData(config))) == [valid, test]
    assert lines(check_images(OpenedData(config), quick=True)) == [valid]


def test_data_that_cannot_be_opened(tmp_path):
    (line,) = lines(check(tmp_path / "none"))
    assert line == f"error {tmp_path}/none: no such file; expected a folder or a data file; correct the path"
    root = folder(tmp_path / "x", {"val/c/1.png": png(BIG, BIG)})
    assert lines(check(root, quick=True))[0].startswith(f"error {root}/val/c/1.png: class c has no training image; ")


def test_it_tells_how_far_it_is():
    told = []
    config = ShapesConfig(format="shapes", train_images=1003, valid_images=3, test_images=2, size=16)
    check_images(OpenedData(config), quick=True, progress=lambda *values: told.append(values))
    assert told == [("train", 500, 1003), ("train", 1000, 1003)]

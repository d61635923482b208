import numpy as np

from attnkit.data.classification.image_set import ArrayImages
from attnkit.data.images.check_splits import SplitCheck, SplitStats, check_splits, hash_of
from attnkit.errors import DataError


class Check(SplitCheck):
    """Reads all images, of which those of number 2 are broken; says which are there twice."""

    def __init__(self, split, images):
        super().__init__(split, images, SplitStats(len(images)))

    def read(self, index, *, decode, chosen):
        if index == 2:
            raise DataError(f"{self.images.place(index)}: broken; expected a whole one; copy it again")
        pixels = self.images.read(index)
        self.sizes[index], self.hashes[index] = pixels.shape[1:], hash_of(pixels)

    def findings(self, trained):
        return [*self.unreadable("are broken", "copy them again"), *self.repeated()]


def images(name, *values):
    pixels = np.zeros((len(values), 3, 2, 5), dtype=np.uint8) + np.array(values, dtype=np.uint8)[:, None, None, None]
    return ArrayImages(pixels, np.zeros(len(values), dtype=np.int64), "a", place=lambda row: f"{name}:{row}")


def test_what_is_broken_missing_or_there_twice():
    data = {"train": images("t", 1, 2, 3, 1), "valid": images("v", 7, 2), "test": None}
    missing = lambda split, trained: ("no images", f"add to {trained}")  # noqa: E731
    report = check_splits(data, Check, missing, quick=False, progress=None)
    assert [(one.severity, one.place, one.what) for one in report.findings] == [
        ("warning", "t:2", "broken"),
        ("warning", "t:3", "the same image is there twice, at t:0"),
        ("warning", "data.test", "no images"),
        ("warning", "v:1", "the same image is in train too, at t:1"),
    ]
    assert report.findings[2].fix == "add to 4"
    assert (report.stats["train"].broken, report.stats["train"].smallest) == (1, (2, 5))


def test_classes_of_few_images():
    check = Check("train", images("t", *range(6)))
    assert check.on_few_images({"cat": 6, "dog": 5, "owl": 0}) == []
    (found,) = check.on_few_images({"cat": 6, "dog": 4})
    assert found.what == "on fewer than 5 images are 1 of 2 classes, dog (4)"
    assert Check("train", images("t", 1)).on_few_images({"dog": 1}) == []


def test_other_classes_than_those_of_training():
    check = Check("valid", images("v", 1))
    assert check.other_classes(("a", "b"), ("a", "b")) == []
    (found,) = check.other_classes(("b", "a"), ("a", "b"))
    assert (found.severity, found.what) == ("error", "2 classes, b, a, but training has 2, a, b")

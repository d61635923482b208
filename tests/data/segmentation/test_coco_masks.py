import json
import pickle

import numpy as np
import pytest
from pycocotools import mask as rle

from attnkit.data.config import HoldBackConfig
from attnkit.data.open import OpenedData
from attnkit.data.segmentation.config import CocoMasksConfig
from attnkit.errors import DataError
from attnkit.structures.arrays import IGNORE
from tests.data.image_files import png, write_files, write_tar
from tests.data.scene_files import mask

H, W = 5, 7
CATEGORIES = [{"id": 3, "name": "cat"}, {"id": 8, "name": "dog", "color": [1, 2, 3]}]


def box(top, left, bottom, right):
    """A polygon of whole pixels."""
    return [left, top, right, top, right, bottom, left, bottom]


def area(top, left, bottom, right):
    values = np.zeros((H, W), dtype=np.uint8)
    values[top:bottom, left:right] = 1
    return values


def instance(segmentation, category=3, image=1):
    return {"id": 1, "image_id": image, "category_id": category, "segmentation": segmentation, "iscrowd": 0, "area": 1}


def coco(annotations, categories=CATEGORIES, images=(1,)):
    listed = [{"id": image, "file_name": f"{image}.png", "height": H, "width": W} for image in images]
    return json.dumps({"images": listed, "annotations": annotations, "categories": categories}).encode()


def opened(path, split="train", **options):
    train = options.pop("train", {"images": "train", "annotations": "a/train.json"})
    return OpenedData(CocoMasksConfig(format="coco_masks", path=str(path), train=train, **options))[split]


def data(tmp_path, content, images=(1,), files=None, **options):
    pictures = {f"train/{image}.png": png(H, W, seed=image) for image in images}
    return opened(write_files(tmp_path, pictures | {"a/train.json": content} | (files or {})), **options)


SEGMENTATIONS = {
    "polygon": [box(1, 2, 4, 6)],
    "two polygons": [box(1, 2, 4, 4), box(1, 4, 4, 6), [1, 1, 2, 2]],
    "numbers": {"size": [H, W], "counts": [11, 3, 2, 3, 2, 3, 2, 3, 6]},
    "string": {"size": [H, W], "counts": rle.encode(np.asfortranarray(area(1, 2, 4, 6)))["counts"].decode()},
}


@pytest.mark.parametrize("kind", SEGMENTATIONS)
def test_every_code_is_drawn(kind, tmp_path):
    found = data(tmp_path, coco([instance(SEGMENTATIONS[kind], 8)]))
    assert found.class_names == ("background", "cat", "dog")
    assert np.array_equal(found.read_labels(0), area(1, 2, 4, 6) * 2)
    image, labels = found.read(0)
    assert image.shape == (3, H, W)
    assert np.array_equal(labels.numpy(), found.read_labels(0))


def test_long_codes(tmp_path):
    """Runs of every length, longer and shorter than those before."""
    rng = np.random.default_rng(0)
    for seed, share in enumerate((0.001, 0.02, 0.5, 0.98)):
        inside = (rng.random((97, 113)) < share).astype(np.uint8)
        code = {"size": [97, 113], "counts": rle.encode(np.asfortranarray(inside))["counts"].decode()}
        listed = [{"id": 1, "file_name": "1.png", "height": 97, "width": 113}]
        content = {"images": listed, "annotations": [instance(code)], "categories": CATEGORIES}
        files = {"train/1.png": png(97, 113)}
        found = data(tmp_path / str(seed), json.dumps(content).encode(), files=files)
        assert np.array_equal(found.read_labels(0), inside)


def test_smaller_instances_lie_on_top(tmp_path):
    large, small = instance([box(0, 0, 5, 6)], 3), instance([box(1, 2, 4, 4)], 8)
    expected = area(0, 0, 5, 6)
    expected[1:4, 2:4] = 2
    for number, order in enumerate(([large, small], [small, large])):
        assert np.array_equal(data(tmp_path / str(number), coco(order)).read_labels(0), expected)


def test_without_background_the_rest_is_ignored(tmp_path):
    found = data(tmp_path, coco([instance([box(1, 2, 4, 6)], 8)]), background=False)
    assert found.class_names == ("cat", "dog")
    assert found.colours[1].tolist() == [1, 2, 3]
    assert np.array_equal(found.read_labels(0), np.where(area(1, 2, 4, 6), 1, IGNORE))


def test_an_image_without_instances(tmp_path):
    assert not data(tmp_path, coco([])).read_labels(0).any()
    assert not data(tmp_path, coco([instance([[1, 1, 2, 2]])])).read_labels(0).any()  # a polygon of no area


def test_what_is_no_stuff_is_ignored(tmp_path):
    categories = [*CATEGORIES, {"id": 9, "name": "other", "supercategory": "other"}]
    found = data(tmp_path, coco([instance([box(1, 2, 4, 6)], 9)], categories))
    assert found.class_names == ("cat", "dog", "other")
    assert np.array_equal(found.read_labels(0), np.where(area(1, 2, 4, 6), 2, IGNORE))


class TestPanoptic:
    SEGMENTS = ({"id": 70000, "category_id": 8}, {"id": 7, "category_id": 3})

    def data(self, tmp_path, numbers, folder="a/train", **options):
        numbers = np.asarray(numbers, dtype=np.int64)
        colours = np.stack([numbers & 255, numbers >> 8 & 255, numbers >> 16], axis=-1).astype(np.uint8)
        annotation = {"image_id": 1, "file_name": "1.png", "segments_info": self.SEGMENTS}
        files = {f"{folder}/1.png": mask(colours)} if folder else {}
        return data(tmp_path, coco([annotation]), files=files, **options)

    def test_colours_are_numbers_of_segments(self, tmp_path):
        numbers = np.zeros((H, W), dtype=np.int64)
        numbers[1, 2:5], numbers[3] = 70000, 7
        found = self.data(tmp_path, numbers)
        assert found.class_names == ("cat", "dog")
        expected = np.full((H, W), IGNORE)
        expected[1, 2:5], expected[3] = 1, 0
        assert np.array_equal(found.read_labels(0), expected)

    def test_a_grey_number(self, tmp_path):
        grey = 9 | 9 << 8 | 9 << 16
        self.SEGMENTS[1]["id"] = grey
        try:
            assert not self.data(tmp_path, np.full((H, W), grey)).read_labels(0).any()
        finally:
            self.SEGMENTS[1]["id"] = 7

    def test_a_folder_that_is_named(self, tmp_path):
        train = {"images": "train", "annotations": "a/train.json", "panoptic": "else"}
        found = self.data(tmp_path, np.full((H, W), 70000), folder="else", train=train)
        assert (found.read_labels(0) == 1).all()

    def test_what_is_wrong(self, tmp_path):
        with pytest.raises(
            DataError, match=r"1.png: segment 8 is not in .*train.json: image 1; expected the segments of"
        ):
            self.data(tmp_path / "1", np.full((H, W), 8)).read(0)
        with pytest.raises(DataError, match=r"has no folder 'a/train' for data.train.panoptic; "):
            self.data(tmp_path / "2", np.zeros((H, W)), folder=None)
        train = {"images": "train", "annotations": "a/train.json", "panoptic": "train"}
        content = coco([{"image_id": 1, "file_name": "9.png", "segments_info": self.SEGMENTS}])
        found = data(tmp_path / "3", content, train=train)
        with pytest.raises(DataError, match=r"image 1: its PNG 9.png is not in .*/train; expected it there; copy the "):
            found.read(0)


def test_images_that_are_not_in_both(tmp_path):
    found = data(tmp_path, coco([], images=(1, 2, 3)), images=(1, 4))
    assert [found.name(i) for i in range(len(found))] == ["1"]
    assert [str(one).replace(f"{tmp_path}/", "") for one in found.left_out()] == [
        "a/train.json: 2.png is not in train, and so is 1 more; its annotations are left out; copy the images again",
        "train/4.png: an image that a/train.json does not name; it is left out; remove it, or annotate it",
    ]
    with pytest.raises(
        DataError, match=r"a/train.json: none of its 1 images is in .*/train, such as 9.png; expected the"
    ):
        data(tmp_path / "2", coco([], images=(9,)))


def test_splits(tmp_path):
    images = tuple(range(1, 11))
    content = coco([], images=images)
    parts = [data(tmp_path, content, images=images, split=split) for split in ("train", "valid", "test")]
    assert [part and len(part) for part in parts] == [9, 1, None]
    assert len({part.place(i) for part in parts[:2] for i in range(len(part))}) == 10
    valid = {"images": "train", "annotations": "a/valid.json"}
    write_files(tmp_path, {"a/valid.json": coco([], images=(2, 5))})
    options = {"valid": valid, "hold_back": HoldBackConfig(valid=0.5)}
    assert [len(opened(tmp_path, split, **options)) for split in ("train", "valid")] == [10, 2]


def test_an_archive_and_parts_of_a_set(tmp_path):
    content = {f"top/train/{i}.png": png(H, W, seed=i) for i in (1, 2)}
    annotations = [instance([box(1, 2, 4, 6)], 8, image=2)]
    content["top/a/train.json"] = coco(annotations, images=(1, 2))
    found = opened(write_tar(tmp_path / "a.tar", content), hold_back=HoldBackConfig(valid=0.0))
    part = pickle.loads(pickle.dumps(found.select(np.array([1]))))
    assert (len(part), part.name(0), part.size(0)) == (1, "2", (H, W))
    assert part.mask_place(0).endswith("a/train.json: image 2")
    assert np.array_equal(part.read_labels(0), area(1, 2, 4, 6) * 2)


@pytest.mark.parametrize(
    ("segmentation", "what"),
    [
        ({"size": [W, H], "counts": [35]}, r"ValueError: its size is \[7, 5\]"),
        ({"size": [H, W], "counts": [34]}, "ValueError: its runs cover 34 pixels"),
        ({"size": [H, W], "counts": [30, -1, 6]}, "ValueError: its runs cover 35 pixels"),
        ({"size": [H, W], "counts": "3"}, "ValueError: its runs cover 3 pixels"),
        ({"size": [H, W], "counts": ""}, "ValueError"),
        ({"counts": [35]}, r"KeyError: 'size'"),
        ([["a"] * 6], r"TypeError|ValueError"),
        (3, "TypeError"),
    ],
)
def test_codes_that_cannot_be_drawn(segmentation, what, tmp_path):
    found = data(tmp_path, coco([instance(segmentation)]))
    with pytest.raises(
        DataError, match=rf"train.json: image 1: a segmentation cannot be drawn \(({what}).*; expected pol"
    ):
        found.read(0)


def test_an_image_of_another_size(tmp_path):
    found = data(tmp_path, coco([]), files={"train/1.png": png(H, W + 1)})
    for read in (found.read, found.read_labels, found.size):
        with pytest.raises(
            DataError, match=r"image 1: 7 x 5 pixels, but its image .*1.png has 8 x 5; expected the same"
        ):
            read(0)

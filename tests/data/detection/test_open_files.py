import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as rle

from attnkit.errors import DataError
from tests.data.formats.coco_files import (
    H,
    W,
    annotation,
    coco,
    one_set,
    opened,
    pictures,
    rectangle,
)
from tests.data.image_files import picture, pixels, saved, write_files, write_tar


def bitmap(x1, y1, x2, y2):
    inside = np.zeros((H, W), dtype=np.uint8)
    inside[y1:y2, x1:x2] = 1
    return inside


def runs(inside):
    """Of a code whose counts are a list."""
    flat = inside.T.ravel().tolist()
    counts, last = [0], 0
    for value in flat:
        if value != last:
            counts.append(0)
            last = value
        counts[-1] += 1
    return {"size": [H, W], "counts": counts}


OUTLINES = {
    "polygon": rectangle(2, 1, 6, 5),
    "two polygons": [*rectangle(2, 1, 4, 5), *rectangle(4, 1, 6, 5), [1, 1, 2, 2]],
    "numbers": runs(bitmap(2, 1, 6, 5)),
    "string": {"size": [H, W], "counts": rle.encode(np.asfortranarray(bitmap(2, 1, 6, 5)))["counts"].decode()},
}


@pytest.mark.parametrize("kind", OUTLINES)
def test_boxes_and_masks(kind, tmp_path):
    data = one_set(tmp_path, [annotation(category=8, area=15.5, segmentation=OUTLINES[kind])])
    image, objects = data.read(0)
    assert np.array_equal(image.numpy(), pixels(picture(H, W, seed=1)))
    assert objects.boxes.tolist() == [[2, 1, 6, 5]]
    assert objects.labels.tolist() == [1]
    assert objects.areas.tolist() == [15.5]
    assert objects.crowd.tolist() == [False]
    assert objects.difficult is None
    assert np.array_equal(objects.masks.bitmaps()[0].numpy(), bitmap(2, 1, 6, 5))
    assert torch.equal(data.read_objects(0).boxes, objects.boxes)


def test_what_a_set_says(tmp_path):
    data = one_set(tmp_path, [annotation(image=70)], images=(70, 5))
    assert (data.class_names, data.category_ids) == (("cat", "dog"), (3, 8))
    assert (data.has_masks, data.semantic_classes) == (True, None)
    assert [len(data), data.image_id(0), data.image_id(1), data.name(0)] == [2, 70, 5, "70"]
    assert data.place(0) == f"{tmp_path}/train/70.png"
    assert data.annotation_place(0) == f"{tmp_path}/a/train.json: image 70"
    assert data.size(0) == data.header_size(0) == (H, W)
    assert data.read_semantic(0) is None
    assert data.left_out() == []


def test_images_without_objects(tmp_path):
    data = one_set(tmp_path, [annotation()], images=(1, 2))
    _, objects = data.read(1)
    assert objects.boxes.shape == (0, 4)
    assert (len(objects), len(objects.masks), objects.masks.size) == (0, 0, (H, W))


def test_crowds(tmp_path):
    crowd = annotation((0, 0, 9, 3), number=2, iscrowd=1, segmentation=runs(bitmap(0, 0, 9, 3)))
    objects = one_set(tmp_path, [annotation(iscrowd=None), crowd]).read_objects(0)
    assert objects.crowd.tolist() == [False, True]
    assert objects.masks.areas().tolist() == [16, 27]


def test_outlines_of_crowds_alone_are_no_masks(tmp_path):
    crowd = annotation(iscrowd=1, segmentation=runs(bitmap(2, 1, 6, 5)))
    assert not one_set(tmp_path, [crowd, annotation(segmentation=[])]).has_masks


@pytest.mark.parametrize("none", [None, [], [[]]])
def test_boxes_alone(none, tmp_path):
    data = one_set(tmp_path, [annotation(segmentation=none, area=None)])
    assert not data.has_masks
    objects = data.read_objects(0)
    assert objects.masks is None
    assert objects.areas.tolist() == [16]


def test_masks_may_be_left_out(tmp_path):
    data = one_set(tmp_path, [annotation(area=15)], masks=False)
    assert not data.has_masks
    assert data.read_objects(0).masks is None
    assert data.read_objects(0).areas.tolist() == [15]


def test_an_object_without_outline_beside_nine_others_has_an_empty_mask(tmp_path):
    bare = annotation((0, 0, 3, 2), number=2, segmentation=[], area=None)
    objects = one_set(tmp_path, [*[annotation(area=None)] * 9, bare]).read_objects(0)
    assert objects.masks.areas().tolist() == [16] * 9 + [0]
    assert objects.areas.tolist() == [16] * 9 + [6]


def test_a_few_outlines_are_no_masks(tmp_path):
    """Or all other objects would be background in training."""
    bare = [annotation((0, 0, 3, 2), number=number, segmentation=None) for number in range(2, 27)]
    data = one_set(tmp_path, [annotation(), *bare])
    assert not data.has_masks
    assert data.masks_wanted
    assert len(data.read_objects(0)) == 26
    assert not one_set(tmp_path, [annotation()], masks=False).masks_wanted


def test_missing_areas_are_those_of_masks(tmp_path):
    triangle = [[0, 0, 8, 0, 0, 8]]
    objects = one_set(tmp_path, [annotation((0, 0, 8, 8), segmentation=triangle, area=None)]).read_objects(0)
    assert 28 <= objects.areas[0] <= 36
    assert objects.areas.tolist() == objects.masks.areas().tolist()


@pytest.mark.parametrize("kind", OUTLINES)
@pytest.mark.parametrize("masks", [True, False])
def test_a_missing_box_is_the_one_around_the_outline(kind, masks, tmp_path):
    data = one_set(tmp_path, [annotation(bbox=None, segmentation=OUTLINES[kind])], masks=masks)
    assert data.read_objects(0).boxes.tolist() == [[2, 1, 6, 5]]


def test_boxes_are_clipped(tmp_path):
    boxes = [(-2, 3, 4, 20), (5, -7, 30, 2), (20, 3, 25, 5), (3, 3, 3, 6), (6, 5, 2, 1)]
    objects = one_set(tmp_path, [annotation(box, segmentation=None) for box in boxes]).read_objects(0)
    assert objects.boxes.tolist() == [[0, 3, 4, 11], [5, 0, 13, 2], [13, 3, 13, 5], [3, 3, 3, 6], [6, 5, 6, 5]]


def test_annotations_are_as_they_are_written(tmp_path):
    data = one_set(tmp_path, [annotation((-2, 3, 4, 20), number=17, category=8, area=None)])
    (one,) = data.annotations(0)
    assert (one.label, one.id, one.box, one.area, one.crowd) == (1, "17", (-2, 3, 4, 20), None, False)
    assert one.outline == rectangle(-2, 3, 4, 20)


def test_splits(tmp_path):
    images = tuple(range(1, 11))
    root = write_files(tmp_path, pictures(images) | {"a/train.json": coco([], images=images)})
    parts = [opened(root, split) for split in ("train", "valid", "test")]
    assert [part and len(part) for part in parts] == [9, 1, None]
    assert len({part.image_id(i) for part in parts[:2] for i in range(len(part))}) == 10
    write_files(root, {"a/valid.json": coco([], images=(2, 5))})
    options = {"valid": {"images": "train", "annotations": "a/valid.json"}, "hold_back": {"valid": 0.5, "test": 0.2}}
    assert [len(opened(root, split, **options)) for split in ("train", "valid", "test")] == [8, 2, 2]


def test_an_archive_and_parts_of_a_set(tmp_path):
    annotations = [annotation(image=2, category=8)]
    content = pictures((1, 2), folder="top/train") | {"top/a/train.json": coco(annotations, images=(1, 2))}
    data = opened(write_tar(tmp_path / "a.tar", content), hold_back={"valid": 0.0})
    part = pickle.loads(pickle.dumps(data.select(np.array([1]))))
    assert (len(part), part.name(0), part.size(0), part.image_id(0)) == (1, "2", (H, W), 2)
    assert part.read(0)[1].labels.tolist() == [1]


class TestTurnedImages:
    """By their EXIF data, a quarter to the right."""

    def data(self, tmp_path, size, orientation=6):
        exif = Image.Exif()
        exif[0x0112] = orientation
        files = {"train/1.png": saved(picture(H, W, seed=1), exif=exif)}
        return one_set(tmp_path, [annotation()], size=size, files=files)

    def test_boxes_are_for_the_stored_pixels(self, tmp_path):
        data = self.data(tmp_path, (H, W))
        image, objects = data.read(0)
        assert np.array_equal(image.numpy(), pixels(picture(H, W, seed=1)))
        assert objects.masks.size == data.size(0) == data.header_size(0) == (H, W)

    def test_unless_only_the_turned_size_fits(self, tmp_path):
        data = self.data(tmp_path, (W, H))
        image, objects = data.read(0)
        assert np.array_equal(image.numpy(), np.rot90(pixels(picture(H, W, seed=1)), -1, axes=(1, 2)))
        assert objects.masks.size == data.size(0) == data.header_size(0) == (W, H)

    def test_upside_down_is_left_so(self, tmp_path):
        image, _ = self.data(tmp_path, (H, W), orientation=3).read(0)
        assert np.array_equal(image.numpy(), pixels(picture(H, W, seed=1)))

    def test_another_size(self, tmp_path):
        data = self.data(tmp_path, (H + 2, W))
        message = (
            r"a/train.json: image 1: for 13 x 13 pixels, but its image .*/train/1.png has 13 x 11; expected the same "
            r"size; correct the annotations, or remove the image$"
        )
        for read in (data.read, data.header_size):
            with pytest.raises(DataError, match=message):
                read(0)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        (
            {"segmentation": {"size": [W, H], "counts": [H * W]}},
            r"the outline of object 1 cannot be drawn \(ValueError: its size is \[13, 11\]\); expected polygons, or a "
            r"run-length code of 11 x 13; fix the file$",
        ),
        ({"segmentation": [[0, 0, 1e9, 0, 5, 5]]}, r"the outline of object 1 cannot be drawn \(ValueError: a coordina"),
        ({"segmentation": 3}, r"the outline of object 1 cannot be drawn \("),
        (
            {"segmentation": {"size": [H, W], "counts": [10**30]}},
            r"the outline of object 1 cannot be drawn \(ValueError: a run has over 64 bits\); expected polygons, or a ",
        ),
        ({"segmentation": [[0, 0, 10**400, 0, 5, 5]]}, r"the outline of object 1 cannot be drawn \(ValueError: a coor"),
        ({"bbox": None, "segmentation": [[1, 1, 2, 2]]}, r"object 1 has no box; expected four numbers, or an outline;"),
        ({"bbox": None, "segmentation": None}, r"object 1 has no box; expected four numbers, or an outline; fix the "),
        ({"bbox": [1, 2, float("nan"), 3]}, r"object 1 has the box \[1.0, 2.0, nan, 5.0\]; expected four numbers, or "),
        ({"bbox": [1, 2, 3]}, r"annotation 1 has a bbox of 3 numbers; expected left, top, width and height; fix the "),
    ],
)
def test_objects_that_are_none(changes, what, tmp_path):
    data = one_set(tmp_path, [annotation(**changes), annotation(number=2)])
    for read in (data.read, data.read_objects):
        with pytest.raises(DataError, match=rf"^{tmp_path}/a/train.json: image 1: {what}"):
            read(0)


def test_another_kind_of_json(tmp_path):
    segments = {"image_id": 1, "file_name": "1.png", "segments_info": []}
    with pytest.raises(
        DataError, match=r"a/train.json: a panoptic json, whose segments have no outlines; expected one"
    ):
        one_set(tmp_path, [segments])


def test_names_of_classes(tmp_path):
    with pytest.raises(DataError, match=r"a/train.json: no classes; expected one at least; fix the file$"):
        one_set(tmp_path, [], categories=[])
    same = [{"id": 3, "name": "cat"}, {"id": 8, "name": "cat"}]
    message = r"a/train.json: two classes are named cat; expected a name for each; rename one of them$"
    with pytest.raises(DataError, match=message):
        one_set(tmp_path, [annotation(category=3), annotation(category=8)], categories=same)

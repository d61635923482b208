"""What the data check says of single objects: their boxes, areas and outlines."""

import pytest

from attnkit.data.detection.check_detection import check_detection
from attnkit.data.detection.config import CocoConfig, YoloConfig
from attnkit.data.open import OpenedData
from tests.data.detection.checked_folder import check, folder, lines, of_one
from tests.data.formats.coco_files import TRAIN, H, W, annotation, coco, pictures, rectangle
from tests.data.image_files import png, write_files


@pytest.mark.parametrize("quick", [True, False])
def test_boxes_of_no_size(quick, tmp_path):
    boxes = (4, 4, 4, 9), (6, 5, 2, 7)
    drawn = (annotation(box, number=3, segmentation=rectangle(4, 4, 6, 9)) for box in boxes)
    assert of_one(tmp_path, *drawn, quick=quick) == [
        "warning a/valid.json: image 12: the box of object 3 is empty, 0 x 5 pixels, and so is 1 more; it cannot be "
        "learned, and counts as missed in scores; fix or remove it"
    ]


@pytest.mark.parametrize("quick", [True, False])
def test_boxes_outside(quick, tmp_path):
    boxes = (20, 3, 25, 5), (5, 4, 14.5, 9), (0, -0.9, 13.5, 11)
    numbered = [annotation(box, number=number, segmentation=[]) for number, box in enumerate(boxes, start=3)]
    assert of_one(tmp_path, *numbered, quick=quick, masks=False) == [
        "warning a/valid.json: image 12: the box of object 3 is outside of the image, x 20 to 25, y 3 to 5 in 13 x 11 "
        "pixels; it cannot be learned, and counts as missed in scores; fix or remove it",
        "warning a/valid.json: image 12: the box of object 4 is partly outside of the image, x 5 to 14.5, y 4 to 9 in "
        "13 x 11 pixels; that part is cut off; fix it; if there are many, they may be for another size of the images",
    ]


def test_missing_areas(tmp_path):
    without = [annotation(box, number=number, area=None) for number, box in ((3, (1, 1, 4, 4)), (4, (2, 2, 5, 5)))]
    why = "and tools that expect it cannot score the file; write it"
    assert of_one(tmp_path, *without) == [
        "warning a/valid.json: image 12: the area of object 3 is not given, and so is 1 more; that of the mask stands "
        f"in for it, {why}"
    ]
    assert of_one(tmp_path, without[0], masks=False) == [
        "warning a/valid.json: image 12: the area of object 3 is not given; that of the box stands in for it, " + why
    ]


@pytest.mark.parametrize("quick", [True, False])
def test_wrong_areas(quick, tmp_path):
    """By the mask where it is drawn, with half a pixel of it all around to spare; else by the box."""
    triangle = {"segmentation": [[0, 0, 10, 0, 0, 10]]}
    drawn = [annotation((0, 0, 10, 10), number=number, area=area, **triangle) for number, area in ((3, 81), (4, 80))]
    why = "the scores of small, medium and large objects go by it; compute it again, or leave it out"
    found = of_one(tmp_path, drawn[0], quick=quick)
    assert len(found) == 1
    assert "the area of object 3 is wrong, 81 pixels where its mask has " in found[0]
    assert found[0].endswith(why)
    assert of_one(tmp_path, drawn[1] | {"area": 70}, quick=quick) == []
    boxes = [
        annotation((0, 0, 10, 10), number=number, area=area) for number, area in ((3, 1e6), (4, 0), (5, 40), (6, 139))
    ]
    repeated = "one of the two counts as missed in scores"
    found = [line for line in of_one(tmp_path, *boxes, quick=quick, masks=False) if repeated not in line]
    assert found == [
        f"warning a/valid.json: image 12: the area of object 3 is wrong, 1e+06 pixels where its box has 100, and so is "
        f"1 more; {why}"
    ]


def bare(*boxes, image=2, **changes):
    return [
        annotation(box, number=number, image=image, segmentation=[], **changes) for number, box in enumerate(boxes, 3)
    ]


def test_a_few_objects_without_outline(tmp_path):
    assert of_one(tmp_path, *bare((1, 1, 5, 4), (2, 2, 4, 4)), quick=True, image=2) == [
        "warning a/train.json: image 2: 2 of 22 objects have no outline, object 3 first; they are left out of "
        "training, and their masks count as missed in scores; outline them; or set data.masks=false, for boxes alone"
    ]


def test_outlines_that_are_too_few_for_masks(tmp_path):
    root = folder(tmp_path, more={2: bare((1, 1, 5, 4), (2, 2, 4, 4), (3, 3, 7, 7)), 4: bare((0, 0, 9, 9), iscrowd=1)})
    report = check(root, quick=True)
    assert lines(report, root) == [
        "warning a/train.json: image 2: 3 of 23 objects have no outline, object 3 first; masks are learned where nine "
        "in ten have one, so here boxes alone are learned and scored; outline them; or set data.masks=false, which "
        "silences this"
    ]
    assert [stats.has_masks for stats in report.stats.values()] == [False, True, True]
    assert lines(check(root, quick=True, masks=False), root) == []


def test_boxes_that_were_never_outlined_are_nothing_to_tell(tmp_path):
    content = pictures() | {"a/train.json": coco([annotation(segmentation=None)])}
    config = CocoConfig(path=str(write_files(tmp_path, content)), train=TRAIN, hold_back={"valid": 0.0})
    assert not any("outline" in str(one) for one in check_detection(config, OpenedData(config), quick=True).findings)


def test_polygons_that_are_too_short(tmp_path):
    short = annotation((1, 1, 5, 4), number=3, segmentation=[[1, 1], [1, 1, 5, 4]])
    what = "the outline of object 3 is a polygon of 4 numbers"
    assert of_one(tmp_path, short, image=2) == [
        f"warning a/train.json: image 2: {what}; expected 6 or more: it counts as none; fix or remove it",
        "warning a/train.json: image 2: 1 of 21 objects have no outline, object 3 first; they are left out of "
        "training, and their masks count as missed in scores; outline them; or set data.masks=false, for boxes alone",
    ]
    content = pictures() | {"a/train.json": coco([short])}
    config = CocoConfig(path=str(write_files(tmp_path / "1", content)), train=TRAIN, hold_back={"valid": 0.0})
    assert any(what in str(one) for one in check_detection(config, OpenedData(config), quick=True).findings)


def test_outlines_of_nothing(tmp_path):
    assert of_one(tmp_path, annotation((1, 1, 5, 4), number=3, segmentation=[[1, 1, 2, 1, 3, 1]])) == [
        "warning a/valid.json: image 12: the outline of object 3 is empty; it is left out of training, and its mask "
        "counts as missed in scores; fix or remove it"
    ]


def test_yolos_polygons_among_boxes(tmp_path):
    content = {f"images/train/{name}.png": png(H, W, seed=name) for name in range(3)} | {"data.yaml": b"names: [cat]"}
    content |= {f"labels/train/{name}.txt": b"0 0.5 0.5 0.5 0.5\n" for name in range(3)}
    content["labels/train/1.txt"] += b"0 0.1 0.2 0.5 0.2 0.5 0.8\n"
    config = YoloConfig(format="yolo", path=str(write_files(tmp_path, content)), hold_back={"valid": 0.0})
    assert any(
        line.startswith("warning labels/train/0.txt: 3 of 4 objects have no outline, object 1 first; masks are learned")
        for line in lines(check_detection(config, OpenedData(config), quick=True), tmp_path)
    )


def test_outlines_elsewhere(tmp_path):
    wrong = annotation((0, 0, 3, 11), number=3, segmentation=rectangle(0, 0, 11, 3))
    assert of_one(tmp_path, wrong) == [
        "warning a/valid.json: image 12: the outline of object 3 is not where its box is, they overlap by 16%; box and "
        "mask are learned from different places; fix one of the two; if there are many, x and y may be exchanged in "
        "one"
    ]
    near = annotation((0, 0, 2, 2), number=3, segmentation=rectangle(3, 3, 6, 6), area=9)
    assert of_one(tmp_path, near) == []


@pytest.mark.parametrize("quick", [True, False])
def test_objects_that_are_there_twice(quick, tmp_path):
    box = (1, 2, 5, 9)
    same = annotation(box, number=3), annotation(box, number=4), annotation(box, number=5, category=8)
    assert of_one(tmp_path, *same, quick=quick) == [
        "warning a/valid.json: image 12: object 4 is there twice, with the same class and box; one of the two counts "
        "as missed in scores; remove it"
    ]

import pytest

from attnkit.data.detection.check_detection import check_detection
from attnkit.data.detection.config import CocoConfig, DetectionShapesConfig, VocConfig, YoloConfig
from attnkit.data.open import OpenedData
from attnkit.errors import DataError
from tests.data.formats.coco_files import CATEGORIES, TRAIN, H, W, annotation, coco, pictures, rectangle
from tests.data.image_files import picture, png, saved, write_files

SPLITS = {"train": range(1, 11), "valid": range(11, 14), "test": range(14, 16)}
BOTH = ((0, 0, 7, 6), 3), ((5, 4, 12, 9), 8)
"""A box of each category."""


def objects(image, *more):
    """A cat and a dog, and what else there is."""
    usual = [
        annotation(box, number=10 * image + number, image=image, category=category)
        for number, (box, category) in enumerate(BOTH)
    ]
    return [*usual, *more]


def folder(tmp_path, *, more=None, files=None, **about):
    """Splits in which nothing is wrong but what is added: `more` annotations by image, files, other categories."""
    content = {}
    for split, images in SPLITS.items():
        content |= pictures(images, folder=split)
        annotations = [one for image in images for one in objects(image, *(more or {}).get(image, ()))]
        content[f"a/{split}.json"] = coco(annotations, images=images, **about)
    return write_files(tmp_path, content | (files or {}))


def check(root, *, quick=False, **options):
    splits = {split: {"images": split, "annotations": f"a/{split}.json"} for split in SPLITS}
    return check_detection(
        CocoConfig(path=str(root), **(splits | options)),
        OpenedData(CocoConfig(path=str(root), **(splits | options))),
        quick=quick,
    )


def lines(report, root):
    return [f"{one.severity} {one}".replace(f"{root}/", "") for one in report.findings]


@pytest.mark.parametrize("quick", [True, False])
def test_nothing_to_find(quick, tmp_path):
    more = {2: [annotation((0, 2, 9, 9), image=2, iscrowd=1)]}
    report = check(folder(tmp_path, more=more), quick=quick)
    assert report.findings == []
    assert report.ok
    stats = report.stats["train"]
    assert stats.objects == stats.images_with == {"cat": 10, "dog": 10}
    assert (stats.images, stats.crowds, stats.empty_images, stats.broken) == (10, 1, 0, 0)
    assert (stats.most_objects, stats.full_images, stats.by_size, stats.has_masks) == (2, 0, (20, 0, 0), True)
    assert stats.smallest == stats.largest == (H, W)
    assert stats.usual_short_side == H
    assert stats.usual_sides == pytest.approx((35**0.5, (35**0.5 + 42**0.5) / 2, 42**0.5))
    assert [(split, stats.images) for split, stats in report.stats.items()] == [
        ("train", 10),
        ("valid", 3),
        ("test", 2),
    ]


def test_sizes_of_objects(tmp_path):
    size = (300, 200)
    drawn = [annotation((0, 0, side, side), image=1, number=side, segmentation=None) for side in (31, 32, 96, 97)]
    files = pictures(size=size) | {"a/train.json": coco(drawn, size=size)}
    config = CocoConfig(path=str(write_files(tmp_path, files)), train=TRAIN, hold_back={"valid": 0.0})
    stats = check_detection(config, OpenedData(config), quick=True).stats["train"]
    assert stats.by_size == (1, 2, 1)
    assert stats.usual_sides[1] == pytest.approx((32 + 96) / 2)
    assert not stats.has_masks


@pytest.mark.parametrize("quick", [True, False])
def test_broken_files_are_named(quick, tmp_path):
    files = {"train/3.png": b"", "valid/12.png": b"nothing", "test/14.png": png(H, W + 1)}
    report = check(folder(tmp_path, files=files), quick=quick)
    why = "expected a whole image file (JPEG, PNG, WebP, BMP, GIF, TIFF or PPM); copy it again, or remove it"
    assert lines(report, tmp_path) == [
        f"error valid/12.png: not an image, or of an unknown kind; {why}",
        "error a/test.json: image 14: for 13 x 11 pixels, but its image test/14.png has 14 x 11; expected the same "
        "size; correct the annotations, or remove the image",
        f"warning train/3.png: empty file, 0 bytes; {why}",
    ]
    assert (report.stats["train"].broken, report.stats["train"].objects) == (1, {"cat": 9, "dog": 9})


def test_many_broken_files_are_counted(tmp_path):
    report = check(folder(tmp_path, files={f"train/{image}.png": b"" for image in SPLITS["train"]}), quick=True)
    assert len(report.findings) == 11  # all of them, and no object is left
    report = check(folder(tmp_path, files={"valid/11.png": b""}), quick=True)
    assert not report.ok
    with pytest.raises(DataError, match=r"/valid/11.png: empty file, 0 bytes; expected a whole image file"):
        report.raise_errors()


def test_what_is_cut_off_shows_when_it_is_decoded(tmp_path):
    size = (50, 70)
    content = {
        "test/14.png": saved(picture(*size), "JPEG")[:1000],
        "a/test.json": coco(objects(14), images=[14], size=size),
    }
    root = folder(tmp_path, files=content | {"test/15.png": png(3, 3)})
    assert "cannot be decoded" not in str(check(root, quick=True).findings)
    assert any(line.startswith("error test/14.png: cannot be decoded (") for line in lines(check(root), root))


def test_outlines_that_cannot_be_drawn(tmp_path):
    wrong = annotation(image=12, number=7, segmentation={"size": [W, H], "counts": [H * W]})
    for quick in (True, False):
        assert lines(check(folder(tmp_path, more={12: [wrong]}), quick=quick), tmp_path) == [
            "error a/valid.json: image 12: the outline of object 7 cannot be drawn (ValueError: its size is [13, 11]); "
            "expected polygons, or a run-length code of 11 x 13; fix the file"
        ]


def test_what_is_left_out_is_told_once(tmp_path):
    content = {"a/train.json": coco([annotation(image=99)], images=(*range(1, 31), 40))} | pictures(range(1, 31))
    config = CocoConfig(path=str(write_files(tmp_path, content)), train=TRAIN, hold_back={"valid": 0.2, "test": 0.2})
    report = check_detection(config, OpenedData(config), quick=True)
    found = [line for line in lines(report, tmp_path) if "left out" in line]
    assert found == [
        "warning a/train.json: 40.png is not in train; its annotations are left out; copy the images again",
        "warning a/train.json: an annotation is of image 99, which it does not list; the annotation is left out; add "
        "the image to its images, or remove the annotation",
    ]
    assert [stats.images for stats in report.stats.values()] == [18, 6, 6]


def test_other_categories(tmp_path):
    root = folder(tmp_path, files={"a/valid.json": coco([], categories=CATEGORIES[:1], images=SPLITS["valid"])})
    assert lines(check(root, quick=True), root)[0] == (
        "error data.valid: 1 classes, cat, but training has 2, cat, dog; a class would be scored as another one; give "
        "both the same categories"
    )


def test_categories_with_other_ids(tmp_path):
    other = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    annotations = [annotation(box, number=i, image=11, category=i) for i, (box, _) in enumerate(BOTH, start=1)]
    root = folder(tmp_path, files={"a/valid.json": coco(annotations, categories=other, images=SPLITS["valid"])})
    assert lines(check(root, quick=True), root) == [
        "warning data.valid: category ids 1, 2, but training has 3, 8; written results have the ids of training, and "
        "fit only its json; give the categories the same ids in both"
    ]


def test_a_split_without_masks(tmp_path):
    bare = [one | {"segmentation": []} for image in SPLITS["test"] for one in objects(image)]
    root = folder(tmp_path, files={"a/test.json": coco(bare, images=SPLITS["test"])})
    assert lines(check(root, quick=True), root) == [
        "warning data.test: boxes alone, but the training objects have masks; masks cannot be scored; add outlines, or "
        "leave them out with data.masks=false"
    ]


def of_one(tmp_path, *more, quick=False, image=12, **options):
    """What is found where an image has more objects than its two."""
    marked = [one | {"image_id": image} for one in more]
    return lines(check(folder(tmp_path, more={image: marked}), quick=quick, **options), tmp_path)


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


def test_over_a_hundred_objects(tmp_path):
    many = [annotation((x, y, x + 1, y + 1), number=10 * x + y, segmentation=None) for x in range(11) for y in range(9)]
    assert of_one(tmp_path, *many[:98], quick=True, masks=False) == []
    assert of_one(tmp_path, *many, quick=True, masks=False) == [
        "warning data.valid: over 100 objects are on 1 of 3 images, 101 on the fullest; the detector gives the 100 "
        "surest of an image, and AP looks at no more of a class: the others count as missed; set "
        "inference.max_detections=500, and score files with --max-detections 500"
    ]


def test_classes_that_are_not_there(tmp_path):
    categories = [*CATEGORIES, {"id": 9, "name": "emu"}, {"id": 10, "name": "fox"}]
    more = {image: [annotation((1, 1, 9, 9), image=image, category=10)] for image in (2, 3, 4, 11, 14)}
    report = check(folder(tmp_path, more=more, categories=categories), quick=True)
    assert lines(report, tmp_path) == [
        "warning data.train: no object of 1 of 4 classes, emu; they cannot be learned; add images of them",
        "warning data.train: on fewer than 5 images are 1 of 4 classes, fox (3); a class is hardly learned "
        "from so few; add images of them",
        "warning data.valid: no object of 1 of 4 classes, emu; how well they are found cannot be measured; "
        "add images of them",
        "warning data.test: no object of 1 of 4 classes, emu; how well they are found cannot be measured; add "
        "images of them",
    ]


def test_no_object_at_all(tmp_path):
    root = folder(tmp_path, files={f"a/{split}.json": coco([], images=SPLITS[split]) for split in ("train", "valid")})
    report = check(root, quick=True)
    fix = "add annotations, or correct where they are"
    assert [line for line in lines(report, root) if "no image" in line] == [
        f"error data.train: no image has an object; there is nothing to learn; {fix}",
        f"warning data.valid: no image has an object; how well they are found cannot be measured; {fix}",
    ]
    assert report.stats["train"].empty_images == 10
    assert report.stats["train"].usual_sides is None


def test_images_that_stand_twice(tmp_path):
    same = png(H, W, seed=90)
    root = folder(tmp_path, files={f"{name}.png": same for name in ("train/1", "train/2", "valid/11", "test/15")})
    assert check(root, quick=True).findings == []
    good = "the score is too good where the model has seen the answer; remove these images from"
    assert lines(check(root), root) == [
        "warning train/2.png: the same image is there twice, at train/1.png; it counts double; remove all but one",
        f"warning valid/11.png: the same image is in train too, at train/1.png; {good} train",
        f"warning test/15.png: the same image is in train too, at train/1.png; {good} train",
        f"warning test/15.png: the same image is in valid too, at valid/11.png; {good} valid",
    ]


def test_shares_that_are_no_image(tmp_path):
    """Of 3 images a tenth is none; of one nothing can be held back."""

    def found(images, **shares):
        files = pictures(images) | {"a/train.json": coco([annotation(image=one) for one in images], images=images)}
        config = CocoConfig(path=str(write_files(tmp_path, files)), train=TRAIN, hold_back=shares)
        return [str(one) for one in check_detection(config, OpenedData(config)).findings if "no images" in one.what]

    name = "images and their annotations as data"
    assert found((1, 2, 3), test=0.3) == [
        "data.valid: no images, for data.hold_back.valid=0.1 of 2 is none; the best checkpoint cannot be chosen, nor "
        f"training stopped early; name valid {name}.valid, or set data.hold_back.valid=0.5"
    ]
    test = "data.test: no images; the model cannot be scored on images it was not trained on; name test "
    assert found((1,), valid=0.0) == [
        "data.valid: no images; the best checkpoint cannot be chosen, nor training stopped early; name valid "
        f"{name}.valid, or add images",
        f"{test}{name}.test, or add images",
    ]
    assert found(range(1, 13)) == [f"{test}{name}.test, or set data.hold_back.test=0.1"]


def test_missing_splits(tmp_path):
    root = folder(tmp_path)
    quick, deep = (check(root, quick=quick, valid=None, test=None, hold_back={"valid": 0.0}) for quick in (True, False))
    first = (
        "warning data.valid: no images; the best checkpoint cannot be chosen, nor training stopped early; name valid "
        "images and their annotations as data.valid, or set data.hold_back.valid=0.1"
    )
    assert lines(quick, root) == [first]
    assert lines(deep, root) == [
        first,
        "warning data.test: no images; the model cannot be scored on images it was not trained on; name test "
        "images and their annotations as data.test, or set data.hold_back.test=0.1",
    ]


def test_data_that_cannot_be_opened(tmp_path):
    report = check(tmp_path / "none")
    assert not report.ok
    (line,) = lines(report, tmp_path)
    assert line.startswith("error none: no such file")


def test_generated_shapes():
    config = DetectionShapesConfig(
        format="shapes", train_images=11, valid_images=7, test_images=5, size=29, most_shapes=2
    )
    for quick in (True, False):
        report = check_detection(config, OpenedData(config), quick=quick)
        assert report.ok
        assert [one for one in report.findings if "class" not in one.what] == []
        assert [stats.images for stats in report.stats.values()] == [11, 7, 5]


def test_labels_of_yolo_and_voc_say_no_areas(tmp_path):
    yolo = {f"images/{name}.png": png(H, W, seed=seed) for seed, name in enumerate(("train/1", "val/1"))}
    yolo |= {f"labels/{name}/1.txt": b"0 0.5 0.5 0.5 0.5\n" for name in ("train", "val")}
    root = write_files(tmp_path / "yolo", yolo | {"data.yaml": b"names: [cat]"})
    assert (
        check_detection(
            YoloConfig(format="yolo", path=str(root)), OpenedData(YoloConfig(format="yolo", path=str(root))), quick=True
        ).findings
        == []
    )
    corners = "<xmin>1</xmin><ymin>2</ymin><xmax>5</xmax><ymax>7</ymax>"
    note = f"<annotation><object><name>cat</name><bndbox>{corners}</bndbox></object></annotation>".encode()
    voc = {f"{split}/1.png": png(H, W, seed=seed) for seed, split in enumerate(("train", "valid"))}
    root = write_files(tmp_path / "voc", voc | {f"{split}/1.xml": note for split in ("train", "valid")})
    assert (
        check_detection(
            VocConfig(format="voc", path=str(root)), OpenedData(VocConfig(format="voc", path=str(root))), quick=True
        ).findings
        == []
    )


def test_progress_is_told():
    told = []
    config = DetectionShapesConfig(
        format="shapes", train_images=1003, valid_images=3, test_images=2, size=16, most_shapes=1
    )
    check_detection(config, OpenedData(config), quick=True, progress=lambda *how_far: told.append(how_far))
    assert told == [("train", 500, 1003), ("train", 1000, 1003)]


def test_a_quick_look_draws_some_outlines_alone(tmp_path):
    """Two hundred, evenly chosen: of 300 images the first and the second, but not the third."""
    size, images = {"size": [W, H], "counts": [H * W]}, range(101, 401)
    wrong = [annotation((1, 1, 6, 6), number=image, image=image, segmentation=size) for image in (101, 103)]
    right = [one for image in images for one in objects(image)]
    files = pictures(images, folder="many") | {"a/many.json": coco([*wrong, *right], images=images)}
    root = folder(tmp_path, files=files)
    report = check(root, quick=True, valid={"images": "many", "annotations": "a/many.json"})
    assert [line.split(": the")[0] for line in lines(report, root)] == ["error a/many.json: image 101"]

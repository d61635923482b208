import pytest

from attnkit.data.detection.check_detection import check_detection
from attnkit.data.detection.config import CocoConfig, DetectionShapesConfig, VocConfig, YoloConfig
from attnkit.data.open import OpenedData
from attnkit.errors import DataError
from tests.data.detection.checked_folder import BOTH, SPLITS, check, folder, lines, objects, of_one
from tests.data.formats.coco_files import CATEGORIES, TRAIN, H, W, annotation, coco, pictures
from tests.data.image_files import picture, png, saved, write_files


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

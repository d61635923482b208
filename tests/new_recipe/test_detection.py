"""attnkit recipe new detection through the command line, on small sets in the forms of COCO, YOLO and Pascal VOC."""

from pathlib import Path

import pytest
import torch

from attnkit import recipe_file
from attnkit.data.open import OpenedData
from attnkit.models.rcnn.rcnn import Rcnn
from attnkit.new_recipe import detection as new_detection
from attnkit.new_recipe.own_data import coco_data, found_data
from attnkit.new_recipe.sizing import Machine
from tests.command import attnkit, refused
from tests.data.formats.coco_files import annotation, coco, pictures
from tests.data.image_files import png, write_files

CORES = Machine("2 processor cores", is_gpu=False, memory=8 << 30)
SIZE = (40, 60)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(new_detection, "detector_speed", lambda config, size, *, num_classes, masks: 50.0)
    monkeypatch.setattr(new_detection, "this_machine", lambda: CORES)
    return tmp_path


def write_coco(folder, *, images="photos", annotations="objects.json", count=20, objects=None, **about):
    """Each image has a cat of 6 x 10 pixels and a dog of 12 x 20, unless others are given."""
    numbers = range(1, count + 1)
    if objects is None:
        cats = [annotation((2, 1, 8, 11), number=2 * one, image=one) for one in numbers]
        dogs = [annotation((20, 5, 32, 25), number=2 * one + 1, image=one, category=8) for one in numbers]
        objects = [*cats, *dogs]
    files = pictures(numbers, folder=images, size=SIZE)
    write_files(folder, files | {annotations: coco(objects, images=numbers, size=SIZE, **about)})


def new(*arguments, images="photos", annotations="objects.json"):
    given = [
        *(("--images", images) if images else ()),
        *(("--annotations", annotations) if annotations else ()),
    ]
    return attnkit("recipe", "new", "detection", *given, *arguments)


def sizes(recipe):
    sets = [OpenedData(recipe.data)[split] for split in ("train", "valid", "test")]
    return [None if one is None else len(one) for one in sets]


# from data to a recipe


def test_from_coco(folder):
    write_coco(folder)
    result = new()
    assert (result.exit_code, result.stdout) == (0, "photos.yaml\n"), result.output
    recipe = recipe_file.load("photos.yaml")
    assert (recipe.name, recipe.data.format, recipe.data.path) == ("photos", "coco", ".")
    assert (recipe.data.train.images, recipe.data.train.annotations) == ("photos", "objects.json")
    assert sum(sizes(recipe)) == 20
    assert None not in sizes(recipe)
    # enlarged twice: a cat of root 60 pixels would have 8 at 41; twice 40 is less than the 128 that are the least
    assert (recipe.image.short_side, recipe.image.long_side) == (128, 256)
    assert recipe.augment.short_sides == (96, 112, 128, 144, 160)
    assert recipe.model.rpn.anchor_scale == 8  # a quarter has 24.8 pixels at 128
    assert (recipe.inference.max_detections, recipe.batch.images) == (100, 2)
    with torch.device("meta"):
        model = Rcnn(recipe.model, num_classes=2, masks=True)
    assert model.has_masks


def test_every_choice_is_explained_in_the_recipe_and_on_stderr(folder):
    write_coco(folder)
    result = new("-o", "out/my.yaml", "--name", "mine", "--minutes", "7", "--image-size", "96")
    lines = result.stderr.splitlines()
    starts = [
        "photos: COCO's json, 20 training, 0 validation and 0 test images with masks",
        "classes: 2, as the data names them, and their objects in training: cat 20, dog 20",
        "held back: 0.1 of the images for validation and 0.1 of the images for test, chosen by a hash of the file",
        "size: a shorter side of 96 pixels: as you ask",
        "augmentation: shorter sides of 64 to 128 pixels, mirroring left and right; --set augment.flip=0 where left",
        "anchors: 16 to 256 pixels wide, because a quarter of the objects have at most 18.6 at that size, half ",
        "masks: the objects have outlines, so there is a mask head; boxes alone take less time: --set data.masks=false",
        "objects: 2 per image, 2 at most: 100 detections per image are enough",
        "network: Mask R-CNN of 128 channels on a Swin of 48: half the width of Swin-T, and half of the",
        "batch: 2 images; an epoch is 8 steps",
        "steps: 1,600, 200 times through the images: more would not help with so few images",
        "time: about a minute at 50 images a second, the measured training speed of this network on 2 processor cores",
        "photos: 20 images are few for attention; expected 10,000 or more, or pretrained weights; attnkit import FILE",
        "next: attnkit train out/my.yaml",
    ]
    assert len(lines) == len(starts), lines
    other = [line for line, start in zip(lines, starts, strict=True) if not line.startswith(start)]
    assert other == []
    text = (folder / "out/my.yaml").read_text()
    comments = " ".join(line.lstrip("# ") for line in text.splitlines() if line.startswith("#"))
    assert all(" ".join(line.split()) in comments.replace("- ", "") for line in lines[:12])
    recipe = recipe_file.load("out/my.yaml")
    assert (recipe.name, recipe.train.steps, recipe.train.ema_decay) == ("mine", 1600, None)


def test_sets_that_are_there_are_used(folder):
    write_coco(folder, images="d/train", annotations="d/train.json")
    write_coco(folder, images="d/val", annotations="d/val.json", count=3)
    result = new(images="d/train", annotations="d/train.json")
    assert result.stderr.startswith("d/train: COCO's json, 20 training, 3 validation and 0 test images with masks\n")
    assert "held back: 0.1 of the images for test, chosen" in result.stderr
    recipe = recipe_file.load("train.yaml")
    assert (recipe.data.valid.images, recipe.data.valid.annotations) == ("val", "val.json")
    assert (recipe.data.hold_back.valid, recipe.data.hold_back.test) == (0.0, 0.1)
    assert sizes(recipe)[1] == 3


def test_boxes_alone(folder):
    boxes = [annotation((2, 1, 8, 11), number=one, image=one, segmentation=None) for one in range(1, 21)]
    write_coco(folder, objects=boxes)
    result = new()
    assert "20 training, 0 validation and 0 test images without masks\n" in result.stderr
    assert (
        "masks: the objects have no outlines, so there is no mask head, and boxes alone are scored\n" in result.stderr
    )
    assert result.exit_code == 0


def test_a_few_outlines_are_no_masks(folder):
    boxes = [annotation((2, 1, 8, 11), number=one, image=one, segmentation=None) for one in range(1, 21)]
    outlined = [annotation((20, 5, 32, 25), number=30 + one, image=one) for one in range(1, 6)]
    write_coco(folder, objects=[*boxes, *outlined])
    assert "masks: 20% of the objects have an outline, too few, so there is no mask head, and boxes" in new().stderr


def test_from_yolo(folder):
    files = {f"pets/images/train/{i}.png": png(*SIZE, seed=i) for i in range(12)}
    files |= {f"pets/labels/train/{i}.txt": b"1 0.5 0.5 0.2 0.2\n" for i in range(12)}
    write_files(folder, files | {"pets/data.yaml": b"names: [cat, dog]"})
    result = new("--data", "pets", images=None, annotations=None)
    assert result.stderr.startswith("pets: YOLO's labels, 12 training, 0 validation and 0 test images without masks\n")
    assert (
        "pets: no object of cat on 12 images; expected every class in training; see attnkit data check "
        in result.stderr
    )
    recipe = recipe_file.load("pets.yaml")
    assert (recipe.data.format, recipe.data.path, recipe.data.hold_back.test) == ("yolo", "pets", 0.1)
    assert sum(size or 0 for size in sizes(recipe)) == 12


def test_from_voc(folder):
    box = b"<bndbox><xmin>3</xmin><ymin>2</ymin><xmax>30</xmax><ymax>20</ymax></bndbox>"
    notes = b"<annotation><object><name>dog</name>" + box + b"</object></annotation>"
    files = {f"pets/{i}.png": png(*SIZE, seed=i) for i in range(12)} | {f"pets/{i}.xml": notes for i in range(12)}
    write_files(folder, files)
    result = new("--data", str(folder / "pets"), "-o", "x.yaml", images=None, annotations=None)
    assert ": Pascal VOC's xml, 12 training, 0 validation and 0 test images without masks\n" in result.stderr
    recipe = recipe_file.load("x.yaml")
    assert (recipe.name, recipe.data.format, recipe.data.path) == ("x", "voc", str(folder / "pets"))


def test_many_objects_reach_the_recipe(folder):
    crowded = [annotation((x, 3, x + 2, 6), number=x, image=one) for one in range(1, 21) for x in range(55)]
    crowd = annotation((0, 0, 60, 40), number=9, image=1, crowd=None, iscrowd=1, segmentation=None)
    outside = annotation((90, 90, 95, 95), number=8, image=1)
    write_coco(folder, objects=[*crowded, crowd, outside])
    result = new("--minutes", "600")
    assert "objects: 55 per image, 55 at most: up to 200 detections per image are kept and scored, " in result.stderr
    recipe = recipe_file.load("photos.yaml")
    assert recipe.inference.max_detections == 200
    assert (recipe.model.rpn.train_proposals, recipe.model.box_head.samples) == (600, 256)
    assert recipe.model.rpn.anchor_scale == 2


def written(source, data, **options):
    """The lines that a recipe explains itself with, and its warnings."""
    made = new_detection.new_detection(source, data, output=Path("photos.yaml"), name="photos", **options)
    return [*made.reasons, *made.warnings]


def test_objects_of_all_images_are_counted(folder):
    """Sizes are those of some, and of images with objects alone: here the first and the last that have one."""
    dogs = [annotation((x, 3, x + 2, 6), number=x, image=7, category=8) for x in range(55)]
    cats = [annotation((0, 0, side, side), number=100 + side, image=side) for side in (2, 20)]
    crowd = annotation((0, 0, 60, 40), number=9, image=1, iscrowd=1, segmentation=None)
    outside = annotation((90, 90, 95, 95), number=8, image=1)
    write_coco(folder, objects=[*cats, *dogs, crowd, outside])
    lines = written("photos", coco_data("photos", "objects.json"), side=40, samples=2)
    assert lines[1:3] == [
        "classes: 2, as the data names them, and their objects in training: cat 2, dog 55",
        "sampled: objects are counted on all images; sizes are those of 2 images with objects, evenly spread",
    ]
    assert any(line.startswith("objects: 2.85 per image, 55 at most: up to 200 detections per") for line in lines)
    assert any("at most 6.5 at that size, half 11, nine in ten 18.2: " in line for line in lines)
    assert not any("no object of" in line for line in lines)
    assert recipe_file.load("photos.yaml").inference.max_detections == 200


def test_the_fullest_image_may_be_one_to_validate_on(folder):
    write_coco(folder, images="d/train", annotations="d/train.json")
    many = [annotation((x, 3, x + 2, 6), number=x, image=2) for x in range(51)]
    write_coco(folder, images="d/val", annotations="d/val.json", count=3, objects=many)
    result = new(images="d/train", annotations="d/train.json")
    assert "objects: 2 per image, 51 at most: up to 200 detections per image are kept and scored, " in result.stderr


@pytest.mark.parametrize("form", ["yolo", "voc"])
def test_of_very_many_files_some_are_read(form, folder):
    """The one that is left out has many objects."""
    box = b"<bndbox><xmin>3</xmin><ymin>2</ymin><xmax>30</xmax><ymax>20</ymax></bndbox>"
    objects = [9 if image == 10 else 1 for image in range(12)]
    one = {"yolo": b"0 0.5 0.5 0.2 0.2\n", "voc": b"<object><name>dog</name>" + box + b"</object>"}[form]
    ends = {"yolo": (b"", b"", "txt"), "voc": (b"<annotation>", b"</annotation>", "xml")}[form]
    write_files(folder, {f"pets/{form}/images/{i:02}.png": png(*SIZE, seed=i) for i in range(12)})
    notes = {f"pets/{form}/labels/{i:02}.{ends[2]}": ends[0] + one * count + ends[1] for i, count in enumerate(objects)}
    if form == "yolo":
        notes |= {"pets/yolo/data.yaml": b"names: [dog]\ntrain: images"}
    else:
        notes = {name.replace("labels", "images"): content for name, content in notes.items()}
    write_files(folder, notes)
    data = "pets/yolo" if form == "yolo" else "pets/voc/images"
    lines = written(data, found_data(data), most_files=11)
    assert lines[1] == "classes: 1, as the data names them, and their objects in training: dog 11"
    assert any(line.startswith("objects: 1 per image, 1 at most: ") for line in lines)


def test_images_without_objects_are_seen(folder):
    few = [annotation((2, 1, 30, 31), number=one, image=one) for one in range(1, 6)]
    write_coco(folder, objects=few)
    result = new()
    assert "objects: 0.25 per image, 1 at most: " in result.stderr
    assert "batch: 2 images; an epoch is 2 steps\n" in result.stderr  # 4 of the 16 that are not held back


def test_what_is_wrong_with_some_is_said(folder):
    write_coco(folder)
    (folder / "photos/3.png").write_bytes(b"no image")
    (folder / "photos/4.png").unlink()
    lines = new().stderr.splitlines()
    assert (
        "photos: 1 of 19 sampled images, or their annotations, are broken or do not fit; see attnkit data check "
        "photos.yaml" in lines
    )
    assert any("4.png is not in" in line for line in lines)


def test_annotations_that_cannot_be_read_are_counted(folder):
    files = {f"pets/images/train/{i}.png": png(*SIZE, seed=i) for i in range(12)}
    files |= {f"pets/labels/train/{i}.txt": b"0 0.5 0.5 0.2 0.2\n" for i in range(12)}
    files |= {"pets/labels/train/3.txt": b"0 0.5 0.5\n", "pets/labels/train/4.txt": b"7 0.5 0.5 0.2 0.2\n"}
    write_files(folder, files | {"pets/data.yaml": b"names: [cat]"})
    result = new("--data", "pets", images=None, annotations=None)
    said = "pets: the annotations of 2 of 12 images cannot be read; see attnkit data check pets.yaml\n"
    assert said in result.stderr
    assert "sampled images, or their" not in result.stderr


# mistakes


def test_files_that_are_there_are_not_written_over(folder):
    write_coco(folder)
    (folder / "photos.yaml").write_text("mine")
    message = "photos.yaml: exists already; expected to write a new file; name another --output, or add --force\n"
    assert refused(new()) == message
    assert (folder / "photos.yaml").read_text() == "mine"
    assert new("--force").exit_code == 0


def test_mistakes(folder):
    write_coco(folder)
    write_coco(folder, images="few", annotations="few.json", count=9)
    write_coco(folder, images="none", annotations="none.json", objects=[])
    before = sorted(folder.rglob("*.yaml"))
    assert refused(new(images="nowhere")) == "nowhere: no such folder; expected a folder of images; correct --images\n"
    message = "nowhere: no such file; expected COCO's json of objects; correct --annotations\n"
    assert refused(new(annotations="nowhere")) == message
    few = "few: 9 training images with annotations are too few; expected at least 10, and hundreds for a useful model"
    assert refused(new(images="few", annotations="few.json")).startswith(few)
    none = "none.json: image 1: no object on 20 images; expected boxes of the objects; correct the annotations"
    assert none in refused(new(images="none", annotations="none.json"))
    needs = "not given; expected --images and --annotations, or --data alone, for detection; add it\n"
    assert refused(new(annotations=None)) == f"--annotations: {needs}"
    assert refused(new(images=None)) == f"--images: {needs}"
    both = "given together with --data, which holds images and objects; expected one of them; leave one out\n"
    assert refused(new("--data", "photos", annotations=None)) == f"--images: {both}"
    assert refused(new("--data", "photos", images=None)) == f"--annotations: {both}"
    assert refused(new("--masks", "masks")).startswith(
        "--masks: not an option of detection; expected --images, --annotations"
    )
    assert "which of " not in refused(new("--data", "few", images=None, annotations=None))
    assert sorted(folder.rglob("*.yaml")) == before


def test_all_that_are_broken(folder):
    write_coco(folder)
    for number in range(1, 21):
        (folder / f"photos/{number}.png").write_bytes(b"no image")
    assert "photos/1.png: " in refused(new())

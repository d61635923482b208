"""The lines of a data check."""

from attnkit.data.detection.config import DetectionShapesConfig
from attnkit.data.open import OpenedData
from attnkit.recipes.detection.check import check
from tests.data.formats.coco_files import annotation, coco, pictures
from tests.data.image_files import write_files
from tests.recipes.object_runs import object_recipe

NAMES = {"categories": [{"id": 3, "name": "cat"}, {"id": 8, "name": "guinea pig"}]}


def checked(root, *, decode=False, **sections):
    data = {"format": "coco", "path": str(root), "train": {"images": "train", "annotations": "a/train.json"}}
    told = []
    recipe = object_recipe(data, **sections)
    return check(recipe, OpenedData(recipe.data), decode=decode, say=told.append), told


def lines_of(tmp_path, annotations, *, images=(1, 2, 3), **about):
    files = pictures(images) | {"a/train.json": coco(annotations, images=images, **about)}
    return checked(write_files(tmp_path, files))[0].lines


def test_what_a_split_has(tmp_path):
    objects = [
        annotation((0, 0, 4, 9), number=1),
        annotation((1, 1, 5, 5), number=2, category=8),
        annotation((1, 1, 11, 11), number=3, category=8, image=2, area=2000),
        annotation((1, 1, 9, 9), number=4, iscrowd=1, segmentation=None),
    ]
    assert lines_of(tmp_path, objects, **NAMES)[:4] == [
        "train: 3 images, 0 broken, 13x11 to 13x11 pixels; 3 objects with masks",
        "    1 objects an image, 2 at most; 1 image without any; 1 crowd beside them; 67% small, 33% medium; "
        "boxes mostly of 4 to 9 pixels a side, half of at most 6",
        "    cat         1 objects, on 1 images",
        "    guinea pig  2 objects, on 2 images",
    ]


def test_boxes_alone(tmp_path):
    first, second, *_ = lines_of(tmp_path, [annotation(segmentation=None)], images=(1,))
    assert first == "train: 1 image, 0 broken, 13x11 to 13x11 pixels; 1 object without masks"
    assert second == "    1 objects an image, 1 at most; 100% small; boxes mostly of 4 pixels a side"


def test_counts_of_classes_stand_below_each_other(tmp_path):
    cats = [annotation(number=number, image=number % 3 + 1) for number in range(11)]
    lines = lines_of(tmp_path, [*cats, annotation((1, 1, 5, 5), number=20, category=8)])
    assert lines[2:4] == ["    cat  11 objects, on  3 images", "    dog   1 objects, on  1 images"]


def test_no_objects(tmp_path):
    lines = lines_of(tmp_path, [])
    assert lines == ["train: 3 images, 0 broken, 13x11 to 13x11 pixels; no objects"]


def test_many_classes_are_summed_up(tmp_path):
    categories = [{"id": one, "name": f"c{one}"} for one in range(1, 42)]
    objects = [annotation(number=one, category=max(2, one % 41 + 1)) for one in range(1, 50)]
    lines = lines_of(tmp_path, objects, categories=categories)
    assert lines[2:] == ["    41 classes, c1 0 to c2 3 objects"]


def test_counts_are_for_programs_too(tmp_path):
    files = pictures((1,)) | {"a/train.json": coco([annotation()])}
    found, _ = checked(write_files(tmp_path, files), decode=True)
    assert found.counts["train"]["objects"] == {"cat": 1, "dog": 0}
    assert found.ok


def test_how_many_objects_are_found_is_the_recipe_s_to_say(tmp_path):
    """The recipe's network looks at 30 regions of an image, and 100 detections are given where nothing else is said."""
    many = [annotation((x, y, x + 1, y + 1), number=10 * x + y, segmentation=None) for x in range(9) for y in range(4)]
    root = write_files(tmp_path, pictures((1,)) | {"a/train.json": coco(many)})

    def advice(**inference):
        found, _ = checked(root, inference=inference)
        return [str(one).partition("; ")[2] for one in found.report.findings if "on the fullest" in str(one)]

    proposals = "the detector looks at 30 regions of an image, and finds no more objects: the others count as missed; "
    assert advice() == [proposals + "set model.rpn.proposals=100"]
    assert advice(max_detections=30) == [
        "the detector gives the 30 surest of an image, and AP looks at no more of a class: the others count as missed; "
        "set inference.max_detections=100 and model.rpn.proposals=100, and score files with --max-detections 100"
    ]


def test_generated_shapes_and_progress():
    data = DetectionShapesConfig(format="shapes", train_images=503, valid_images=1, test_images=1, size=16)
    told = []
    found = check(object_recipe(data.model_dump()), OpenedData(data), decode=False, say=told.append)
    assert told == ["train: 500 of 503 images checked"]
    assert [line.split(":")[0] for line in found.lines if not line.startswith(" ")] == ["train", "valid", "test"]

"""The scores of boxes and masks side by side: values for JSON, the order of classes, and objects that cannot count."""

import json

from pycocotools import mask

from attnkit.metrics.detection_scores import DetectionScoring
from tests.metrics.coco_sets import SIDE, both, coco_set, outline

NAMES = ["ant", "bee", "cat"]
LEFT, RIGHT = [0, 0, 40, 40], [50, 0, 40, 40]
TRUTH = [(0, 0, LEFT, 1600.0, 0), (0, 1, RIGHT, 1600.0, 0), (1, 0, RIGHT, 1600.0, 0), (1, 1, LEFT, 1600.0, 1)]
"""Two ants, a bee, and a crowd of bees; no cat."""


def scoring(truth, found, *, max_detections=100):
    instances, results = coco_set(truth, found, len(NAMES))
    made = DetectionScoring(NAMES, masks=False, max_detections=max_detections)
    for image in instances["images"]:
        made.add(*both(image, instances["annotations"], results), image_id=image["id"])
    return made


def test_the_lowest_comes_first_and_what_is_not_there_last():
    """Both ants are found, the bee is not, a cat is found that is none."""
    scored = scoring(TRUTH, [(0, 0, LEFT, 0.9), (1, 0, RIGHT, 0.8), (0, 2, LEFT, 0.7)]).compute(errors=False)
    assert scored.lowest_first() == [1, 0, 2]
    assert scored.objects.tolist() == [2, 1, 0]
    assert scored.plain()["per_class"] == [
        {"class": "bee", "index": 1, "objects": 1, "box_ap": 0.0, "box_ap50": 0.0},
        {"class": "ant", "index": 0, "objects": 2, "box_ap": 100.0, "box_ap50": 100.0},
        {"class": "cat", "index": 2, "objects": 0, "box_ap": None, "box_ap50": None},
    ]


def test_what_is_no_number_is_null_in_json():
    """Sides of 40 are medium: there is nothing small to find, and no score of it."""
    plain = scoring(TRUTH, [(0, 0, LEFT, 0.9)]).compute(errors=True).plain()
    assert plain["scores"]["box_aps"]["value"] is None
    assert plain["scores"]["box_apm"]["value"] == plain["scores"]["box_ap"]["value"] > 0
    assert [one["name"] for one in plain["errors"]["box"]][-1] == "missed"
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain


def test_masks_decide_the_order_where_there_are_any():
    """The ant's box is right and its mask is not, the bee's mask is right and its box is not."""
    truth = [(0, 0, LEFT, 1600.0, 0), (0, 1, RIGHT, 1600.0, 0)]
    instances, results = coco_set(truth, [(0, 0, LEFT, 0.9), (0, 1, LEFT, 0.8)], len(NAMES))
    for one in instances["annotations"]:
        one["segmentation"] = outline(one["bbox"])
    for one in results:
        one["segmentation"] = mask.merge(mask.frPyObjects(outline(RIGHT), SIDE, SIDE))
    made = DetectionScoring(NAMES, masks=True, max_detections=100)
    made.add(*both(instances["images"][0], instances["annotations"], results, masks=True), image_id=1)
    plain = made.compute(errors=False).plain()
    kinds = ("box_ap", "mask_ap")
    assert [(one["class"], *(one[kind] for kind in kinds)) for one in plain["per_class"]] == [
        ("ant", 100.0, 0.0), ("bee", 0.0, 100.0), ("cat", None, None)
    ]  # fmt: skip
    assert [plain["scores"][kind]["value"] for kind in kinds] == [50.0, 50.0]
    assert "errors" not in plain


def test_objects_that_cannot_be_found_are_told(capsys):
    """Two ants on an image where one detection of a class counts, and one on another; crowds are not counted."""
    truth = [(0, 0, LEFT, 1600.0, 0), (0, 0, RIGHT, 1600.0, 0), (1, 0, LEFT, 1600.0, 0), (1, 0, RIGHT, 1600.0, 1)]
    scoring(truth, [], max_detections=1).note_hidden()
    assert capsys.readouterr().err == (
        "1 images have more than 1 objects of a class (up to 2), but no more detections count: 1 of 3 objects cannot "
        "be found; --max-detections 2 counts them all\n"
    )
    scoring(truth, [], max_detections=2).note_hidden()
    assert capsys.readouterr().err == ""


def test_crowds_alone_are_nothing_to_find():
    assert not scoring([], [(0, 0, LEFT, 0.9)]).has_objects
    assert not scoring([(0, 1, LEFT, 1600.0, 1)], []).has_objects
    assert scoring(TRUTH, []).has_objects

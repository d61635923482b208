"""COCO's numbers, by hand where a hand can; tests/reference/test_pycocotools.py has the rest."""

import json
import math

import numpy as np
import pytest

from attnkit.metrics.coco_ap import CocoAp
from attnkit.structures.image_objects import ImageFound, ImageTruth, best_of_each_class
from tests.metrics.coco_sets import ap_of, both, coco_set, random_set

LECTURE = [True, True, False, False, False, True, True]


def lecture_set():
    """The lecture's seven detections of five objects, 10 x 10 pixels, on two images."""
    truth = [(i % 2, 0, [20 * i, 0, 10, 10], 100.0, 0) for i in range(5)]
    places = iter(range(5))
    found = []
    for rank, right in enumerate(LECTURE):
        which = next(places) if right else rank
        found.append((which % 2, 0, [20 * which, 0 if right else 50, 10, 10], 0.9 - 0.1 * rank))
    return coco_set(truth, found, 1)


def test_the_lecture():
    scores = ap_of(*lecture_set()).compute(resamples=0)
    ap = pytest.approx(100 * (41 + 40 * 4 / 7) / 101)
    values = {name: one.value for name, one in scores.means.items()}
    assert [values[name] for name in ("AP", "AP50", "AP75", "APs")] == [ap] * 4
    assert (values["AR1"], values["AR10"], values["ARs"]) == pytest.approx((40, 80, 80))
    assert [name for name, value in values.items() if math.isnan(value)] == ["APm", "APl", "ARm", "ARl"]
    curve = scores.rankings[0].curve(0)
    assert curve.precision.round(2).tolist() == [1.0, 1.0, 0.67, 0.5, 0.4, 0.5, 0.57]
    assert curve.recall.round(2).tolist() == [0.2, 0.4, 0.4, 0.4, 0.4, 0.6, 0.8]
    assert scores.rankings[0].raw(0)[[40, 41, 60, 61]] == pytest.approx([1, 1 / 2, 1 / 2, 4 / 7])


def test_classes():
    """One is found, one is not, one is not there though it is found."""
    truth = [(0, 0, [0, 0, 40, 40], 1600.0, 0), (0, 1, [50, 0, 40, 40], 1600.0, 0), (1, 1, [50, 0, 40, 40], 9.0, 0)]
    found = [(0, 0, [0, 0, 40, 40], 0.3), (0, 2, [0, 0, 40, 40], 0.9)]
    scores = ap_of(*coco_set(truth, found, 3)).compute()
    np.testing.assert_equal(scores.class_ap, [100, 0, np.nan])
    np.testing.assert_equal(scores.class_ap50, [100, 0, np.nan])
    assert scores.objects.tolist() == [1, 2, 0]
    assert scores.means["AP"].value == 50
    assert scores.means["AR1"].images == 2


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_equal_scores_that_on_the_image_of_the_lower_id_comes_first(order):
    """Two objects, of which the one on the image of the higher id is found: 51 of 101 points at a precision of 1/2."""
    truth = [(0, 0, [0, 0, 40, 40], 1600.0, 0), (1, 0, [0, 0, 40, 40], 1600.0, 0)]
    found = [(0, 0, [50, 50, 40, 40], 0.5), (1, 0, [0, 0, 40, 40], 0.5)]
    instances, results = coco_set(truth, found, 1)
    instances["images"] = [instances["images"][place] for place in order]
    ap = ap_of(instances, results)
    assert ap.compute(resamples=0).means["AP50"].value == pytest.approx(100 * 51 / 101 / 2)
    assert [one.count for one in ap.errors() if one.count] == [1, 1]


def test_images_without_ids_stay_in_their_order():
    truth = [(0, 0, [0, 0, 40, 40], 1600.0, 0), (1, 0, [0, 0, 40, 40], 1600.0, 0)]
    found = [(0, 0, [0, 0, 40, 40], 0.5), (1, 0, [50, 50, 40, 40], 0.5)]
    instances, results = coco_set(truth, found, 1)
    ap = CocoAp(1)
    for image in instances["images"]:
        ap.add(*both(image, instances["annotations"], results))
    assert ap.compute(resamples=0).means["AP50"].value == pytest.approx(100 * 51 / 101)


def test_masks_have_sizes_of_their_own():
    """A detection whose mask is small and whose box is not counts as small where masks are scored."""
    side = 100
    mask = np.zeros((side, side), dtype=np.uint8, order="F")
    mask[np.arange(40), np.arange(40)] = 1
    from pycocotools.mask import encode

    other = np.zeros_like(mask)
    other[50:60, 50:60] = 1
    truth = ImageTruth(
        xywh=np.array([[50.0, 50, 10, 10]]),
        labels=np.array([0]),
        areas=np.array([100.0]),
        crowd=np.array([False]),
        rles=[encode(other)],
    )
    found = ImageFound(
        xywh=np.array([[0.0, 0, 40, 40], [50, 50, 10, 10]]),
        labels=np.array([0, 0]),
        scores=np.array([0.9, 0.8]),
        rles=[encode(mask), encode(other)],
    )
    small = {}
    for kind in ("box", "mask"):
        ap = CocoAp(1, kind)
        ap.add(truth, found)
        small[kind] = ap.compute().means["APs"].value
    assert small == pytest.approx({"box": 100, "mask": 50})


@pytest.mark.parametrize(
    ("most", "names"), [(1, ["AR1"]), (7, ["AR1", "AR7"]), (10, ["AR1", "AR10"]), (11, ["AR1", "AR10", "AR11"])]
)
def test_numbers_of_detections(most, names):
    means = ap_of(*lecture_set(), max_detections=most).compute().means
    assert [name for name in means if name[2:].isdecimal() and name.startswith("AR")] == names
    assert means[names[0]].value == pytest.approx(40), "one of each image"


def test_detections_beyond_those_that_count():
    instances, results = random_set(0, classes=1, detections=60)
    fewer = [one for one in results if one["image_id"] == 12][:0]
    for image in instances["images"]:
        own = [one for one in results if one["image_id"] == image["id"]]
        fewer += sorted(own, key=lambda one: -one["score"])[:5]
    ours = [ap_of(instances, some, max_detections=5).compute(resamples=0).means for some in (results, fewer)]
    np.testing.assert_equal([one.value for one in ours[0].values()], [one.value for one in ours[1].values()])


def test_the_best_of_each_class():
    found = ImageFound(
        xywh=np.zeros((7, 4)),
        labels=np.array([1, 0, 1, 1, 0, 1, 2]),
        scores=np.array([0.2, 0.3, 0.9, 0.2, 0.8, 0.2, 0.1]),
    )
    rows, places = best_of_each_class(found, 3)
    assert rows.tolist() == [4, 1, 2, 0, 3, 6]
    assert places.tolist() == [0, 1, 0, 1, 2, 0]


def test_no_image():
    scores = CocoAp(3).compute()
    assert all(math.isnan(one.value) for one in scores.means.values())
    assert scores.objects.tolist() == [0, 0, 0]
    assert CocoAp(3).errors()[0].count == 0


def test_numbers_are_plain():
    score = ap_of(*lecture_set()).compute().means["AP50"]
    assert json.loads(json.dumps(score.as_dict()))["images"] == 2


# Mistakes


def one(labels=(0,), rles=None, scores=None):
    count = len(labels)
    truth = ImageTruth(
        xywh=np.ones((1, 4)),
        labels=np.array([0]),
        areas=np.ones(1),
        crowd=np.array([False]),
        rles=[{}] if rles else None,
    )
    found = ImageFound(
        xywh=np.ones((count, 4)),
        labels=np.array(labels, dtype=np.int64),
        scores=np.ones(count) if scores is None else np.array(scores),
    )
    return truth, found


def test_a_label_of_no_class():
    with pytest.raises(ValueError, match=r"^detections: labels from -1 to 3; expected 0 to 2$"):
        CocoAp(3).add(*one([3, -1]))
    with pytest.raises(ValueError, match=r"^objects: labels from 0 to 0; expected 0 to -1$"):
        CocoAp(0).add(*one([]))


def test_a_score_that_is_none():
    with pytest.raises(ValueError, match=r"^detections: a score is NaN; expected numbers$"):
        CocoAp(3).add(*one(scores=[math.nan]))


@pytest.mark.parametrize("rles", [True, False])
def test_masks_are_missing(rles):
    with pytest.raises(
        ValueError, match=r"^masks: there are none; expected one for each object and detection, or kind"
    ):
        CocoAp(3, "mask").add(*one(rles=rles))


def test_no_detection_counts():
    with pytest.raises(ValueError, match=r"^max_detections 0: none would count; expected 1 or more$"):
        CocoAp(3, max_detections=0)

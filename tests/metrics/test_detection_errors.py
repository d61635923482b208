"""The kinds of errors: by hand, and against a plain loop over everything."""

import math

import numpy as np
import pytest
from pycocotools import mask

from attnkit.metrics.average_precision import RECALLS
from attnkit.metrics.detection_errors import ERROR_TYPES
from tests.metrics.coco_sets import ap_of, coco_set, random_set

BOX = [0, 0, 10, 10]


def counted(truth, found, num_classes=3):
    errors = ap_of(*coco_set(truth, found, num_classes)).errors()
    return {one.name: one.count for one in errors if one.count}, {one.name: one.cost for one in errors}


def at(label, box=BOX, area=100.0, crowd=0):
    return (0, label, box, area, crowd)


@pytest.mark.parametrize(
    ("box", "label", "kind"),
    [
        ([0, 0, 10, 5], 0, {}),
        ([0, 0, 10, 4.9], 0, {"location": 1}),
        ([0, 0, 10, 1], 0, {"location": 1}),
        ([0, 0, 10, 0.9], 0, {"background": 1, "missed": 1}),
        ([0, 0, 10, 5], 1, {"class": 1}),
        ([0, 0, 10, 4.9], 1, {"both": 1, "missed": 1}),
        ([0, 0, 10, 1], 1, {"background": 1, "missed": 1}),
        ([70, 70, 10, 10], 0, {"background": 1, "missed": 1}),
    ],
)
def test_one_detection_of_one_object(box, label, kind):
    """The two overlaps 0.5 and 0.1 are reached by 5 and 1 of 10 rows."""
    assert counted([at(0)], [(0, label, box, 0.5)])[0] == kind


def test_a_duplicate():
    counts, costs = counted([at(0), at(0, [50, 50, 10, 10])], [(0, 0, BOX, 0.9), (0, 0, BOX, 0.8), (0, 0, BOX, 0.7)])
    assert counts == {"duplicate": 2, "missed": 1}
    assert costs["duplicate"] == pytest.approx(0), "they come after all that is right"
    assert costs["missed"] == pytest.approx(100 * 50 / 101), "51 of 101 points are reached without"


def test_location_goes_before_class_and_class_before_duplicate():
    two = [at(0), at(1, [0, 0, 10, 8])]
    assert counted(two, [(0, 1, [0, 0, 4, 10], 0.9)])[0] == {"location": 1, "missed": 1}
    found = [(0, 0, BOX, 0.9), (0, 1, [0, 0, 10, 8], 0.8), (0, 0, BOX, 0.7)]
    assert counted(two, found)[0] == {"class": 1}


@pytest.mark.parametrize("crowd_label", [0, 1])
def test_what_lies_in_a_crowd_is_no_error(crowd_label):
    """Of its class; it is not there for other classes."""
    counts, _ = counted([at(crowd_label, crowd=1), at(0, [50, 50, 10, 10])], [(0, 0, BOX, 0.9)])
    assert counts == ({"missed": 1} if crowd_label == 0 else {"background": 1, "missed": 1})


def test_costs_by_hand():
    """Of two objects one is found, with a background that is surer: AP50 is 51 points of 1/2."""
    truth = [at(0), at(0, [50, 50, 10, 10])]
    found = [(0, 0, [90, 90, 10, 10], 0.9), (0, 0, BOX, 0.8), (0, 0, [50, 50, 10, 3], 0.7)]
    counts, costs = counted(truth, found)
    assert counts == {"background": 1, "location": 1}
    half = 100 * 51 / 101 / 2
    assert costs["background"] == pytest.approx(half)
    assert costs["location"] == pytest.approx(100 * 2 / 3 - half), "two of three are right, at every recall"
    assert costs["missed"] == costs["class"] == 0


def test_a_mended_class_counts_where_it_belongs():
    """The surest of two about the same object, which becomes one of class 1; the other goes."""
    truth = [at(0), at(1, [50, 50, 10, 10])]
    found = [(0, 0, BOX, 0.9), (0, 0, [50, 50, 10, 9], 0.8), (0, 2, [50, 50, 10, 10], 0.7)]
    counts, costs = counted(truth, found)
    assert counts == {"class": 2}
    assert costs["class"] == pytest.approx(50)


def test_nothing_was_found_and_nothing_is_there():
    counts, costs = counted([at(0), at(1)], [])
    assert (counts, costs["missed"]) == ({"missed": 2}, 100)
    counts, costs = counted([], [(0, 0, BOX, 0.9)])
    assert counts == {"background": 1}
    assert all(math.isnan(cost) for cost in costs.values())


def test_names_and_plain_values():
    errors = ap_of(*coco_set([at(0)], [], 1)).errors()
    assert tuple(one.name for one in errors) == ERROR_TYPES
    assert errors[-1].as_dict() == {"name": "missed", "count": 1, "cost": 100.0}


# Against a plain loop


@pytest.mark.parametrize("seed", [0, 2, 3])
def test_it_is_what_a_plain_loop_finds(seed):
    instances, results = random_set(seed, images=5, classes=4, detections=30)
    instances = instances | {"annotations": [one for one in instances["annotations"] if not one["iscrowd"]]}
    results = [one | {"score": one["score"] + 1e-6 * n} for n, one in enumerate(results)]
    counts, costs = plain_errors(instances, results)
    errors = ap_of(instances, results).errors()
    assert {one.name: one.count for one in errors} == counts
    assert min(counts.values()) > 0
    assert {one.name: one.cost for one in errors} == pytest.approx(costs, abs=1e-9)


def plain_errors(instances, results):
    objects, found = instances["annotations"], sorted(results, key=lambda one: -one["score"])
    taken, kinds, about = set(), {}, {}
    for n, one in enumerate(found):
        overlaps = [
            (mask.iou([one["bbox"]], [other["bbox"]], [0])[0, 0], o)
            for o, other in enumerate(objects)
            if other["image_id"] == one["image_id"]
        ]
        own = [(iou, o) for iou, o in overlaps if objects[o]["category_id"] == one["category_id"]]
        others = [(iou, o) for iou, o in overlaps if objects[o]["category_id"] != one["category_id"]]
        free = [(iou, o) for iou, o in own if iou >= 0.5 and o not in taken]
        most, other = max(own, default=(0, 0), key=first), max(others, default=(0, 0), key=first)
        if free:
            kinds[n], about[n] = "right", max(free)[1]
            taken.add(about[n])
        elif 0.1 <= most[0] < 0.5:
            kinds[n], about[n] = "location", most[1]
        elif other[0] >= 0.5:
            kinds[n], about[n] = "class", other[1]
        elif most[0] >= 0.5:
            kinds[n] = "duplicate"
        else:
            kinds[n] = "background" if max(most[0], other[0]) <= 0.1 else "both"
    mended = {}
    for n in range(len(found)):
        if kinds[n] in ("location", "class") and about[n] not in taken:
            mended.setdefault(about[n], n)
    missed = [o for o in range(len(objects)) if o not in taken and o not in mended]
    counts = {name: list(kinds.values()).count(name) for name in ERROR_TYPES} | {"missed": len(missed)}

    def ap50(kind):
        values = []
        for category in {one["category_id"] for one in objects}:
            positives = sum(one["category_id"] == category for one in objects)
            if kind == "missed":
                positives -= sum(objects[o]["category_id"] == category for o in missed)
            right = []
            for n, one in enumerate(found):
                if kinds[n] == kind and mended.get(about.get(n)) == n:
                    if objects[about[n]]["category_id"] == category:
                        right.append(True)
                elif kinds[n] != kind and one["category_id"] == category:
                    right.append(kinds[n] == "right")
            points = [(sum(right[: r + 1]) / positives, sum(right[: r + 1]) / (r + 1)) for r in range(len(right))]
            values.append(np.mean([max((p for r, p in points if r >= at), default=0) for at in RECALLS]))
        return 100 * np.mean(values)

    now = ap50("none")
    return counts, {name: max(ap50(name) - now, 0) for name in ERROR_TYPES}


def first(pair):
    return pair[0]

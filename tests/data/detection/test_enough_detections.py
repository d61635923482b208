"""How many detections an image needs, and what is said where there are too few."""

import pytest

from attnkit.data.detection.enough_detections import DetectionLimits, enough_detections


@pytest.mark.parametrize(
    ("most", "enough"),
    [(0, 100), (50, 100), (51, 200), (100, 200), (101, 500), (250, 500), (251, 1000), (900, 2000), (10**6, 2 * 10**6)],
)
def test_twice_as_many_as_there_are_objects(most, enough):
    assert enough_detections(most) == enough


@pytest.mark.parametrize(("detections", "proposals", "objects"), [(100, 1000, 100), (500, 300, 300), (7, 7, 7)])
def test_the_smaller_number_bounds(detections, proposals, objects):
    assert DetectionLimits(detections=detections, proposals=proposals).objects == objects


@pytest.mark.parametrize(
    ("detections", "proposals", "fix"),
    [
        (500, 1000, "set inference.max_detections=2000 and model.rpn.proposals=2000, and score files with "),
        (500, 2000, "set inference.max_detections=2000, and score files with --max-detections 2000"),
        (1000, 300, "set model.rpn.proposals=2000"),
    ],
)
def test_what_to_set(detections, proposals, fix):
    limits = DetectionLimits(detections=detections, proposals=proposals)
    found = limits.finding("data.train", full_images=1, images=1234, most_objects=900)
    assert (found.severity, found.place) == ("warning", "data.train")
    assert found.what == f"over {limits.objects:,} objects are on 1 of 1,234 images, 900 on the fullest"
    assert found.fix.startswith(fix)

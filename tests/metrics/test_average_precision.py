"""Precision and recall of ranked detections: the lecture's table, and COCO's 101 points of it."""

import numpy as np
import pytest

from attnkit.metrics.average_precision import RECALLS, at_recalls, precision_recall, raw_at_recalls

RIGHT = np.array([True, True, False, False, False, True, True])
"""The lecture's seven ranked detections, of five objects."""


def test_the_table_of_the_lecture():
    curve = precision_recall(RIGHT, 5)
    assert curve.precision.round(2).tolist() == [1.0, 1.0, 0.67, 0.5, 0.4, 0.5, 0.57]
    assert curve.recall.round(2).tolist() == [0.2, 0.4, 0.4, 0.4, 0.4, 0.6, 0.8]
    assert curve.interpolated == pytest.approx([1, 1, 2 / 3, 4 / 7, 4 / 7, 4 / 7, 4 / 7])


def test_the_table_read_at_101_recalls():
    """1 up to a recall of 0.4, which are 41 points; 4/7 up to 0.8, 40 points; nothing beyond."""
    read = at_recalls(np.array([1, 2, 6, 7]), 5)
    assert read.tolist() == pytest.approx([1] * 41 + [4 / 7] * 40 + [0] * 20)
    assert read.mean() == pytest.approx((41 + 40 * 4 / 7) / 101)
    raw = raw_at_recalls(np.array([1, 2, 6, 7]), 5)
    assert raw.tolist() == pytest.approx([1] * 41 + [1 / 2] * 20 + [4 / 7] * 20 + [0] * 20)


def test_only_right_detections_need_to_be_known():
    random = np.random.default_rng(0)
    for _ in range(20):
        right = random.random(31) < 0.4
        curve = precision_recall(right, 23)
        expected = [max(curve.precision[curve.recall >= at], default=0) for at in RECALLS]
        assert at_recalls(right.nonzero()[0] + 1, 23) == pytest.approx(expected)


def test_nothing_was_found():
    curve = precision_recall(np.zeros(0, dtype=bool), 3)
    assert len(curve.precision) == len(curve.recall) == len(curve.interpolated) == 0
    assert not at_recalls(np.zeros(0, dtype=int), 3).any()
    assert not raw_at_recalls(np.zeros(0, dtype=int), 3).any()


@pytest.mark.parametrize("positives", [0, 3])
def test_fewer_objects_than_were_found(positives):
    with pytest.raises(
        ValueError, match=rf"^{positives} objects, 4 of them found; expected one at least, and as many$"
    ):
        precision_recall(RIGHT, positives)

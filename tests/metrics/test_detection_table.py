"""Who found what: cases by hand."""

import numpy as np
import pytest

from attnkit.metrics.detection_table import TableBuilder, match
from attnkit.structures.image_objects import ImageFound, ImageTruth

HALF, HIGH = 0.5, 0.8


def image(objects, detections):
    """From rows (label, box, crowd, difficult) and (label, box, score)."""
    return (
        ImageTruth(
            xywh=np.array([row[1] for row in objects], dtype=np.float64).reshape(-1, 4),
            labels=np.array([row[0] for row in objects], dtype=np.int64),
            areas=np.array([row[1][2] * row[1][3] for row in objects], dtype=np.float64),
            crowd=np.array(["crowd" in row for row in objects], dtype=np.bool_),
            difficult=np.array(["difficult" in row for row in objects], dtype=np.bool_),
        ),
        ImageFound(
            xywh=np.array([row[1] for row in detections], dtype=np.float64).reshape(-1, 4),
            labels=np.array([row[0] for row in detections], dtype=np.int64),
            scores=np.array([row[2] for row in detections], dtype=np.float64),
        ),
    )


def matched(images, uncounted=(), thresholds=(HALF, HIGH)):
    """For each threshold a list with the object that each detection found. They stand by class, the surest first."""
    builder = TableBuilder("box", 100)
    for number, (objects, detections) in enumerate(images):
        builder.add(*image(objects, detections), image_id=number)
    table = builder.table()
    ignored = (table.crowd | table.difficult)[:, None]
    ignored[list(uncounted)] = True
    found = match(table, np.array(thresholds), ignored)
    full = np.full((len(table.label), len(thresholds)), -1)
    full[found.detection] = found.object[:, :, 0]
    return full.T.tolist()


def test_the_surest_chooses_first():
    objects = [(0, [0, 0, 10, 10]), (0, [3, 0, 10, 10])]
    detections = [(0, [0, 0, 10, 10], 0.2), (0, [1, 0, 10, 10], 0.9), (0, [0, 0, 10, 10], 0.1)]
    assert matched([(objects, detections)]) == [[0, 1, -1], [0, -1, -1]]


def test_of_equal_overlaps_the_later_object_is_taken():
    objects = [(0, [0, 0, 10, 10]), (0, [0, 0, 10, 10])]
    assert matched([(objects, [(0, [0, 0, 10, 10], 0.9)])])[0] == [1]


def test_the_overlap_itself_is_enough():
    objects = [(0, [0, 0, 10, 10])]
    assert matched([(objects, [(0, [0, 0, 10, 5], 0.9)])])[0] == [0]
    assert matched([(objects, [(0, [0, 0, 10, 4.99], 0.9)])])[0] == [-1]


def test_only_objects_of_the_class_and_image():
    objects = [(1, [0, 0, 10, 10])]
    assert matched([(objects, [(0, [0, 0, 10, 10], 0.9)]), ([], [(1, [0, 0, 10, 10], 0.9)])])[0] == [-1, -1]


def test_an_object_that_does_not_count_is_taken_where_no_other_can_be():
    """Though it is overlapped more; and by one detection alone."""
    objects = [(0, [0, 0, 10, 10]), (0, [1, 0, 10, 10])]
    detections = [(0, [0, 0, 10, 10], 0.9), (0, [0, 0, 10, 10], 0.8), (0, [0, 0, 10, 10], 0.7)]
    assert matched([(objects, detections)], uncounted=[0]) == [[1, 0, -1], [1, 0, -1]]


@pytest.mark.parametrize("word", ["crowd", "difficult"])
def test_any_number_of_detections_of_a_crowd_or_a_difficult_object(word):
    objects = [(0, [0, 0, 10, 10]), (0, [2, 0, 10, 10], word)]
    detections = [(0, [0, 0, 10, 10], 0.9), (0, [2, 0, 10, 10], 0.8), (0, [2, 0, 10, 10], 0.7)]
    assert matched([(objects, detections)])[0] == [0, 1, 1]


def test_a_part_of_a_crowd_lies_in_it_and_a_part_of_a_difficult_object_does_not_find_it():
    part = [(0, [0, 0, 3, 3], 0.9)]
    assert matched([([(0, [0, 0, 10, 10], "crowd")], part)])[0] == [0]
    assert matched([([(0, [0, 0, 10, 10], "difficult")], part)])[0] == [-1]


def test_nothing_at_all():
    assert matched([([], [])]) == [[], []]
    assert matched([]) == [[], []]
    assert matched([([(0, [0, 0, 1, 1])], [])]) == [[], []]

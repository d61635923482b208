"""The areas of classes on images: an answer where its image stood, as a table and as JSON."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from attnkit.predict.image_answers import ImageAnswer
from attnkit.predict.image_inputs import Decoded
from attnkit.predict.segmented_images import Area, area_table, areas_as_json, areas_of, percent, segment_images

LABELS = np.array([[0, 0, 2, 2, 2], [0, 2, 2, 2, 2], [1, 1, 2, 2, 2]], dtype=np.uint8)


def test_areas_are_of_the_classes_that_are_there_largest_first():
    areas = areas_of(LABELS, ["a", "b", "c", "d"])
    assert areas == [Area(2, "c", 10, 10 / 15), Area(0, "a", 3, 3 / 15), Area(1, "b", 2, 2 / 15)]


@pytest.mark.parametrize(
    ("share", "text"), [(0, "0.00 %"), (0.00004, "<0.01 %"), (0.00005, "0.01 %"), (0.12345, "12.35 %"), (1, "100.00 %")]
)
def test_shares_for_people(share, text):
    assert percent(share) == text


ROAD, SKY = Area(3, "grüne Straße", 123456, 0.9876543), Area(0, 'sky "x"', 1, 1e-7)
ANSWERS = [
    ImageAnswer("x/ä.jpg", [ROAD, SKY], (7, 11), {"mask": Path("m/ä.png"), "overlay": Path("m/ä_overlay.png")}),
    ImageAnswer("y", [SKY], (5, 3)),
]


def test_table():
    table = area_table()
    assert table.write([ImageAnswer("bad", problem="bad: empty")]) == ""
    assert table.write(ANSWERS[:1]) == (
        "file     class            area  pixels\n"
        "x/ä.jpg  grüne Straße  98.77 %  123456\n"
        '         sky "x"       <0.01 %       1\n'
    )
    assert table.write(ANSWERS[1:]) == 'y        sky "x"       <0.01 %       1\n'


def test_json_lines():
    first, second, bad = (areas_as_json([one]) for one in [*ANSWERS, ImageAnswer("z", problem="z: empty")])
    assert "grüne Straße" in first
    assert json.loads(first) == {
        "input": "x/ä.jpg",
        "height": 7,
        "width": 11,
        "areas": [
            {"class": "grüne Straße", "index": 3, "pixels": 123456, "share": 0.987654},
            {"class": 'sky "x"', "index": 0, "pixels": 1, "share": 1e-07},
        ],
        "mask": "m/ä.png",
        "overlay": "m/ä_overlay.png",
    }
    assert list(json.loads(second)) == ["input", "height", "width", "areas"]
    assert json.loads(bad) == {"input": "z", "error": "z: empty"}
    assert [one.count("\n") for one in (first, second, bad)] == [1, 1, 1]


class FakeSegmenter:
    class_names = ("a", "b")

    def segment(self, pixels):
        if pixels.shape[1] == 7:
            raise torch.OutOfMemoryError("none left")
        if pixels.shape[1] == 11:
            raise RuntimeError("bug")
        return np.zeros(pixels.shape[1:], dtype=np.uint8)


def image(height):
    return torch.zeros(3, height, 2, dtype=torch.uint8)


def test_answers_stand_where_their_images_stood():
    groups = [[Decoded("p", image(3), None), Decoded("q", None, "q: bad")], [Decoded("r", image(5), None)]]
    answers = [one for group in segment_images(FakeSegmenter(), groups, None) for one in group]
    assert [(one.name, one.size, one.problem) for one in answers] == [
        ("p", (3, 2), None), ("q", (0, 0), "q: bad"), ("r", (5, 2), None)
    ]  # fmt: skip


def test_an_image_for_which_there_is_no_memory():
    groups = [[Decoded("p", image(7), None), Decoded("q", image(3), None)]]
    ((first, second),) = segment_images(FakeSegmenter(), groups, None)
    assert first.problem == (
        "p: 7x2 pixels need more memory than there is; expected room for one window; name a smaller one with --window"
    )
    assert second.problem is None


def test_a_bug_is_no_bad_image():
    with pytest.raises(RuntimeError, match=r"^bug$"):
        list(segment_images(FakeSegmenter(), [[Decoded("p", image(11), None)]], None))

"""The objects on images: an answer where its image stood, as a table and as JSON."""

import json
from pathlib import Path

import pytest
import torch

from attnkit.errors import DataError
from attnkit.predict.detected_images import (
    ClassCount,
    FoundObject,
    count_table,
    counts_of,
    detect_images,
    objects_as_json,
    objects_of,
)
from attnkit.predict.image_answers import ImageAnswer
from attnkit.predict.image_inputs import Decoded
from attnkit.structures.detections import Detections
from attnkit.structures.masks import Masks


def thing(index, name, score, **given):
    return FoundObject(index=index, name=name, category_id=10 + index, score=score, box=(1.0, 2.0, 4.5, 9.25), **given)


CAT, DOG, CAT_2 = thing(3, "cat", 0.98765432), thing(0, 'dog "x"', 0.9), thing(3, "cat", 0.25)


def test_classes_with_most_objects_come_first_and_of_equal_ones_the_surest():
    assert counts_of([CAT, DOG, CAT_2]) == [ClassCount(3, "cat", 2, 0.98765432), ClassCount(0, 'dog "x"', 1, 0.9)]
    assert [one.name for one in counts_of([DOG, CAT_2])] == ['dog "x"', "cat"]
    assert counts_of([]) == []


def test_table():
    table = count_table()
    assert table.write([ImageAnswer("bad", problem="bad: empty")]) == ""
    assert table.write([ImageAnswer("x/ä.jpg", [DOG, CAT, CAT_2], (7, 11))]) == (
        'file     class    objects  best\nx/ä.jpg  cat            2  0.99\n         dog "x"        1  0.90\n'
    )
    assert table.write([ImageAnswer("y", size=(5, 3))]) == "y        nothing        0\n"


def test_json_lines():
    boxes_alone = objects_as_json([ImageAnswer("x/ä.jpg", [CAT], (7, 11))])
    assert "ä.jpg" in boxes_alone
    assert json.loads(boxes_alone) == {
        "input": "x/ä.jpg",
        "height": 7,
        "width": 11,
        "objects": [
            {"class": "cat", "index": 3, "category_id": 13, "score": 0.987654, "box": [1.0, 2.0, 4.5, 9.25]},
        ],
    }
    masked = thing(0, "dog", 0.5, area=0, code={"size": [7, 11], "counts": b""})
    drawn = json.loads(objects_as_json([ImageAnswer("y", [masked], (7, 11), {"overlay": Path("m/y_overlay.png")})]))
    assert drawn["objects"][0]["area"] == 0
    assert "code" not in drawn["objects"][0]
    assert drawn["overlay"] == "m/y_overlay.png"
    assert json.loads(objects_as_json([ImageAnswer("z", problem="z: empty")])) == {"input": "z", "error": "z: empty"}
    assert [objects_as_json([one]).count("\n") for one in (ImageAnswer("y"), ImageAnswer("z", problem="z: empty"))] == [
        1,
        1,
    ]


def found(*boxes, labels=None, scores=None, probs=None):
    return Detections(
        boxes=torch.tensor(boxes, dtype=torch.float32).view(-1, 4),
        scores=torch.tensor(scores or [0.9] * len(boxes)),
        labels=torch.tensor(labels or [0] * len(boxes), dtype=torch.int64),
        mask_probs=probs,
    )


class FakeDetector:
    class_names = ("a", "b")
    category_ids = (7, 3)

    def detect(self, pixels):
        if pixels.shape[1] == 7:
            raise torch.OutOfMemoryError("none left")
        if pixels.shape[1] == 11:
            raise RuntimeError("bug")
        return found((0, 0, 2, 1), (0, 1, 1, 3), labels=[1, 0], scores=[0.75, 0.5], probs=torch.ones(2, 4, 4))


def image(height):
    return torch.zeros(3, height, 2, dtype=torch.uint8)


def test_objects_in_plain_numbers():
    detector = FakeDetector()
    first, second = objects_of(detector, detector.detect(image(5)), (5, 2), 0.5)
    assert (first.index, first.name, first.category_id, first.score) == (1, "b", 3, 0.75)
    assert (first.box, first.area) == ((0, 0, 2, 1), 2)
    assert (second.name, second.category_id, second.area) == ("a", 7, 2)
    expected = [[0, 0], [1, 0], [1, 0], [0, 0], [0, 0]]
    assert Masks.from_rle([second.code], (5, 2)).bitmap(0).int().tolist() == expected
    boxes_alone = objects_of(detector, detector.detect(image(5)), (5, 2), None)
    assert [(one.area, one.code) for one in boxes_alone] == [(None, None)] * 2


class FakeSaver:
    def __init__(self):
        self.saved = []

    def save(self, name, number, pixels, found, objects):
        if name == "unknown":
            raise DataError("unknown: has no id")
        self.saved.append((name, number, len(found), len(objects)))
        return Path(f"{name}.png")


def detected(*images, saver=None):
    groups = [[Decoded(name, None if problem else image(height), problem)] for name, height, problem in images]
    save = saver.save if saver else None
    return [one for group in detect_images(FakeDetector(), groups, save, mask_threshold=0.5) for one in group]


def test_answers_stand_where_their_images_stood_and_are_numbered_with_the_bad_ones():
    saver = FakeSaver()
    answers = detected(("p", 3, None), ("q", 3, "q: bad"), ("unknown", 3, None), ("r", 5, None), saver=saver)
    assert [(one.name, one.size, one.problem, len(one.found)) for one in answers] == [
        ("p", (3, 2), None, 2), ("q", (0, 0), "q: bad", 0), ("unknown", (0, 0), "unknown: has no id", 0),
        ("r", (5, 2), None, 2),
    ]  # fmt: skip
    assert saver.saved == [("p", 1, 2, 2), ("r", 4, 2, 2)]
    assert answers[3].files == {"overlay": Path("r.png")}


def test_an_image_for_which_there_is_no_memory():
    first, second = detected(("p", 7, None), ("q", 3, None))
    assert first.problem == (
        "p: 7x2 pixels need more memory than there is; expected room for the image in the size that the model is "
        "given; name a smaller one with --sizes"
    )
    assert second.problem is None


def test_a_bug_is_no_bad_image():
    with pytest.raises(RuntimeError, match=r"^bug$"):
        detected(("p", 11, None))

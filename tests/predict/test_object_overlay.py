"""Objects over the photograph: an overlay that stays readable, however many there are."""

import numpy as np
import pytest
import torch

from attnkit.predict.detected_images import FoundObject
from attnkit.predict.object_overlay import Label, colour_of, draw_objects, place_labels
from attnkit.structures.detections import Detections


def found(*boxes, labels=None, scores=None, probs=None):
    return Detections(
        boxes=torch.tensor(boxes, dtype=torch.float32).view(-1, 4),
        scores=torch.tensor(scores or [0.9] * len(boxes)),
        labels=torch.tensor(labels or [0] * len(boxes), dtype=torch.int64),
        mask_probs=probs,
    )


# Pictures

GREY = (100, 100, 100)


def overlay(detections, names=("a", "b", "c"), *, size=(300, 500), threshold=None, alpha=0.5, photo=None):
    photo = np.full((*size, 3), 100, dtype=np.uint8) if photo is None else photo
    objects = [
        FoundObject(index=label, name=names[label % len(names)], category_id=1, score=score, box=tuple(box))
        for label, score, box in zip(
            detections.labels.tolist(), detections.scores.tolist(), detections.boxes.tolist(), strict=True
        )
    ]
    return draw_objects(photo, detections, objects, mask_threshold=threshold, alpha=alpha)


def mixed(colour, alpha):
    return tuple(100 * (1 - alpha) + value * alpha for value in colour)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_masks_are_mixed_in_inside_boxes_and_outlined(alpha):
    probs = torch.zeros(1, 4, 4)
    probs[:, :, 2:] = 1.0  # the right half of the box
    picture = overlay(found((100, 50, 300, 250), probs=probs), threshold=0.5, alpha=alpha)
    colour = colour_of(0)
    assert picture.getpixel((250, 150)) == pytest.approx(mixed(colour, alpha), abs=1)
    assert picture.getpixel((150, 150)) == GREY
    assert picture.getpixel((350, 150)) == GREY
    assert picture.getpixel((200, 150)) == colour, "the outline"
    assert picture.getpixel((299, 150)) != GREY
    for corner in [(100, 240), (110, 249), (299, 240)]:
        assert picture.getpixel(corner) != GREY
    assert picture.getpixel((99, 240)) == picture.getpixel((110, 250)) == GREY, "x2 and y2 are exclusive"


def test_the_surest_lies_on_top():
    both = found((100, 50, 300, 250), (100, 50, 300, 250), labels=[2, 1], probs=torch.ones(2, 4, 4))
    assert overlay(both, threshold=0.5, alpha=1.0).getpixel((200, 150)) == colour_of(2)


def test_boxes_without_masks():
    picture = overlay(found((100, 50, 300, 250), labels=[1]))
    assert picture.getpixel((200, 150)) == GREY
    assert picture.getpixel((100, 200)) == picture.getpixel((101, 200)) != GREY
    assert picture.getpixel((102, 200)) == GREY


def test_the_legend_has_a_swatch_for_each_class_that_was_found():
    picture = overlay(found((100, 50, 300, 250), (10, 10, 50, 50), labels=[0, 2]))
    legend = np.array(picture)[300:]
    colours = {tuple(colour) for colour in legend.reshape(-1, 3).tolist()}
    assert {colour_of(0), colour_of(2)} <= colours
    assert colour_of(1) not in colours


def test_nothing_found_is_the_photograph():
    picture = overlay(found())
    assert picture.size == (500, 300)
    assert set(np.array(picture).reshape(-1, 3).flatten().tolist()) == {100}


def test_every_class_has_a_colour():
    assert len({colour_of(index) for index in range(255)}) == 255
    assert colour_of(1202) == colour_of(1202 % 255)


@pytest.mark.parametrize(("size", "expected"), [((7, 11), (308, 484)), ((100, 8192), (50, 4096))])
def test_boxes_and_masks_go_with_the_size_of_the_picture(size, expected):
    whole = found((0, 0, size[1] / 2, size[0]), probs=torch.ones(1, 4, 4))
    drawn = np.array(overlay(whole, size=size, threshold=0.5, alpha=1.0))[: expected[0]]
    middle = drawn[expected[0] // 2]
    assert middle.shape[0] >= expected[1]
    assert tuple(middle[expected[1] // 2 - 10]) == colour_of(0)
    assert tuple(middle[expected[1] // 2 + 10]) == GREY


def test_hundreds_of_objects_on_a_tiny_image():
    boxes = [(x, y, x + 2, y + 2) for x in range(0, 60, 3) for y in range(0, 60, 3)]
    picture = overlay(found(*boxes, probs=torch.ones(len(boxes), 4, 4)), size=(60, 60), threshold=0.5)
    drawn = np.array(picture)[:480, :480]
    assert (drawn == GREY).all(-1).mean() > 0.3, "labels do not cover what lies between"
    assert all(tuple(drawn[8 * y + 8, 8 * x + 8]) != GREY for x, y, _, _ in boxes)


# Labels beside boxes


def label(box, name="horse", score=0.987):
    return Label(tuple(map(float, box)), (200, 10, 10), name, score)


def meet(one, other):
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def test_a_label_stands_above_its_box_or_inside_where_there_is_no_room():
    (above,) = place_labels([label((100, 50, 300, 250))], (500, 300), font_size=13)
    assert above.text == "horse 0.99"
    assert (above.rectangle[0], above.rectangle[3]) == (100, 50)
    (inside,) = place_labels([label((100, 2, 300, 250))], (500, 300), font_size=13)
    assert inside.rectangle[1] == 2
    (shifted,) = place_labels([label((480, 50, 500, 250))], (500, 300), font_size=13)
    assert shifted.rectangle[2] == 500


def test_labels_hide_no_other():
    boxes = [(100 + shift, 50 + shift, 300 + shift, 250 - shift) for shift in range(0, 60, 4)]
    placed = place_labels([label(box) for box in boxes], (500, 300), font_size=13)
    assert len(placed) > 5
    for number, one in enumerate(placed):
        assert not any(meet(one.rectangle, other.rectangle) for other in placed[:number])


def test_among_many_objects_labels_are_short_or_left_out():
    many = [label((40 * (k % 12), 20 + 30 * (k // 12), 40 * (k % 12) + 30, 44 + 30 * (k // 12))) for k in range(60)]
    placed = place_labels([label((0, 280, 300, 299)), *many], (500, 300), font_size=13)
    assert placed[0].text == "horse 0.99"
    assert {one.text for one in placed[1:]} == {"0.99"}
    tiny = [label((x, 50, x + 5, 55)) for x in range(0, 500, 10)]
    assert place_labels(tiny, (500, 300), font_size=13) == []
    assert len(place_labels(tiny[:20:5], (500, 300), font_size=13)) == 4, "of few objects each has its label"


def test_among_many_objects_no_label_hides_the_middle_of_one():
    """A large box, with small ones where its label would stand, and elsewhere."""
    small = [label((x, y, x + 6, y + 6)) for x in range(100, 400, 20) for y in (42, 52)]
    alone, *_ = place_labels([label((100, 50, 300, 250)), *small[:5]], (500, 300), font_size=13)
    assert alone.rectangle[3] == 50
    among, *_ = place_labels([label((100, 50, 300, 250)), *small], (500, 300), font_size=13)
    assert among.rectangle[1] == 250, "below the box, where there is no other"


def test_a_picture_smaller_than_a_label():
    assert place_labels([label((0, 0, 8, 8))], (8, 8), font_size=13) == []

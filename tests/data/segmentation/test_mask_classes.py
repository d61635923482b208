import json

import numpy as np
import pytest

from attnkit.data.formats.mask_png import palette
from attnkit.data.segmentation.mask_classes import MaskClasses, counts_of
from attnkit.data.segmentation.named_ids import NamedIds, given_classes, read_classes
from attnkit.errors import DataError
from attnkit.structures.arrays import IGNORE

ROAD, SKY, VOID = (128, 64, 128), (70, 130, 180), (0, 0, 0)
IN_JSON = {
    "classes": [{"id": 7, "name": "road", "colour": ROAD}, {"id": 3, "name": "sky", "color": SKY}],
    "ignore": {"id": 300, "colour": VOID},
}


def read(about, name="classes.json", first=0):
    content = about if isinstance(about, bytes) else json.dumps(about).encode()
    return read_classes(content, name, first=first)


def classes(about=IN_JSON, ignore=(255,), **options):
    return MaskClasses(about if isinstance(about, NamedIds) else read(about), ignore=ignore, place="data", **options)


def test_classes_are_in_the_order_of_their_ids():
    found = classes()
    assert (found.ids, found.names, found.ignored) == ([3, 7], ("sky", "road"), [255, 300])
    assert found.colours.tolist() == [list(SKY), list(ROAD)]
    values = np.array([[7, 3, 255], [3, 300, 7]], dtype=np.uint16)
    assert found.labels(values, "m").tolist() == [[1, 0, IGNORE], [0, IGNORE, 1]]
    assert found.labels(values, "m").dtype == np.uint8


def test_colours_mean_classes():
    values = np.array([[ROAD, SKY, VOID]], dtype=np.uint8)
    assert classes().labels(values, "m").tolist() == [[1, 0, IGNORE]]
    values = np.array([[ROAD, (1, 2, 3)], [(1, 2, 3), (4, 5, 6)]], dtype=np.uint8)
    message = (
        r"^m: colour \(1, 2, 3\) at x 1, y 0 is of no class, and so is 1 more; expected the 3 colours of "
        "data.classes; add it there, or fix the mask$"
    )
    with pytest.raises(DataError, match=message):
        classes().labels(values, "m")
    with pytest.raises(DataError, match=r"^m: pixels are colours, and what they mean is not known; expected class ids"):
        classes(["a", "b"]).labels(values, "m")


def test_greys_are_colours_if_all_are_those_of_classes():
    """An image of the sky alone has no other colour, and CamVid's sky is grey; one of ids was saved as colours."""
    black, grey = (0, 0, 0), (128, 128, 128)
    about = NamedIds({0: "road", 1: "void", 2: "sky"}, {0: (9, 8, 7), 1: black, 2: grey})
    found = classes(about, ignore=(1,))
    for colours, labels in (([grey, grey], [1, 1]), ([black, grey], [IGNORE, 1]), ([(2, 2, 2), black], [1, 0])):
        values = np.array([colours], dtype=np.uint8)
        assert found.labels(values, "m").tolist() == [labels]
        assert found.count(values, "m").per_class.tolist() == [labels.count(0), labels.count(1)]


def test_the_colour_of_an_ignored_class_is_ignored():
    found = classes(IN_JSON, ignore=(3,))
    assert found.names == ("road",)
    assert found.labels(np.array([[SKY, ROAD]], dtype=np.uint8), "m").tolist() == [[IGNORE, 0]]


def test_values_of_no_class():
    message = r"^m: pixel values 1, 9 of no class; expected 3, 7, or 255, 300 to be ignored; fix the mask, or add to"
    with pytest.raises(DataError, match=message):
        classes().labels(np.array([[7, 9, 1, 9]], dtype=np.uint8), "m")
    with pytest.raises(DataError, match=r"^m: pixel value 11 of no class; expected 0\.\.10, or none to be ignored; "):
        classes(list("abcdefghijk"), ignore=()).labels(np.array([[11]], dtype=np.uint8), "m")


def test_pixels_are_counted():
    found = classes()
    counts = found.count(np.array([[7, 3, 255], [7, 11, 300]], dtype=np.uint16), "m")
    assert (counts.per_class.tolist(), counts.ignored, counts.outside) == ([1, 2], {255: 1, 300: 1}, {11: 1})
    counts = found.count(np.array([[ROAD, SKY, VOID, SKY]], dtype=np.uint8), "m")
    assert (counts.per_class.tolist(), counts.ignored, counts.outside) == ([2, 1], {IGNORE: 1}, {})
    counts = found.count(np.array([[3]], dtype=np.uint8), "m")
    assert counts.per_class.tolist() == [1, 0]
    counts = counts_of(np.array([[0, 2, 2]], dtype=np.uint8), 3)
    assert (counts.per_class.tolist(), counts.ignored) == ([1, 0, 2], {})


@pytest.mark.parametrize(
    ("about", "name", "first", "names"),
    [
        (["a", "b"], "x.json", 0, {0: "a", 1: "b"}),
        (["a", "b"], "x.json", 1, {1: "a", 2: "b"}),
        ({"0": "a", "255": "b"}, "x.json", 0, {0: "a", 255: "b"}),
        ({"categories": [{"id": 5, "name": "a"}, {"name": "b"}]}, "x.JSON", 0, {5: "a", 1: "b"}),
        (b"a\n\nb c\r\n", "x.txt", 0, {0: "a", 1: "b c"}),
        (b"\xef\xbb\xbfa\nb", "x.txt", 1, {1: "a", 2: "b"}),
        (b"Idx\tRatio\tName\n1\t0.15\twall\n2\t0.1\tbuilding, edifice  \n", "x.txt", 1, {1: "wall", 2: "building"}),
        (b"Idx,Ratio,Train,Name\n1,0.15,9,wall\n3,0.1,9,lamp;light, x\n", "x.csv", 1, {1: "wall", 3: "lamp"}),
    ],
)
def test_files_of_classes(about, name, first, names):
    assert read(about, name, first).names == names


def test_what_a_file_ignores():
    assert read({"classes": ["a"], "ignore": [3, {"id": 4}]}).ignored == {3, 4}
    assert read({"classes": ["a"], "ignore": 5}).ignored == {5}


@pytest.mark.parametrize(
    ("about", "what"),
    [
        (b"{", "JSONDecodeError: Expecting"),
        (b"\xff", "UnicodeDecodeError: "),
        ([{"id": 1}], "KeyError: 'name'"),
        ([{"id": 1, "name": "a"}, {"id": 1, "name": "b"}], "ValueError: id 1 is there twice"),
        ([{"id": 1, "name": "a", "colour": [1, 2, 256]}], "ValueError: colour .1, 2, 256. is not within 0..255"),
        ({"a": "b"}, "ValueError: invalid literal"),
        (3, "TypeError: 'int' object is not iterable"),
    ],
)
def test_what_is_no_file_of_classes(about, what):
    with pytest.raises(DataError, match=rf"^x.json: no list of classes \({what}.*; expected a JSON list of names, or"):
        read(about, "x.json")


def test_classes_that_cannot_be():
    with pytest.raises(DataError, match=r"^data: 0 classes; expected 1 to 255; correct data.classes, data.ignore or "):
        classes(["a"], ignore=(0,))
    with pytest.raises(DataError, match=r"^data: two classes are named a; "):
        classes(["a", "a"])
    with pytest.raises(DataError, match=r"^data: ids from -1 to 70000; expected 0 to 65535, pixel values of 16 bits; "):
        classes({"-1": "a", "70000": "b"})


def test_classes_of_the_recipe():
    assert given_classes(("a", "b"), first=1).names == {1: "a", 2: "b"}
    assert given_classes({0: "a", 255: "b"}, first=1).names == {0: "a", 255: "b"}


def test_a_palette_of_masks_gives_colours_if_it_tells_classes_apart():
    named = NamedIds({0: "a", 2: "b"})
    own = np.array([ROAD, VOID, SKY], dtype=np.uint8)
    assert classes(named, palette_of_masks=own).colours.tolist() == [list(ROAD), list(SKY)]
    for useless in (own[:2], own[[0, 1, 0]], np.array([[9] * 3, [8] * 3, [7] * 3], dtype=np.uint8), None):
        assert np.array_equal(classes(named, palette_of_masks=useless).colours, palette(2))
    given = NamedIds({0: "a", 2: "b"}, {2: (1, 2, 3)})
    assert classes(given, palette_of_masks=own).colours.tolist() == [list(ROAD), [1, 2, 3]]

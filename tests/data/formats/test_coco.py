import json
import re

import pytest

from attnkit.data.formats.coco import CocoObject, read_coco_json
from attnkit.errors import DataError


def about(**changes):
    return {
        "images": [
            {"id": 5, "file_name": "b.jpg", "height": 3, "width": 7},
            {"id": 2, "file_name": "a.jpg", "height": 2, "width": 5},
        ],
        "annotations": [
            {
                "id": 1,
                "image_id": 5,
                "category_id": 9,
                "segmentation": [[0, 0, 3, 0, 3, 3]],
                "iscrowd": 0,
                "bbox": [0.5, 1, 2.25, 3],
                "area": 4.5,
            },
            {"id": 2, "image_id": 5, "category_id": 4, "segmentation": {"size": [3, 7], "counts": [21]}, "iscrowd": 1},
        ],
        "categories": [{"id": 9, "name": "dog", "color": [1, 2, 300]}, {"id": 4, "name": "cat"}],
    } | changes


def read(content):
    return read_coco_json(json.dumps(content).encode(), "x.json")


def test_instances():
    found = read(about())
    assert (found.kind, found.names, found.colours) == ("instances", ("cat", "dog"), (None, (1, 2, 255)))
    first, second = found.images
    assert (first.id, first.file_name, first.height, first.width, first.panoptic_file) == (5, "b.jpg", 3, 7, None)
    assert found.ids == (4, 9)
    assert first.objects() == [
        CocoObject(1, "1", [[0, 0, 3, 0, 3, 3]], [0.5, 1.0, 2.25, 3.0], 4.5, False),
        CocoObject(0, "2", {"size": [3, 7], "counts": [21]}, None, None, True),
    ]
    assert second.objects() == []
    assert isinstance(first.annotations, bytes)


@pytest.mark.parametrize("more", [{}, {"bbox": [], "iscrowd": None, "area": None}, {"iscrowd": "0"}])
def test_what_is_not_said(more):
    (one,) = read(about(annotations=[{"image_id": 2, "category_id": 4} | more])).images[1].objects()
    assert one == CocoObject(0, "None", None, None, None, False)


TRIANGLE = [[0, 0, 3, 0, 3, 3]]


@pytest.mark.parametrize(
    ("outline", "crowd", "expected"),
    [(TRIANGLE, 0, True), (TRIANGLE, 1, False), ([], 0, False), ([[]], 0, False), ([[0, 0, 3, 3]], 0, False)],
)
def test_whether_there_are_outlines(outline, crowd, expected):
    one = {"image_id": 2, "category_id": 4, "segmentation": outline, "iscrowd": crowd}
    assert read(about(annotations=[one])).has_outlines == expected


@pytest.mark.parametrize(("outlined", "bare", "expected"), [(18, 2, True), (17, 2, False), (1, 25, False)])
def test_masks_are_of_sets_of_which_nine_tenths_have_outlines(outlined, bare, expected):
    """Crowds are not counted."""
    kinds = [(TRIANGLE, 0)] * outlined + [([], 0)] * bare + [([], 1), (TRIANGLE, 1)] * 30
    ones = [{"image_id": 2, "category_id": 4, "segmentation": outline, "iscrowd": crowd} for outline, crowd in kinds]
    assert read(about(annotations=ones)).has_outlines == expected


def test_annotations_of_images_that_are_not_there():
    annotations = [{"id": 3, "image_id": image, "category_id": 4} for image in (7, 5, 7)]
    found = read(about(annotations=annotations))
    assert found.images_unknown == (7, 7)
    assert [len(image.objects()) for image in found.images] == [1, 0]


@pytest.mark.parametrize("what", ["images", "categories"])
def test_ids_that_stand_twice(what):
    content = about()
    content[what] = [content[what][0], content[what][1] | {"id": content[what][0]["id"]}]
    message = rf"^x.json: 2 {what} have only 1 different ids; expected an id for each; fix the file$"
    with pytest.raises(DataError, match=message):
        read(content)


def test_stuff_has_a_category_for_all_things():
    categories = [{"id": 9, "name": "dog"}, {"id": 4, "name": "other", "supercategory": "other"}]
    assert read(about(categories=categories)).kind == "stuff"


def test_panoptic():
    segments = [{"id": 70000, "category_id": 4}, {"id": 3, "category_id": 9}]
    annotations = [{"image_id": 2, "file_name": "a.png", "segments_info": segments}]
    found = read(about(annotations=annotations))
    assert found.kind == "panoptic"
    assert found.images[1].segments() == {70000: 0, 3: 1}
    assert (found.images[0].panoptic_file, found.images[1].panoptic_file) == (None, "a.png")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"{", r"JSONDecodeError: .*"),
        (b"[]", r"TypeError: .*"),
        (b"{}", r"KeyError: 'categories'"),
        (b"[" * 100_000, r"RecursionError: maximum recursion depth .*"),
        (json.dumps(about(annotations=3)).encode(), r"TypeError: .*"),
    ],
)
def test_another_form(content, what):
    message = (
        rf"^x.json: not as COCO's json is \({what}\); expected images, annotations and categories, as in instances"
    )
    with pytest.raises(DataError, match=message):
        read_coco_json(content, "x.json")


WHOLE = {"id": 17, "image_id": 2, "category_id": 4}
PANOPTIC = {"id": 17, "image_id": 2, "file_name": "a.png", "segments_info": [{"id": 3, "category_id": 4}]}


@pytest.mark.parametrize(
    ("one", "what"),
    [
        ({"id": 17}, "annotation 17 has no image_id; expected the id of an image, a whole number"),
        ({"image_id": 2}, "annotation number 3 has no category_id; expected the id of a category, a whole number"),
        (WHOLE | {"image_id": float("inf")}, "annotation 17 has the image_id Infinity; expected the id of an image, a"),
        (WHOLE | {"image_id": 2.5}, "annotation 17 has the image_id 2.5; expected the id of an image, a whole number"),
        (WHOLE | {"image_id": 2**63}, "annotation 17 has the image_id 9223372036854775808; expected the id of an imag"),
        (WHOLE | {"category_id": "cat"}, 'annotation 17 has the category_id "cat"; expected the id of a category, a '),
        (
            WHOLE | {"bbox": [1, None, 3, 4]},
            "annotation 17 has the bbox [1, null, 3, 4]; expected four numbers: left, top, width and height",
        ),
        (WHOLE | {"bbox": 5}, "annotation 17 has the bbox 5; expected four numbers: left, top, width and height"),
        (WHOLE | {"area": "x"}, 'annotation 17 has the area "x"; expected a number of pixels'),
        (WHOLE | {"area": 10**400}, f"annotation 17 has the area 1{'0' * 58}…; expected a number of pixels"),
        (WHOLE | {"iscrowd": "yes"}, 'annotation 17 has the iscrowd "yes"; expected 0 or 1'),
        (
            WHOLE | {"segmentation": {"image_id": 2, "category_id": 4}},
            "annotation 17 has the segmentation ",
        ),
        ("x", 'annotation number 3 is "x"; expected an object with fields'),
        (
            PANOPTIC | {"segments_info": [{"id": 3}]},
            'annotation 17 has the segments_info [{"id": 3}]; expected a list ',
        ),
        (PANOPTIC | {"file_name": None}, "annotation 17 has the file_name null; expected the name of its PNG"),
    ],
)
def test_an_annotation_that_is_none(one, what):
    good = WHOLE if one is None or "segments_info" not in one else PANOPTIC
    with pytest.raises(DataError, match=rf"^x.json: {re.escape(what)}.*; fix the file$"):
        read(about(annotations=[good, good, one]))


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"id": None}, "image number 2 has the id null; expected a whole number"),
        ({"id": float("inf")}, "image Infinity has the id Infinity; expected a whole number"),
        ({"file_name": ()}, "image 2 has the file_name []; expected the name of its file"),
        ({"width": ...}, "image 2 has no width; expected pixels, from 1 to 1000000"),
        ({"height": 0}, "image 2 has the height 0; expected pixels, from 1 to 1000000"),
        ({"height": 1e300}, "image 2 has the height 1e+300; expected pixels, from 1 to 1000000"),
    ],
)
def test_an_image_that_is_none(changes, what):
    first, second = about()["images"]
    second = {key: value for key, value in (second | changes).items() if value is not ...}
    with pytest.raises(DataError, match=rf"^x.json: {re.escape(what)}; fix the file$"):
        read(about(images=[first, second]))


@pytest.mark.parametrize(
    ("category", "what"),
    [
        ({"id": 9}, "category 9 has no name; expected the name of a class"),
        ({"name": "dog"}, "category number 1 has no id; expected a whole number"),
    ],
)
def test_a_category_that_is_none(category, what):
    with pytest.raises(DataError, match=f"^x.json: {what}; fix the file$"):
        read(about(categories=[category]))


def test_the_first_of_many_are_named():
    ones = [WHOLE | {"id": number, "area": "x" if number > 4 else 7} for number in range(17)]
    with pytest.raises(DataError) as caught:
        read(about(annotations=ones))
    lines = str(caught.value).splitlines()
    assert [line.split()[2] for line in lines[:-1]] == [str(number) for number in range(5, 15)]
    assert lines[-1] == ("x.json: fields of 2 more are wrong; expected the same as above; fix them too")


@pytest.mark.parametrize("colour", ["#00ff7f", [1, 2], [1, 2, float("inf")], 5])
def test_colours_that_are_written_in_another_way(colour):
    assert read(about(categories=[{"id": 9, "name": "dog", "color": colour}, {"id": 4, "name": "cat"}])).colours == (
        None,
        None,
    )


class TestRepeatedCategories:
    """A root of exports of Roboflow, with the name of a class."""

    def read(self, *annotated, categories=((0, "dog"), (4, "cat"), (9, "dog"))):
        annotations = [{"id": 1, "image_id": 2, "category_id": category} for category in annotated]
        return read(about(annotations=annotations, categories=[{"id": key, "name": name} for key, name in categories]))

    @pytest.mark.parametrize("annotated", [(9, 4), (), (4,)])
    def test_without_annotations_it_is_left_out(self, annotated):
        found = self.read(*annotated)
        assert (found.names, found.ids, found.repeated) == (("cat", "dog"), (4, 9), (("dog", 0),))
        assert [one.category for one in found.images[1].objects()] == [(4, 9).index(one) for one in annotated]

    def test_the_used_one_stays(self):
        found = self.read(0)
        assert (found.names, found.ids, found.repeated) == (("dog", "cat"), (0, 4), (("dog", 9),))

    def test_both_are_used(self):
        found = self.read(0, 9)
        assert (found.names, found.repeated) == (("dog", "cat", "dog"), ())

    def test_a_name_of_its_own_stays(self):
        found = self.read(9, categories=((0, "pets"), (9, "dog")))
        assert (found.names, found.repeated) == (("pets", "dog"), ())


def test_an_unknown_category():
    message = r"^x.json: annotation 1 is of category 9, which is not among the 1 categories; expected one of them; fix "
    with pytest.raises(DataError, match=message):
        read(about(categories=[{"id": 4, "name": "cat"}]))

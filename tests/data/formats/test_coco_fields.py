import re

import pytest

from attnkit.errors import DataError
from tests.data.formats.coco_files import about, read_about

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
        read_about(about(annotations=[good, good, one]))


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
        read_about(about(images=[first, second]))


@pytest.mark.parametrize(
    ("category", "what"),
    [
        ({"id": 9}, "category 9 has no name; expected the name of a class"),
        ({"name": "dog"}, "category number 1 has no id; expected a whole number"),
    ],
)
def test_a_category_that_is_none(category, what):
    with pytest.raises(DataError, match=f"^x.json: {what}; fix the file$"):
        read_about(about(categories=[category]))


def test_the_first_of_many_are_named():
    ones = [WHOLE | {"id": number, "area": "x" if number > 4 else 7} for number in range(17)]
    with pytest.raises(DataError) as caught:
        read_about(about(annotations=ones))
    lines = str(caught.value).splitlines()
    assert [line.split()[2] for line in lines[:-1]] == [str(number) for number in range(5, 15)]
    assert lines[-1] == ("x.json: fields of 2 more are wrong; expected the same as above; fix them too")


@pytest.mark.parametrize("colour", ["#00ff7f", [1, 2], [1, 2, float("inf")], 5])
def test_colours_that_are_written_in_another_way(colour):
    categories = [{"id": 9, "name": "dog", "color": colour}, {"id": 4, "name": "cat"}]
    assert read_about(about(categories=categories)).colours == (None, None)


class TestRepeatedCategories:
    """A root of exports of Roboflow, with the name of a class."""

    def read(self, *annotated, categories=((0, "dog"), (4, "cat"), (9, "dog"))):
        annotations = [{"id": 1, "image_id": 2, "category_id": category} for category in annotated]
        named = [{"id": key, "name": name} for key, name in categories]
        return read_about(about(annotations=annotations, categories=named))

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

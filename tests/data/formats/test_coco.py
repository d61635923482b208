import json

import pytest

from attnkit.data.formats.coco import CocoObject, read_coco_json
from attnkit.errors import DataError
from tests.data.formats.coco_files import about, read_about


def test_instances():
    found = read_about(about())
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
    (one,) = read_about(about(annotations=[{"image_id": 2, "category_id": 4} | more])).images[1].objects()
    assert one == CocoObject(0, "None", None, None, None, False)


TRIANGLE = [[0, 0, 3, 0, 3, 3]]


@pytest.mark.parametrize(
    ("outline", "crowd", "expected"),
    [(TRIANGLE, 0, True), (TRIANGLE, 1, False), ([], 0, False), ([[]], 0, False), ([[0, 0, 3, 3]], 0, False)],
)
def test_whether_there_are_outlines(outline, crowd, expected):
    one = {"image_id": 2, "category_id": 4, "segmentation": outline, "iscrowd": crowd}
    assert read_about(about(annotations=[one])).has_outlines == expected


@pytest.mark.parametrize(("outlined", "bare", "expected"), [(18, 2, True), (17, 2, False), (1, 25, False)])
def test_masks_are_of_sets_of_which_nine_tenths_have_outlines(outlined, bare, expected):
    """Crowds are not counted."""
    kinds = [(TRIANGLE, 0)] * outlined + [([], 0)] * bare + [([], 1), (TRIANGLE, 1)] * 30
    ones = [{"image_id": 2, "category_id": 4, "segmentation": outline, "iscrowd": crowd} for outline, crowd in kinds]
    assert read_about(about(annotations=ones)).has_outlines == expected


def test_annotations_of_images_that_are_not_there():
    annotations = [{"id": 3, "image_id": image, "category_id": 4} for image in (7, 5, 7)]
    found = read_about(about(annotations=annotations))
    assert found.images_unknown == (7, 7)
    assert [len(image.objects()) for image in found.images] == [1, 0]


@pytest.mark.parametrize("what", ["images", "categories"])
def test_ids_that_stand_twice(what):
    content = about()
    content[what] = [content[what][0], content[what][1] | {"id": content[what][0]["id"]}]
    message = rf"^x.json: 2 {what} have only 1 different ids; expected an id for each; fix the file$"
    with pytest.raises(DataError, match=message):
        read_about(content)


def test_stuff_has_a_category_for_all_things():
    categories = [{"id": 9, "name": "dog"}, {"id": 4, "name": "other", "supercategory": "other"}]
    assert read_about(about(categories=categories)).kind == "stuff"


def test_panoptic():
    segments = [{"id": 70000, "category_id": 4}, {"id": 3, "category_id": 9}]
    annotations = [{"image_id": 2, "file_name": "a.png", "segments_info": segments}]
    found = read_about(about(annotations=annotations))
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


def test_an_unknown_category():
    message = r"^x.json: annotation 1 is of category 9, which is not among the 1 categories; expected one of them; fix "
    with pytest.raises(DataError, match=message):
        read_about(about(categories=[{"id": 4, "name": "cat"}]))

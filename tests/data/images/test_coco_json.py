import json

import pytest

from attnkit.data.images.coco_json import CocoObject, read_coco_json
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


@pytest.mark.parametrize(
    ("outline", "crowd", "expected"),
    [([[0, 0, 3, 0, 3, 3]], 0, True), ([[0, 0, 3, 0, 3, 3]], 1, False), ([], 0, False), ([[]], 0, False)],
)
def test_whether_there_are_outlines(outline, crowd, expected):
    one = {"image_id": 2, "category_id": 4, "segmentation": outline, "iscrowd": crowd}
    assert read(about(annotations=[one])).has_outlines == expected


def test_annotations_of_images_that_are_not_there():
    annotations = [{"id": 3, "image_id": image, "category_id": 4} for image in (7, 5, 7)]
    found = read(about(annotations=annotations))
    assert found.images_unknown == (7, 7)
    assert [len(image.objects()) for image in found.images] == [1, 0]


@pytest.mark.parametrize("what", ["images", "categories"])
def test_ids_that_stand_twice(what):
    content = about()
    content[what] = [content[what][0], content[what][1] | {"id": content[what][0]["id"]}]
    message = rf"^x.json: 2 {what} have but 1 different ids; expected an id for each; mend the file$"
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
        (json.dumps(about(images=[{"id": 1}])).encode(), r"KeyError: 'file_name'"),
        (json.dumps(about(annotations=[{"id": 1}])).encode(), r"KeyError: 'image_id'"),
        (json.dumps(about(annotations=[{"image_id": 1}])).encode(), r"KeyError: 'category_id'"),
    ],
)
def test_another_form(content, what):
    message = (
        rf"^x.json: not as COCO's json is \({what}\); expected images, annotations and categories, as in instances"
    )
    with pytest.raises(DataError, match=message):
        read_coco_json(content, "x.json")


def test_an_unknown_category():
    message = (
        r"^x.json: annotation 1 is of category 9, which is not among the 1 categories; expected one of them; mend "
    )
    with pytest.raises(DataError, match=message):
        read(about(categories=[{"id": 4, "name": "cat"}]))

import json

import pytest

from attnkit.data.segmentation.coco_json import read_coco_json
from attnkit.errors import DataError


def about(**changes):
    return {
        "images": [
            {"id": 5, "file_name": "b.jpg", "height": 3, "width": 7},
            {"id": 2, "file_name": "a.jpg", "height": 2, "width": 5},
        ],
        "annotations": [
            {"id": 1, "image_id": 5, "category_id": 9, "segmentation": [[0, 0, 3, 0, 3, 3]], "iscrowd": 0},
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
    assert json.loads(first.annotations) == [[1, [[0, 0, 3, 0, 3, 3]]], [0, {"size": [3, 7], "counts": [21]}]]
    assert json.loads(second.annotations) == []


def test_stuff_has_a_category_for_all_things():
    categories = [{"id": 9, "name": "dog"}, {"id": 4, "name": "other", "supercategory": "other"}]
    assert read(about(categories=categories)).kind == "stuff"


def test_panoptic():
    segments = [{"id": 70000, "category_id": 4}, {"id": 3, "category_id": 9}]
    annotations = [{"image_id": 2, "file_name": "a.png", "segments_info": segments}]
    found = read(about(annotations=annotations))
    assert found.kind == "panoptic"
    assert json.loads(found.images[1].annotations) == {"70000": 0, "3": 1}
    assert (found.images[0].panoptic_file, found.images[1].panoptic_file) == (None, "a.png")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"{", r"JSONDecodeError: .*"),
        (b"[]", r"TypeError: .*"),
        (b"{}", r"KeyError: 'categories'"),
        (json.dumps(about(images=[{"id": 1}])).encode(), r"KeyError: 'file_name'"),
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

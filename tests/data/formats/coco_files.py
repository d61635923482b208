"""Small sets in COCO's form."""

import json

from attnkit.data.detection.config import CocoConfig
from attnkit.data.formats.coco import read_coco_json
from attnkit.data.open import OpenedData
from tests.data.image_files import png, write_files

H, W = 11, 13
CATEGORIES = [{"id": 3, "name": "cat"}, {"id": 8, "name": "dog"}]
TRAIN = {"images": "train", "annotations": "a/train.json"}


def rectangle(x1, y1, x2, y2):
    """A polygon of whole pixels."""
    return [[x1, y1, x2, y1, x2, y2, x1, y2]]


def annotation(box=(2, 1, 6, 5), *, number=1, image=1, category=3, **changes):
    """Of corners x1 y1 x2 y2; a change to None leaves a key out."""
    x1, y1, x2, y2 = box
    about = {
        "id": number,
        "image_id": image,
        "category_id": category,
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "area": (x2 - x1) * (y2 - y1),
        "iscrowd": 0,
        "segmentation": rectangle(*box),
    }
    return {key: value for key, value in (about | changes).items() if value is not None}


def coco(annotations, *, categories=CATEGORIES, images=(1,), names="{}.png", size=(H, W)):
    listed = [{"id": image, "file_name": names.format(image), "height": size[0], "width": size[1]} for image in images]
    return json.dumps({"images": listed, "annotations": annotations, "categories": categories}).encode()


def pictures(images=(1,), *, folder="train", first_seed=0, size=(H, W)):
    return {f"{folder}/{image}.png": png(*size, seed=first_seed + image) for image in images}


def opened(path, split="train", **options):
    return OpenedData(CocoConfig(path=str(path), **({"train": TRAIN} | options)))[split]


def one_set(tmp_path, annotations, *, images=(1,), files=None, hold_back=None, **options):
    """Of training images alone, none of them held back."""
    about = {key: options.pop(key) for key in ("categories", "names", "size") if key in options}
    content = pictures(images) | {"a/train.json": coco(annotations, images=images, **about)} | (files or {})
    return opened(write_files(tmp_path, content), hold_back=hold_back or {"valid": 0.0}, **options)


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


def read_about(content):
    return read_coco_json(json.dumps(content).encode(), "x.json")

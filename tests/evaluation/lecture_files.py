"""COCO's two files of the lecture's detections, as tests write them."""

import json

from tests.metrics.coco_sets import outline

FILES = ("--predictions", "results.json", "--ground-truth", "truth.json")


def write(folder, instances, results):
    (folder / "truth.json").write_text(json.dumps(instances))
    (folder / "results.json").write_text(json.dumps(results))


def lecture():
    """The seven detections of five objects, with a second class that is not there."""
    instances = {
        "images": [{"id": 4, "file_name": "a.jpg", "height": 100, "width": 120}],
        "categories": [{"id": 7, "name": "pear"}, {"id": 3, "name": "apple"}],
        "annotations": [
            {"id": i + 1, "image_id": 4, "category_id": 3, "bbox": [20 * i, 0, 10, 10], "area": 100, "iscrowd": 0}
            for i in range(5)
        ],
    }
    places = [(0, 0), (20, 0), (0, 50), (20, 50), (40, 50), (40, 0), (60, 0)]
    results = [
        {"image_id": 4, "category_id": 3, "bbox": [x, y, 10, 10], "score": 0.9 - 0.1 * rank}
        for rank, (x, y) in enumerate(places)
    ]
    return instances, results


def with_masks(instances, results):
    for one in (*instances["annotations"], *results):
        one["segmentation"] = outline(one["bbox"])
    return instances, results

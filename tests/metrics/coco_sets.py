"""Small sets in COCO's form: generated, scored by attnkit and by pycocotools."""

import contextlib
import copy
import io

import numpy as np
from pycocotools import mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from attnkit.metrics.coco_ap import CocoAp
from attnkit.structures.image_objects import ImageFound, ImageTruth

SIDE = 128
CATEGORY_STEP = 3
"""Categories are 2, 5, 8..., so that no number of a class is its category."""


def coco_set(truth, found, num_classes):
    """(instances, results) from rows: of the truth (image, label, box, area, crowd), of detections (image, label, box,
    score), and the numbers of the images, all from 0.
    """
    images = sorted({row[0] for row in [*truth, *found]} | {0})
    instances = {
        "images": [{"id": 10 + i, "file_name": f"{i}.jpg", "height": SIDE, "width": SIDE} for i in images],
        "categories": [{"id": category(k), "name": f"c{k}"} for k in range(num_classes)],
        "annotations": [
            {"id": n, "image_id": 10 + i, "category_id": category(k), "bbox": list(box), "area": area, "iscrowd": crowd}
            for n, (i, k, box, area, crowd) in enumerate(truth, start=1)
        ],
    }
    results = [
        {"image_id": 10 + i, "category_id": category(k), "bbox": list(box), "score": score}
        for i, k, box, score in found
    ]
    return instances, results


def category(label):
    return CATEGORY_STEP * label + 2


def random_set(seed, *, images=7, classes=5, objects=11, detections=40, decimals=1, masks=False):
    """With crowds, images without objects or detections, equal scores, boxes on the limits of sizes and overlaps, and a
    last class that is found but is not there.
    """
    random = np.random.default_rng(seed)
    truth, found = [], []
    for i in range(images):
        there = random.integers(0, objects + 1) * (random.random() < 0.8)
        corners, sides = random.random((there, 2)) * 60, random.choice([10.0, 32.0, 50.0, 100.0], (there, 2))
        boxes = np.round(np.concatenate([corners, sides * random.choice([1.0, 0.8], (there, 1))], 1), decimals)
        labels = random.integers(0, max(classes - 1, 1), there)
        for box, label in zip(boxes, labels, strict=True):
            area = float(random.choice([box[2] * box[3], box[2] * box[3] * 0.6, 32.0**2, 96.0**2]))
            truth.append((i, int(label), box.tolist(), area, int(random.random() < 0.15)))
        for _ in range(random.integers(0, detections + 1)):
            box, label = np.append(random.random(2) * 60, random.random(2) * 60 + 1), random.integers(classes)
            if there and random.random() < 0.8:
                which = random.integers(there)
                box = boxes[which] + random.normal(0, 3, 4) * (random.random() < 0.7)
                label = labels[which] if random.random() < 0.8 else label
            box = np.round(np.append(box[:2], box[2:].clip(min=0.5)), decimals)
            found.append((i, int(label), box.tolist(), round(float(random.random()), 1)))
    instances, results = coco_set(truth, found, classes)
    if masks:
        for one in instances["annotations"]:
            one["segmentation"] = outline(one["bbox"])
        for one in results:
            code = mask.merge(mask.frPyObjects(outline(one["bbox"]), SIDE, SIDE))
            one["segmentation"] = {"size": [SIDE, SIDE], "counts": code["counts"].decode()}
    return instances, results


def outline(box):
    """A polygon of twelve corners inside a box."""
    left, top, width, height = box
    angle = np.linspace(0, 2 * np.pi, 13)[:-1]
    corners = np.stack([left + width * (1 + np.cos(angle)) / 2, top + height * (1 + np.sin(angle)) / 2], axis=1)
    return [corners.ravel().round(2).tolist()]


def ap_of(instances, results, kind="box", max_detections=100):
    """All images in a CocoAp."""
    ap = CocoAp(len(instances["categories"]), kind, max_detections)
    for image in instances["images"]:
        ap.add(*both(image, instances["annotations"], results, masks=kind == "mask"), image_id=image["id"])
    return ap


def both(image, annotations, results, *, masks=False):
    there = [one for one in annotations if one["image_id"] == image["id"]]
    here = [one for one in results if one["image_id"] == image["id"]]
    truth = ImageTruth(
        xywh=boxes_of(there),
        labels=labels_of(there),
        areas=np.array([one["area"] for one in there], dtype=np.float64),
        crowd=np.array([one["iscrowd"] for one in there], dtype=np.bool_),
        rles=[mask.merge(mask.frPyObjects(one["segmentation"], SIDE, SIDE)) for one in there] if masks else None,
    )
    found = ImageFound(
        xywh=boxes_of(here),
        labels=labels_of(here),
        scores=np.array([one["score"] for one in here], dtype=np.float64),
        rles=[one["segmentation"] for one in here] if masks else None,
    )
    return truth, found


def boxes_of(rows):
    return np.array([one["bbox"] for one in rows], dtype=np.float64).reshape(-1, 4)


def labels_of(rows):
    return np.array([(one["category_id"] - 2) // CATEGORY_STEP for one in rows], dtype=np.int64)


def pycocotools_eval(instances, results, kind="box", max_detections=100):
    """What pycocotools makes of it; with its boxes taken away, for else they say how large a mask is."""
    if kind == "mask":
        results = [{name: value for name, value in one.items() if name != "bbox"} for one in results]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = copy.deepcopy(instances)  # for it writes masks into it
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(copy.deepcopy(results)), {"box": "bbox", "mask": "segm"}[kind])
        evaluation.params.maxDets = [1, 10, max_detections]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation

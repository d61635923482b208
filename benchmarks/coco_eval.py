"""How long does average precision take, beside pycocotools, and how much memory?

Boxes: 5,000 images with 36,000 objects of 80 classes, some of them crowds, and 500,000 detections, as two files in
COCO's form; then masks, of fewer images. Each system is a process of its own on one core, reads both files and scores
them; all must come to the same numbers, to 1e-12. attnkit's 95 % intervals, as attnkit eval gives them, are a row of
their own.

    python benchmarks/coco_eval.py [--images 5000] [--mask-images 500]

faster-coco-eval joins in where it is installed.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
from measured import Child, keep, machine, peak_mib, questions, take_stdout

CLASSES, OBJECTS, DETECTIONS, HEIGHT, WIDTH = 80, 7.2, 100, 480, 640
CROWDS = 0.01
ROWS = ("attnkit", "attnkit with intervals", "pycocotools", "faster-coco-eval")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--mask-images", type=int, default=500, help="0 for none")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--no-report", action="store_true", help="print only")
    parser.add_argument("--work", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work)
        return
    rows = ROWS if find_spec("faster_coco_eval") else ROWS[:-1]
    facts: dict[str, Any] = {"date": f"{date.today():%Y-%m-%d}", "sets": []}
    for kind, images in (("box", options.images), ("mask", options.mask_images)):
        if images:
            facts["sets"].append(measure(kind, images, rows))
    packages = ["numpy", "pycocotools", *(["faster-coco-eval"] if len(rows) == len(ROWS) else [])]
    facts["machine"] = machine(1, *packages)
    if options.no_report:
        print(render(facts))
    else:
        keep(options.out, "coco_eval", facts, render(facts))


def measure(kind: str, images: int, rows: Sequence[str]) -> dict[str, Any]:
    """Let every system score the same two files."""
    with tempfile.TemporaryDirectory() as name:
        files = {"truth": f"{name}/instances.json", "results": f"{name}/results.json"}
        objects, detections = write_set(kind, images, files)
        found = {}
        for row in rows:
            child = Child(row, __file__, {"row": row, "kind": kind, "threads": 1, **files})
            found[row] = child.ask("score")
            child.close()
    expected = np.array(found["pycocotools"]["scores"])
    for row, answer in found.items():
        worst = float(np.abs(np.array(answer["scores"]) - expected).max())
        assert worst < 1e-12, f"{row} differs by {worst}: {answer['scores']}, expected {expected.tolist()}"
    return {"kind": kind, "images": images, "objects": objects, "detections": detections, "systems": found}


# The files


def write_set(kind: str, images: int, files: Mapping[str, str]) -> tuple[int, int]:
    """Write instances and results; give how many of each there are."""
    truth: dict[str, Any] = {
        "images": [{"id": n, "file_name": f"{n}.jpg", "height": HEIGHT, "width": WIDTH} for n in range(1, images + 1)],
        "categories": [{"id": k, "name": f"class {k}"} for k in range(1, CLASSES + 1)],
        "annotations": [],
    }
    found = []
    for image, (boxes, labels, crowd, found_boxes, found_labels, scores) in enumerate(scenes(images), start=1):
        for box, label, is_crowd in zip(boxes.tolist(), labels.tolist(), crowd.tolist(), strict=True):
            about = {"id": len(truth["annotations"]) + 1, "image_id": image, "category_id": label + 1, "bbox": box}
            about |= {"area": round(box[2] * box[3] * 0.6, 2), "iscrowd": int(is_crowd)}
            truth["annotations"].append(about | ({"segmentation": code(box)} if kind == "mask" else {}))
        for box, label, score in zip(found_boxes.tolist(), found_labels.tolist(), scores.tolist(), strict=True):
            about = {"image_id": image, "category_id": label + 1, "score": score}
            found.append(about | ({"segmentation": code(box)} if kind == "mask" else {"bbox": box}))
    Path(files["truth"]).write_text(json.dumps(truth))
    Path(files["results"]).write_text(json.dumps(found))
    return len(truth["annotations"]), len(found)


def scenes(count: int) -> Iterator[tuple[Any, ...]]:
    """Half of the detections are near an object, most of these with its class; the nearer, the surer, on the whole."""
    random = np.random.default_rng(0)
    shares = 1 / np.arange(1, CLASSES + 1)
    shares /= shares.sum()
    for _ in range(count):
        objects = random.poisson(OBJECTS)
        boxes, labels = boxes_anywhere(random, objects), random.choice(CLASSES, objects, p=shares)
        found, found_labels = boxes_anywhere(random, DETECTIONS), random.choice(CLASSES, DETECTIONS, p=shares)
        scores = random.beta(1, 6, DETECTIONS)
        if objects:
            near, which = random.random(DETECTIONS) < 0.5, random.integers(objects, size=DETECTIONS)
            apart = random.gamma(1.0, 0.1, (DETECTIONS, 1))
            moved = boxes[which] + np.tile(boxes[which, 2:], 2) * random.normal(0, 1, (DETECTIONS, 4)) * apart
            found = np.where(near[:, None], moved, found)
            found_labels = np.where(near & (random.random(DETECTIONS) < 0.8), labels[which], found_labels)
            scores = np.where(near, np.exp(-4 * apart[:, 0]) * random.random(DETECTIONS), scores)
        found[:, 2:] = found[:, 2:].clip(min=1)
        yield boxes.round(2), labels, random.random(objects) < CROWDS, found.round(2), found_labels, scores.round(3)


def boxes_anywhere(random: np.random.Generator, count: int) -> Any:
    """Small, middling and large ones."""
    sides = np.exp(random.normal(4, 1, (count, 2))).clip(2, (WIDTH, HEIGHT))
    corners = random.random((count, 2)) * (np.array([WIDTH, HEIGHT]) - sides)
    return np.concatenate([corners, sides], axis=1).round(2)


def code(box: Sequence[float]) -> dict[str, Any]:
    """An ellipse in a box, as a run-length code."""
    from pycocotools import mask

    x, y, width, height = box
    angle = np.linspace(0, 2 * np.pi, 25)[:-1]
    corners = np.stack([x + width * (1 + np.cos(angle)) / 2, y + height * (1 + np.sin(angle)) / 2], axis=1)
    (drawn,) = mask.frPyObjects([corners.ravel().tolist()], HEIGHT, WIDTH)
    return {"size": [HEIGHT, WIDTH], "counts": drawn["counts"].decode()}


# In a process of its own


def work(order: dict[str, Any]) -> None:
    """Read and score, when asked to."""
    answer = take_stdout()
    run = {"attnkit": attnkit, "attnkit with intervals": attnkit, "pycocotools": pycocotools}.get(order["row"], faster)
    run(order, lambda: None, warm=True)
    answer({})
    for _ in questions():
        answer(timed(run, order))


def timed(run: Callable[..., list[float]], order: dict[str, Any]) -> dict[str, Any]:
    """Seconds of processor time for reading and for scoring, and what came out."""
    times = [time.process_time()]
    scores = run(order, lambda: times.append(time.process_time()), warm=False)
    times.append(time.process_time())
    return {"read": times[1] - times[0], "score": times[2] - times[1], "scores": scores, "mib": peak_mib()}


def attnkit(order: dict[str, Any], has_read: Callable[[], None], *, warm: bool) -> list[float]:
    """As attnkit eval does."""
    from attnkit.evaluation.detection_files import read_files
    from attnkit.metrics.coco_ap import CocoAp

    if warm:
        import attnkit.data.formats.coco  # noqa: F401  which reading needs

        return []
    files = read_files(order["results"], order["truth"])
    has_read()
    ap = CocoAp(len(files.class_names), order["kind"])
    for image_id, truth, found in files.images:
        ap.add(truth, found, image_id=image_id)
    means = ap.compute(resamples=None if "intervals" in order["row"] else 0).means
    return [one.value / 100 for one in means.values()]


def pycocotools(order: dict[str, Any], has_read: Callable[[], None], *, warm: bool) -> list[float]:
    """As its demo does."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    return [] if warm else evaluated(COCO, COCOeval, order, has_read)


def faster(order: dict[str, Any], has_read: Callable[[], None], *, warm: bool) -> list[float]:
    """In place of pycocotools."""
    from faster_coco_eval import COCO, COCOeval_faster

    return [] if warm else evaluated(COCO, COCOeval_faster, order, has_read)


def evaluated(coco: Any, evaluation: Any, order: dict[str, Any], has_read: Callable[[], None]) -> list[float]:
    """The twelve numbers."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco(order["truth"])
        found = truth.loadRes(order["results"])
        has_read()
        run = evaluation(truth, found, {"box": "bbox", "mask": "segm"}[order["kind"]])
        run.evaluate()
        run.accumulate()
        run.summarize()
    return [float(one) for one in run.stats[:12]]


# The report


def render(facts: dict[str, Any]) -> str:
    """What was measured."""
    about = facts["machine"]
    names = ("attnkit", "numpy", "pycocotools", "faster-coco-eval")
    versions = ", ".join(f"{name} {about[name]}" for name in names if name in about)
    lines = [
        "# COCO's average precision",
        "",
        f"{facts['date']}; one core of {about['cpu']}, Python {about['python']}, {versions}.",
        "Seconds of processor time from two files to the twelve numbers, and the most memory of the process "
        "(benchmarks/coco_eval.py). The numbers are equal to 1e-12.",
    ]
    for one in facts["sets"]:
        base = total(one["systems"]["pycocotools"])
        lines += [
            "",
            f"## {one['kind'].capitalize()}: {one['images']:,} images, {one['objects']:,} objects, "
            f"{one['detections']:,} detections",
            "",
            "| system | reading | scoring | both | times as fast | peak MiB | AP |",
            "| --- | --- | --- | --- | --- | --- | --- |",
        ]
        for name, answer in one["systems"].items():
            cells = [f"{answer['read']:.1f}", f"{answer['score']:.1f}", f"{total(answer):.1f}"]
            cells += [f"{base / total(answer):.1f}", f"{answer['mib']:,.0f}", f"{100 * answer['scores'][0]:.9f}"]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def total(answer: Mapping[str, float]) -> float:
    """Reading and scoring."""
    return answer["read"] + answer["score"]


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()

"""How long does it take to score label maps, beside a plain numpy histogram and torchmetrics?

2,000 images of 512 x 512 pixels with 150 classes by default: smooth regions as in photographs, 5 % of no class, a third
predicted wrong. All run on one core, in turns of a few images, and all must come to the same mIoU. The images are ready
in memory. Then the same masks as PNG files: `attnkit eval --predictions --labels`, which reads both folders.

    python benchmarks/mean_iou.py [--images 2000] [--files 200]

torchmetrics joins in where it is installed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
from measured import keep, machine
from numpy.typing import NDArray
from PIL import Image

from attnkit.metrics.mean_iou import SegmentationCounts, iou_scores

SIDE, CLASSES, IGNORE, TURN = 512, 150, 255, 20
Labels = NDArray[np.uint8]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--files", type=int, default=200, help="pairs of PNG files for the command; 0 for none")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--no-report", action="store_true", help="print only")
    options = parser.parse_args()
    facts: dict[str, Any] = {"date": f"{date.today():%Y-%m-%d}", "images": options.images}
    facts["seconds"], facts["miou"] = measure(options.images)
    if options.files:
        facts["files"], facts["files_seconds"] = options.files, score_files(options.files)
    packages = ["numpy", "pillow", *(["torchmetrics", "torch"] if find_spec("torchmetrics") else [])]
    facts["machine"] = machine(1, *packages)
    if options.no_report:
        print(render(facts))
    else:
        keep(options.out, "mean_iou", facts, render(facts))


def scenes(count: int) -> Iterator[tuple[Labels, Labels]]:
    """Labels and predictions."""
    random = np.random.default_rng(0)
    for _ in range(count):
        coarse = random.integers(0, CLASSES, (16, 16), dtype=np.uint8)
        labels = coarse.repeat(SIDE // 16, 0).repeat(SIDE // 16, 1)
        predictions = labels.copy()
        wrong = random.random((64, 64)).repeat(SIDE // 64, 0).repeat(SIDE // 64, 1) < 1 / 3
        predictions[wrong] = np.roll(labels, 40, axis=1)[wrong]
        labels[random.random((SIDE, SIDE), dtype=np.float32) < 0.05] = IGNORE
        yield labels, predictions


class Attnkit:
    """As attnkit eval does, with the 95 % interval of 1,000 resamples."""

    def __init__(self) -> None:
        self.counts = SegmentationCounts(CLASSES)

    def add(self, labels: Labels, predictions: Labels) -> None:
        """Count an image."""
        self.counts.add(labels, predictions)

    def result(self) -> float:
        """The mIoU in percent."""
        return iou_scores(self.counts).means["miou"].value


class Histogram:
    """The usual few lines: the pixels of a class by mask, one bincount of 64-bit numbers. Without an interval."""

    def __init__(self) -> None:
        self.confusion = np.zeros((CLASSES, CLASSES), dtype=np.int64)

    def add(self, labels: Labels, predictions: Labels) -> None:
        """Count an image."""
        kept = labels != IGNORE
        pairs = CLASSES * labels[kept].astype(np.int64) + predictions[kept]
        self.confusion += np.bincount(pairs, minlength=CLASSES**2).reshape(CLASSES, CLASSES)

    def result(self) -> float:
        """The mIoU in percent."""
        right = self.confusion.diagonal()
        return float(100 * np.nanmean(right / (self.confusion.sum(0) + self.confusion.sum(1) - right)))


class Torchmetrics:
    """MulticlassJaccardIndex, which ignores a label by itself."""

    def __init__(self) -> None:
        import torch
        from torchmetrics.classification import MulticlassJaccardIndex

        torch.set_num_threads(1)
        self.torch = torch
        self.metric = MulticlassJaccardIndex(CLASSES, ignore_index=IGNORE, validate_args=False)

    def add(self, labels: Labels, predictions: Labels) -> None:
        """Count an image."""
        self.metric.update(self.torch.from_numpy(predictions).long()[None], self.torch.from_numpy(labels).long()[None])

    def result(self) -> float:
        """The mIoU in percent."""
        return 100 * float(self.metric.compute())


def measure(images: int) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds of processor time of each system, and the mIoU that it finds."""
    makers: dict[str, Callable[[], Any]] = {"attnkit": Attnkit, "numpy histogram": Histogram}
    if find_spec("torchmetrics"):
        makers["torchmetrics"] = Torchmetrics
    systems = {name: make() for name, make in makers.items()}
    seconds = dict.fromkeys(systems, 0.0)
    source = scenes(images)
    while turn := [pair for _, pair in zip(range(TURN), source, strict=False)]:
        for name, system in systems.items():
            start = time.process_time()
            for labels, predictions in turn:
                system.add(labels, predictions)
            seconds[name] += time.process_time() - start
    found = {}
    for name, system in systems.items():
        start = time.process_time()
        found[name] = system.result()
        seconds[name] += time.process_time() - start
    worst = max(abs(value - found["numpy histogram"]) for value in found.values())
    assert worst < 1e-4, f"they differ: {found}"  # torchmetrics divides in float32
    assert abs(found["attnkit"] - found["numpy histogram"]) < 1e-9, f"they differ: {found}"
    return seconds, found


def score_files(count: int) -> float:
    """Seconds of processor time of the command on two folders of so many PNG files."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for side in ("labels", "predictions"):
            (folder / side).mkdir()
        for number, pair in enumerate(scenes(count)):
            for side, mask in zip(("labels", "predictions"), pair, strict=True):
                Image.fromarray(mask).save(folder / side / f"{number}.png")
        before = os.times()
        command = [str(Path(sys.executable).with_name("attnkit")), "eval", "--metric", "miou"]
        command += ["--labels", str(folder / "labels"), "--predictions", str(folder / "predictions")]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system


def render(facts: dict[str, Any]) -> str:
    """The report."""
    about, own = facts["machine"], facts["seconds"]["attnkit"]
    versions = ", ".join(
        f"{name} {about[name]}" for name in ("attnkit", "numpy", "pillow", "torchmetrics") if name in about
    )
    lines = [
        "# Scoring label maps",
        "",
        f"{facts['date']}; one core of {about['cpu']}, Python {about['python']}, {versions}.",
        f"Seconds of processor time for {facts['images']:,} images of {SIDE} x {SIDE} pixels, {CLASSES} classes, "
        "in memory, in turns (benchmarks/mean_iou.py). attnkit's has the 95 % interval by 1,000 resamples in it.",
        "",
        "| system | seconds | times attnkit's | mIoU |",
        "| --- | --- | --- | --- |",
    ]
    for name, seconds in facts["seconds"].items():
        lines.append(f"| {name} | {seconds:.2f} | {seconds / own:.1f} | {facts['miou'][name]:.9f} |")
    if "files" in facts:
        each = 1000 * facts["files_seconds"] / facts["files"]
        lines += [
            "",
            f"`attnkit eval --metric miou --predictions DIR --labels DIR` on {facts['files']:,} pairs of PNG files: "
            f"{facts['files_seconds']:.1f} s with its start, {each:.1f} ms a pair.",
        ]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()

"""How many images per second does the loader make by itself? One process, one thread.

    python benchmarks/image_loading.py
    python benchmarks/image_loading.py --seconds 1 --no-report       a quick look

Images are generated: 32 x 32 pixels, kept decoded (the size of CIFAR's), and JPEG files of 240 x 320 made into
224 x 224. torchvision's own transforms, on the same files one by one in a DataLoader without workers, stand beside it.
"""

from __future__ import annotations

import argparse
import io
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import PIL
import torch
import torchvision
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import InterpolationMode, v2

from attnkit.data.classification.config import AugmentConfig, ImageConfig, ImageFolderConfig
from attnkit.data.classification.image_batches import train_images
from attnkit.data.classification.image_set import ImageSet
from attnkit.data.open import OpenedData

RESULTS = Path(__file__).parent / "results"
BATCH = 128
SMALL, LARGE = ImageConfig(size=32, crop_fraction=1.0), ImageConfig(size=224)
LIGHT = AugmentConfig(crop="shift")
HEAVY = {"auto": "rand", "rand_magnitude": 27, "rand_noise": 1.5, "erase": 0.25, "mixup": 0.8, "cutmix": 1.0}
CASES = {
    "32, shift and flip": (SMALL, LIGHT),
    "32, shift, flip and RandAugment": (SMALL, AugmentConfig(crop="shift", auto="rand")),
    "32, DeiT's augmentation": (SMALL, AugmentConfig(**HEAVY)),
    "224 from JPEG, crop and flip": (LARGE, AugmentConfig()),
    "224 from JPEG, DeiT's augmentation": (LARGE, AugmentConfig(**HEAVY)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-report", action="store_true", help="print only")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        report = render(measure(Path(folder), options.seconds, options.rounds), options.rounds)
    print(report)
    if not options.no_report:
        path = RESULTS / f"{date.today():%Y-%m-%d}-image-loading.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text(report, encoding="utf-8")
        print(path, file=sys.stderr)


def measure(folder: Path, seconds: float, rounds: int) -> dict[str, tuple[list[float], list[float]]]:
    """Images per second of processor time of each case: ours and torchvision's, in turns."""
    roots = {32: write(folder / "small", count=2000, size=(32, 32)), 224: write(folder / "large", 200, (240, 320))}
    results = {}
    for name, (image, augment) in CASES.items():
        images = OpenedData(ImageFolderConfig(format="image_folder", path=str(roots[image.size])))["train"]
        assert images is not None
        rates: tuple[list[float], list[float]] = ([], [])
        for _ in range(rounds):
            rates[0].append(rate(ours(images, image, augment), seconds))
            rates[1].append(rate(theirs(roots[image.size], image, augment), seconds))
        results[name] = rates
        print(f"{name}: {statistics.median(rates[0]):,.0f}, {statistics.median(rates[1]):,.0f}", file=sys.stderr)
    return results


def write(root: Path, count: int, size: tuple[int, int]) -> Path:
    """A folder of JPEG files with some structure, as photographs have."""
    rng = np.random.default_rng(0)
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (8, 10, 3), dtype=np.uint8))
        file = root / "train" / "ab"[number % 2] / f"{number}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()
        coarse.resize((size[1], size[0]), Image.Resampling.BICUBIC).save(content, "JPEG", quality=90)
        file.write_bytes(content.getvalue())
    return root


def ours(images: ImageSet, image: ImageConfig, augment: AugmentConfig) -> Iterator[int]:
    """Sizes of batches, for ever."""
    batches = train_images(images, image, augment, batch_size=BATCH, seed=1, num_classes=2)
    for epoch in range(1 << 30):
        yield from map(len, batches.batches(epoch))


def theirs(root: Path, image: ImageConfig, augment: AugmentConfig) -> Iterator[int]:
    """The same steps, as torchvision's references have them: on Pillow's images, then on the batch."""
    bicubic = InterpolationMode.BICUBIC
    crop = v2.RandomResizedCrop(image.size, interpolation=bicubic) if augment.crop == "random_resized" else None
    steps = [crop or v2.RandomCrop(image.size, padding=augment.padding), v2.RandomHorizontalFlip()]
    if augment.auto == "rand":
        magnitude = round(augment.rand_magnitude)
        steps.append(v2.RandAugment(augment.rand_ops, magnitude, interpolation=InterpolationMode.BILINEAR))
    steps += [v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(image.mean, image.std)]
    if augment.erase:
        steps.append(v2.RandomErasing(augment.erase))
    mixes = v2.RandomChoice([v2.MixUp(alpha=0.8, num_classes=2), v2.CutMix(num_classes=2)]) if augment.mixup else None
    data = ImageFolder(root / "train", v2.Compose(steps))
    for _ in range(1 << 30):
        for images, labels in DataLoader(data, batch_size=BATCH, shuffle=True, drop_last=True):
            if mixes is not None:
                mixes(images, labels)
            yield len(images)


def rate(batches: Iterator[int], seconds: float) -> float:
    """Images per second of processor time, after one batch to warm up."""
    next(batches)
    start, count = time.process_time(), 0
    while time.process_time() < start + seconds:
        count += next(batches)
    return count / (time.process_time() - start)


def render(results: dict[str, tuple[list[float], list[float]]], rounds: int) -> str:
    """The report."""
    versions = f"torch {torch.__version__}, torchvision {torchvision.__version__}, Pillow {PIL.__version__}"
    lines = [
        "# Image loading",
        "",
        f"{date.today():%Y-%m-%d}; {platform.machine()}, Python {platform.python_version()}, {versions}.",
        f"Images per second of processor time in one process with one thread, batches of {BATCH}; medians of {rounds} "
        "rounds, in turns (benchmarks/image_loading.py). Both read the same JPEG files; attnkit keeps those of 32 x 32 "
        "decoded in its cache. torchvision's steps leave out the noise on RandAugment's magnitude.",
        "",
        "| images | attnkit | torchvision, one by one | ratio |",
        "| --- | --- | --- | --- |",
    ]
    for name, rates in results.items():
        mine, other = map(statistics.median, rates)
        lines.append(f"| {name} | {mine:,.0f} | {other:,.0f} | {mine / other:.2f} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()

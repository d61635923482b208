"""How much memory and time does a large image need, with 150 classes?

`attnkit segment` never holds the probabilities of a whole image, 150 numbers for each pixel: 36 GiB at 8,000 x 8,000. A
small UperNet with random weights segments one square image of each size, in the ways that are named, as the command
does. Each way and size runs in a process of its own, so that peak memory is its own; it is the peak above the model.

    python benchmarks/segmentation_memory.py [--sizes 1000 2000 4000 8000] [--ways plain flip] [--precision float32]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

from measured import Child, command, keep, machine, peak_mib, take_stdout

MODEL: dict[str, Any] = {
    "backbone": {"name": "swin", "embed_dim": 48, "depths": [2, 2, 2, 2], "num_heads": [3, 6, 12, 24]},
    "channels": 64,
    "auxiliary_channels": 0,
}
NUM_CLASSES = 150
WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "windows": {"window": [512, 512]},
    "flip": {"flip": True},
    "scales": {"flip": True, "scales": [0.5, 0.75, 1.0, 1.25, 1.5, 1.75]},
}
SIZES = [1000, 2000, 4000, 8000]


# the child process: one image in one way


def work(order: dict[str, Any]) -> None:
    answer = take_stdout()
    import numpy as np
    import torch

    from attnkit.engine.memory import keep_pages

    keep_pages()
    torch.set_num_threads(order["threads"])
    told: list[str] = []
    segmenter = build(order, told.append)
    segmenter.segment(torch.zeros(3, 64, 64, dtype=torch.uint8))
    answer({})
    size = order["size"]
    pixels = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (3, size, size), dtype=np.uint8))
    before, started = peak_mib(), time.perf_counter()
    segmenter.segment(pixels)
    answer({"seconds": time.perf_counter() - started, "mib": peak_mib() - before, "windows": bool(told)})


def build(order: dict[str, Any], say: Any) -> Any:
    import torch

    from attnkit.data.formats.mask_png import palette
    from attnkit.models.build import build_model
    from attnkit.recipes.segmentation.recipe import SegmentationRecipe
    from attnkit.recipes.segmentation.segmenter import Segmenter

    recipe = SegmentationRecipe.model_validate(
        {
            "task": "segmentation",
            "name": "memory",
            "data": {"format": "mask_files", "path": "none"},
            "model": MODEL,
            "inference": WAYS[order["way"]],
            "train": {"steps": 1},
        }
    )
    torch.manual_seed(1)
    model = build_model(recipe.model, num_classes=NUM_CLASSES, image_size=512)
    names, colours = [f"class {k}" for k in range(NUM_CLASSES)], palette(NUM_CLASSES)
    device = torch.device(order["device"])
    return Segmenter(recipe, model, names, colours, device=device, precision=order["precision"], say=say)


# the parent process


def measure(way: str, size: int, options: argparse.Namespace) -> dict[str, Any]:
    order = {"way": way, "size": size, "precision": options.precision, "device": options.device}
    child = Child(f"{way}, {size}", __file__, order | {"threads": options.threads})
    row = {"way": way, "size": size, **child.ask({})}
    child.close()
    print(row, file=sys.stderr, flush=True)
    return row


def report(facts: dict[str, Any]) -> str:
    lines = [
        f"# Memory of large images, {facts['date']}",
        "",
        f"UperNet on a small Swin ({MODEL['channels']} channels, widths from {MODEL['backbone']['embed_dim']} on), "
        f"{NUM_CLASSES} classes, {facts['precision']}, one square image. Peak memory is above the model's, with the "
        f"result and without the image. `{command()}`",
        "",
        *(f"- {name}: {value}" for name, value in facts["machine"].items()),
        "",
        "| way | image | windows | memory, MiB | probabilities of all pixels, MiB | seconds | megapixels per second |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in facts["rows"]:
        pixels = row["size"] ** 2
        lines.append(
            f"| {row['way']} | {row['size']} | {windows(row)} | {row['mib']:,.0f}"
            f" | {pixels * NUM_CLASSES / 2**18:,.0f} | {row['seconds']:.1f} | {pixels / 1e6 / row['seconds']:.2f} |"
        )
    return "\n".join([*lines, ""])


def windows(row: dict[str, Any]) -> str:
    if "window" in WAYS[row["way"]]:
        return "asked for"
    return "by itself" if row["windows"] else "none"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES)
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=["plain", "flip"])
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--work", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work)
        return
    rows = [measure(way, size, options) for way in options.ways for size in options.sizes]
    facts = {
        "date": date.today().isoformat(),
        "precision": options.precision,
        "machine": machine(options.threads, "torch"),
        "rows": rows,
    }
    keep(options.out, "segmentation_memory", facts, report(facts))


if __name__ == "__main__":
    main()

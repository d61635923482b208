"""How do time and memory of ViT and Swin grow with the size of the image?

ViT's tokens all look at each other: the work of its attention grows with the square of the pixels. Swin's look at their
window: everything grows with the pixels. Two models of about one size, ViT-S/16 and Swin-T, see one image, predicting
(as `attnkit classify` does) and training (forward and backward). Each size runs in a process of its own, so that peak
memory is its own; the best of a few calls counts, since what disturbs only makes them longer.

    python benchmarks/attention_growth.py [--sizes 224 384 512 768 1024] [--precision float32]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import time
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

from measured import command, keep, machine, peak_mib, take_stdout

MODELS: dict[str, dict[str, Any]] = {
    "ViT-S/16": {"name": "vit", "embed_dim": 384, "num_heads": 6},
    "Swin-T": {"name": "swin", "drop_path_rate": 0.0},
}
SIZES = [224, 384, 512, 768, 1024]
WORKS = ["predict", "train"]
MIB = 1 << 20


# the child process: one model, one size, one kind of work


def work(order: dict[str, Any]) -> None:
    answer = take_stdout()
    import torch

    from attnkit.engine.memory import keep_pages

    keep_pages()
    torch.set_num_threads(order["threads"])
    model = build(order["model"], order["size"])
    images = torch.randn(1, 3, order["size"], order["size"])
    run = trainer(model, images, order["precision"]) if order["work"] == "train" else predictor(model, images, order)
    before = resident_mib()
    seconds = []
    for _ in range(order["calls"] + 1):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    answer({"seconds": min(seconds[1:]), "mib": peak_mib() - before})


def build(name: str, size: int) -> Any:
    import torch
    from pydantic import TypeAdapter

    from attnkit.models.build import build_model
    from attnkit.models.config import ClassifierConfig

    torch.manual_seed(1)
    config = TypeAdapter(ClassifierConfig).validate_json(json.dumps(MODELS[name]))
    return build_model(config, num_classes=1000, image_size=size)


def predictor(model: Any, images: Any, order: dict[str, Any]) -> Any:
    import torch

    from attnkit.models.kernels.inference import prepare_for_inference

    model = prepare_for_inference(model, precision=order["precision"])

    @torch.inference_mode()
    def run() -> None:
        model(images)

    return run


def trainer(model: Any, images: Any, precision: str) -> Any:
    import torch

    model.train()
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)  # which every step of a training has, and no size changes

    def run() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16"):
            loss = model(images).float().logsumexp(dim=1).sum()
        loss.backward()

    return run


def resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / MIB


# the parent process


def measure(model: str, size: int, options: argparse.Namespace) -> dict[str, Any]:
    row: dict[str, Any] = {"model": model, "size": size, **counted(model, size)}
    for kind in WORKS:
        order = {"model": model, "size": size, "work": kind, "precision": options.precision}
        order |= {"threads": options.threads, "calls": options.calls}
        done = subprocess.run(
            [sys.executable, "-W", "ignore", __file__, "--work", json.dumps(order)],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        row[kind] = json.loads(done.stdout)
    print(f"{model}, {size}: {row['predict']}, {row['train']}", file=sys.stderr, flush=True)
    return row


def counted(model: str, size: int) -> dict[str, Any]:
    """Tokens of the finest map, multiplications and additions, and how much of them is attention's own."""
    import torch

    from attnkit.models.macs import count_macs

    with torch.device("meta"):
        network = build(model, size)
    patch = network.config.patch_size
    macs = count_macs(network, size, size)
    side = -(-size // patch)
    return {"tokens": side * side, "gmacs": macs / 1e9, "attention_gmacs": attention_macs(network, size) / 1e9}


def attention_macs(network: Any, size: int) -> int:
    """Of q k^T and of the weights times v: 2 C for every pair of tokens that look at each other."""
    config = network.config
    if config.name == "vit":
        tokens = (size // config.patch_size) ** 2 + network.special_tokens
        return 2 * config.depth * tokens**2 * config.embed_dim
    total, window = 0, config.window_size
    for stage, depth in enumerate(config.depths):
        side = math.ceil(size / (config.patch_size * 2**stage))
        tokens = (math.ceil(side / window) * window) ** 2
        total += 2 * depth * tokens * window**2 * config.embed_dim * 2**stage
    return total


def growth(rows: list[dict[str, Any]], value: Any) -> list[str]:
    """From size to size: the exponent with which something grows with the number of pixels."""
    exponents = [""]
    for smaller, larger in pairwise(rows):
        pixels = 2 * math.log(larger["size"] / smaller["size"])
        exponents.append(f"{math.log(value(larger) / value(smaller)) / pixels:.2f}")
    return exponents


def report(facts: dict[str, Any]) -> str:
    lines = [
        f"# Growth with the size of the image, {facts['date']}",
        "",
        f"One image, {facts['precision']}, the best of {facts['calls']} calls after one to warm up; memory is the peak"
        " above the model itself. The exponents say how something grows with the pixels from the line above: 1 is"
        f" linear, 2 quadratic. `{command()}`",
        "",
        *(f"- {name}: {value}" for name, value in facts["machine"].items()),
        "",
        "| model | image | tokens | GMACs | of these attention's | predict, s | exponent | memory, MiB | train, s"
        " | exponent | memory, MiB |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for model in MODELS:
        rows = [row for row in facts["rows"] if row["model"] == model]
        predict = growth(rows, lambda row: row["predict"]["seconds"])
        train = growth(rows, lambda row: row["train"]["seconds"])
        for row, in_predict, in_train in zip(rows, predict, train, strict=True):
            lines.append(
                f"| {model} | {row['size']} | {row['tokens']:,} | {row['gmacs']:.1f}"
                f" | {row['attention_gmacs'] / row['gmacs']:.0%} | {row['predict']['seconds']:.3f} | {in_predict}"
                f" | {row['predict']['mib']:,.0f} | {row['train']['seconds']:.3f} | {in_train}"
                f" | {row['train']['mib']:,.0f} |"
            )
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--calls", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--work", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work)
        return
    rows = [measure(model, size, options) for model in MODELS for size in options.sizes]
    facts = {
        "date": date.today().isoformat(),
        "precision": options.precision,
        "calls": options.calls,
        "machine": machine(options.threads, "torch"),
        "rows": rows,
    }
    keep(options.out, "attention_growth", facts, report(facts))


if __name__ == "__main__":
    main()

"""How many images per second does UperNet segment on a CPU, beside transformers?

Both hold the same random weights, which attnkit writes under transformers' names; the statistics of their batch norms
are random too. Every system and precision runs in a process of its own, and they take turns, so that whatever else the
machine does meets all alike. Images are ready tensors, and the answer is the logits of every pixel.

    python benchmarks/segmentation_inference.py [--models swin_t] [--batches 1] [--turns 7]

attnkit runs as `attnkit segment` does: prepare_for_inference in float32, and in its default precision, which is
bfloat16 where the processor multiplies it. transformers runs eagerly: in float32, and in bfloat16 with the weights
converted once.

How often pixels get the class of attnkit's float32 is counted on random smooth images. Random weights make that harder
than trained ones: their classes are close to each other.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

from measured import Child, keep, machine, peak_mib, questions, take_stdout

MODELS: dict[str, dict[str, Any]] = {
    "swin_t": {"name": "swin", "drop_path_rate": 0.0},
    "swin_s": {"name": "swin", "depths": [2, 2, 18, 2], "drop_path_rate": 0.0},
}
CLASSES, SIZE = 150, 512
PRECISIONS = ["float32", "bfloat16"]


# the systems: each makes the function from images to logits; run in a child process


def own_model(name: str) -> tuple[Any, Any]:
    """The model with its random weights, the same in every process, and its config."""
    import torch
    from torch import nn

    from attnkit.models.config import UperNetConfig

    config = UperNetConfig.model_validate_json(json.dumps({"backbone": MODELS[name]}))
    torch.manual_seed(1)
    model = config.build(num_classes=CLASSES, image_size=SIZE).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2.0)
    return model, config


def attnkit_system(name: str, precision: str) -> Any:
    from attnkit.engine.memory import keep_pages
    from attnkit.models.inference import prepare_for_inference

    keep_pages()
    return prepare_for_inference(own_model(name)[0], precision=precision)


def transformers_system(name: str, precision: str) -> Any:
    import torch
    from transformers import SwinConfig, UperNetConfig, UperNetForSemanticSegmentation

    from attnkit.interop.transformers_upernet import export_upernet

    own, own_config = own_model(name)
    weights, homeless = export_upernet(own.state_dict(), own_config, version=5)
    assert not homeless, homeless
    depths = list(own_config.backbone.depths)
    backbone = SwinConfig(depths=depths, out_features=[f"stage{stage}" for stage in range(1, 5)])
    model = UperNetForSemanticSegmentation(UperNetConfig(backbone_config=backbone, num_labels=CLASSES))
    found = model.load_state_dict(weights, strict=False)
    assert not found.unexpected_keys, found.unexpected_keys
    unused = {"backbone.swin.layernorm.weight", "backbone.swin.layernorm.bias"}
    assert not set(found.missing_keys) - unused - {key for key, _ in model.named_buffers()}, found.missing_keys
    model = model.eval().to(getattr(torch, precision))
    return lambda images: model(pixel_values=images).logits


SYSTEMS = {"attnkit": attnkit_system, "transformers": transformers_system}


# the child process


def work(order: dict[str, Any]) -> None:
    answer = take_stdout()
    import torch

    torch.set_num_threads(order["threads"])
    torch.set_grad_enabled(False)
    model = SYSTEMS[order["system"]](order["model"], order["precision"])
    dtype = torch.float32 if order["system"] == "attnkit" else getattr(torch, order["precision"])
    images = torch.load(order["images"], weights_only=True)

    @torch.inference_mode()
    def segment(batch: Any) -> Any:
        return model(batch.to(dtype))

    # the first images alone are compared; every eighth pixel of a row says enough, and the files stay small
    logits = torch.cat([segment(image)[:, :, ::8, ::8].float() for image in images[: order["compared"]].split(1)])
    torch.save(logits, order["logits"])
    answer({"peak_mib": peak_mib()})
    for batch_size, calls in questions():
        batch = images[:batch_size]
        started, cpu_started = time.perf_counter(), time.process_time()
        for _ in range(calls):
            segment(batch)
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
        answer({"seconds": seconds / calls, "cpu_seconds": cpu_seconds / calls, "peak_mib": peak_mib()})


class System(Child):
    """A system at work in its own process."""

    def __init__(self, model: str, system: str, precision: str, folder: Path, options: argparse.Namespace) -> None:
        self.system, self.precision = system, precision
        self.logits = folder / f"{model}_{system}_{precision}.pt"
        order = {
            "system": system,
            "model": model,
            "precision": precision,
            "images": str(folder / "images.pt"),
            "logits": str(self.logits),
            "compared": options.agreement_images,
            "threads": options.threads,
        }
        super().__init__(f"{system}, {precision}", __file__, order)
        self.peak_mib: dict[int, float] = {}
        self.turns: dict[int, list[dict[str, float]]] = {}

    def turn(self, batch_size: int, calls: int) -> None:
        """Let it segment so many batches."""
        answer = self.ask([batch_size, calls])
        self.peak_mib[batch_size] = answer["peak_mib"]
        self.turns.setdefault(batch_size, []).append(answer)


# the parent process


def smooth_images(count: int) -> Any:
    """Random colours that change slowly, and some noise."""
    import torch
    from torch.nn import functional as F

    generator = torch.Generator().manual_seed(2)
    coarse = torch.randn(count, 3, 9, 9, generator=generator)
    fine = torch.randn(count, 3, SIZE, SIZE, generator=generator)
    return F.interpolate(coarse, size=(SIZE, SIZE), mode="bicubic") + 0.2 * fine


def measure(model: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All systems on one model, in turns."""
    pairs = [(system, precision) for precision in options.precisions for system in options.systems]
    children = [System(model, system, precision, folder, options) for system, precision in pairs]
    for batch_size in sorted(options.batches):  # peaks only grow
        calls = max(1, options.images_per_turn // batch_size)
        for turn in range(options.turns + 1):
            for child in children[:: 1 if turn % 2 == 0 else -1]:
                child.turn(batch_size, calls)
        for child in children:
            del child.turns[batch_size][0]  # to warm up
        print(f"{model}: batches of {batch_size} done", file=sys.stderr, flush=True)
    for child in children:
        child.close()
    rows = [row for batch_size in options.batches for row in rows_of(children, batch_size)]
    return {"model": model, "rows": rows, "agreement": agreement(children)}


def rows_of(children: list[System], batch_size: int) -> list[dict[str, Any]]:
    """Each system in a few numbers, and by how much it is faster than transformers in float32, turn by turn."""
    speeds = {
        (child.system, child.precision): [batch_size / turn["seconds"] for turn in child.turns[batch_size]]
        for child in children
    }
    peer = speeds.get(("transformers", "float32"))
    rows = []
    for child in children:
        own = speeds[child.system, child.precision]
        row: dict[str, Any] = {
            "batch": batch_size,
            "system": child.system,
            "precision": child.precision,
            "images_per_second": median(own),
            "slowest": min(own),
            "fastest": max(own),
            "cpu_seconds": median(turn["cpu_seconds"] for turn in child.turns[batch_size]) / batch_size,
            "peak_mib": child.peak_mib[batch_size],
            "turns": own,
        }
        if peer is not None:
            ratios = [mine / theirs for mine, theirs in zip(own, peer, strict=True)]
            row["beside"] = {"median": median(ratios), "least": min(ratios), "most": max(ratios)}
        rows.append(row)
    return rows


def agreement(children: list[System]) -> list[dict[str, Any]]:
    """What each says beside attnkit in float32."""
    import torch

    logits = {(child.system, child.precision): torch.load(child.logits, weights_only=True) for child in children}
    reference = logits.get(("attnkit", "float32"), next(iter(logits.values())))
    return [
        {
            "system": system,
            "precision": precision,
            "same_class": float((found.argmax(1) == reference.argmax(1)).float().mean()),
            "difference": float((found - reference).abs().max()),
            "spread": float(reference.std(dim=1).mean()),
        }
        for (system, precision), found in logits.items()
    ]


def report(facts: dict[str, Any]) -> str:
    lines = [
        f"# Segmenting on a CPU, {facts['date']}",
        "",
        f"UperNet with {CLASSES} classes, images of {SIZE}x{SIZE}, the same random weights for all. Median of"
        f" {facts['turns']} alternating turns of about {facts['images_per_turn']} images after one to warm up, slowest"
        " and fastest beside it; each system in its own process. `python benchmarks/segmentation_inference.py`",
        "",
        *(f"- {name}: {value}" for name, value in facts["machine"].items()),
    ]
    for result in facts["results"]:
        for batch_size in facts["batches"]:
            rows = [row for row in result["rows"] if row["batch"] == batch_size]
            lines += ["", f"## {result['model']}, batch {batch_size}", "", *table(rows)]
        lines += ["", *said(result)]
    return "\n".join([*lines, ""])


def table(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        "| system | precision | images/s | slowest | fastest | CPU seconds per image | peak memory, MiB"
        " | beside transformers in float32 |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in sorted(rows, key=lambda row: -row["images_per_second"]):
        beside = row.get("beside")
        ratio = f"{beside['median']:.2f} ({beside['least']:.2f} to {beside['most']:.2f})" if beside else ""
        lines.append(
            f"| {row['system']} | {row['precision']} | {row['images_per_second']:.3f} | {row['slowest']:.3f}"
            f" | {row['fastest']:.3f} | {row['cpu_seconds']:.3f} | {row['peak_mib']:,.0f} | {ratio} |"
        )
    return lines


def said(result: dict[str, Any]) -> list[str]:
    return [
        f"- {row['system']}, {row['precision']}: the class of attnkit's float32 in {row['same_class']:.1%} of the"
        f" pixels; logits differ by at most {row['difference']:.1e}, and spread by {row['spread']:.1e} over the classes"
        for row in result["agreement"]
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=["swin_t"])
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=PRECISIONS)
    parser.add_argument("--batches", nargs="+", type=int, default=[1])
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--images-per-turn", type=int, default=2)
    parser.add_argument("--agreement-images", type=int, default=4)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--work", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work)
        return
    import torch

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        torch.save(smooth_images(max(options.agreement_images, *options.batches)), folder / "images.pt")
        results = [measure(model, folder, options) for model in options.models]
    facts = {
        "date": date.today().isoformat(),
        "machine": machine(options.threads, "torch", "transformers"),
        "turns": options.turns,
        "images_per_turn": options.images_per_turn,
        "batches": options.batches,
        "results": results,
    }
    keep(options.out, "segmentation_inference", facts, report(facts))


if __name__ == "__main__":
    main()

"""How many images per second do ViT and Swin classify on a CPU, beside timm, torchvision and transformers?

All hold the same random weights, which `attnkit export` writes under their names. Every system and precision runs in a
process of its own, and they take turns of a few batches, so that whatever else the machine does meets all alike. Images
are ready tensors: reading and preparing them is not counted.

    python benchmarks/vision_inference.py [--models vit_s16 swin_t] [--batches 1 16] [--turns 7]

attnkit runs as `attnkit classify` does: prepare_for_inference in float32, and in its default precision, which is
bfloat16 where the processor multiplies it. The peers run eagerly with their default attention: in float32, and in
bfloat16 with the weights converted once, which for them is faster than autocast. They run with the C library's way with
memory, which attnkit changes (engine/memory.py); to give it to all, set MALLOC_MMAP_THRESHOLD_=1073741824
MALLOC_TRIM_THRESHOLD_=2147483647.

How often the default precision says the same as float32 is counted on random smooth images. Random weights make that
harder than trained ones: their classes are close to each other.
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
    "vit_s16": {"name": "vit", "embed_dim": 384, "num_heads": 6},
    "vit_b16": {"name": "vit"},
    "swin_t": {"name": "swin", "drop_path_rate": 0.0},
    "swin_s": {"name": "swin", "depths": [2, 2, 18, 2], "drop_path_rate": 0.0},
}
CLASSES, SIZE = 1000, 224
PRECISIONS = ["float32", "bfloat16"]


# the systems: each makes the function from images to logits; run in a child process


def own_model(name: str) -> tuple[Any, Any]:
    """The model with its random weights, the same in every process, and its config."""
    import torch
    from pydantic import TypeAdapter

    from attnkit.models.config import ClassifierConfig

    config = TypeAdapter(ClassifierConfig).validate_json(json.dumps(MODELS[name]))
    torch.manual_seed(1)
    return config.build(num_classes=CLASSES, image_size=SIZE).eval(), config


def attnkit_system(name: str, precision: str) -> Any:
    from attnkit.engine.memory import keep_pages
    from attnkit.models.inference import prepare_for_inference

    keep_pages()
    return prepare_for_inference(own_model(name)[0], precision=precision)


def timm_system(name: str, precision: str) -> Any:
    import timm

    names = {
        "vit_s16": "vit_small_patch16_224",
        "vit_b16": "vit_base_patch16_224",
        "swin_t": "swin_tiny_patch4_window7_224",
        "swin_s": "swin_small_patch4_window7_224",
    }
    return peer(timm.create_model(names[name]), name, "timm", precision)


def torchvision_system(name: str, precision: str) -> Any:
    import torchvision

    small = {"image_size": SIZE, "patch_size": 16, "num_layers": 12, "num_heads": 6, "hidden_dim": 384, "mlp_dim": 1536}
    make = {
        "vit_s16": lambda: torchvision.models.VisionTransformer(**small),
        "vit_b16": torchvision.models.vit_b_16,
        "swin_t": torchvision.models.swin_t,
        "swin_s": torchvision.models.swin_s,
    }
    return peer(make[name](), name, "torchvision", precision)


def transformers_system(name: str, precision: str) -> Any:
    import torch
    from transformers import SwinConfig, SwinForImageClassification, ViTConfig, ViTForImageClassification

    own = MODELS[name]
    if own["name"] == "vit":
        width = own.get("embed_dim", 768)
        sizes = {"hidden_size": width, "num_attention_heads": width // 64, "intermediate_size": 4 * width}
        config = ViTConfig(**sizes, layer_norm_eps=1e-6, num_labels=CLASSES)
        make = ViTForImageClassification
    else:
        config = SwinConfig(depths=own.get("depths", [2, 2, 6, 2]), num_labels=CLASSES)
        make = SwinForImageClassification
    # files have the names of its version 4, which only from_pretrained knows
    model = make.from_pretrained(None, config=config, state_dict=weights_for("transformers", name))
    model = model.eval().to(getattr(torch, precision))
    return lambda images: model(pixel_values=images).logits


def peer(model: Any, name: str, library: str, precision: str) -> Any:
    """A peer's model with attnkit's weights, ready to predict."""
    import torch

    found = model.load_state_dict(weights_for(library, name), strict=False)
    assert not found.unexpected_keys, found.unexpected_keys
    assert not set(found.missing_keys) - {key for key, _ in model.named_buffers()}, found.missing_keys
    return model.eval().to(getattr(torch, precision))


def weights_for(library: str, name: str) -> dict[str, Any]:
    """The weights of attnkit's model under a peer's names."""
    from attnkit.interop.export_weights import foreign_weights

    return foreign_weights(*own_model(name), library)


SYSTEMS = {
    "attnkit": attnkit_system,
    "timm": timm_system,
    "torchvision": torchvision_system,
    "transformers": transformers_system,
}


# the child process


def work(order: dict[str, Any]) -> None:
    answer = take_stdout()
    import torch

    torch.set_num_threads(order["threads"])
    torch.set_grad_enabled(False)
    model = SYSTEMS[order["system"]](order["model"], order["precision"])
    own = order["system"] == "attnkit"
    dtype = torch.float32 if own else getattr(torch, order["precision"])
    images = torch.load(order["images"], weights_only=True)

    @torch.inference_mode()
    def classify(batch: Any) -> Any:
        return model(batch.to(dtype)).float()

    logits = torch.cat([classify(batch) for batch in images.split(16)])
    torch.save(logits, order["logits"])
    answer({"peak_mib": peak_mib()})
    for batch_size, calls in questions():
        batch = images[:batch_size]
        started, cpu_started = time.perf_counter(), time.process_time()
        for _ in range(calls):
            classify(batch)
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
        answer({"seconds": seconds / calls, "cpu_seconds": cpu_seconds / calls, "peak_mib": peak_mib()})


class System(Child):
    """A system at work in its own process."""

    def __init__(self, model: str, system: str, precision: str, folder: Path, threads: int) -> None:
        self.system, self.precision = system, precision
        self.logits = folder / f"{model}_{system}_{precision}.pt"
        order = {
            "system": system,
            "model": model,
            "precision": precision,
            "images": str(folder / "images.pt"),
            "logits": str(self.logits),
            "threads": threads,
        }
        super().__init__(f"{system}, {precision}", __file__, order)
        self.peak_mib = self.about["peak_mib"]
        self.turns: dict[int, list[dict[str, float]]] = {}

    def turn(self, batch_size: int, calls: int) -> None:
        """Let it classify so many batches."""
        answer = self.ask([batch_size, calls])
        self.peak_mib = answer["peak_mib"]
        self.turns.setdefault(batch_size, []).append(answer)


# the parent process


def smooth_images(count: int) -> Any:
    """Random colours that change slowly, and some noise."""
    import torch
    from torch.nn import functional as F

    generator = torch.Generator().manual_seed(2)
    coarse = torch.randn(count, 3, 7, 7, generator=generator)
    fine = torch.randn(count, 3, SIZE, SIZE, generator=generator)
    return F.interpolate(coarse, size=(SIZE, SIZE), mode="bicubic") + 0.2 * fine


def measure(model: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All systems on one model, in turns."""
    children = [
        System(model, system, precision, folder, options.threads)
        for precision in PRECISIONS
        for system in options.systems
    ]
    for batch_size in options.batches:
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
    """Each system in a few numbers, and by how much it is faster than the fastest peer in float32."""
    speeds = {
        (child.system, child.precision): [batch_size / turn["seconds"] for turn in child.turns[batch_size]]
        for child in children
    }
    peers = [key for key in speeds if key[0] != "attnkit" and key[1] == "float32"]
    best = max(peers, key=lambda key: median(speeds[key]), default=None)
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
            "cpu_seconds": median(turn["cpu_seconds"] for turn in child.turns[batch_size]),
            "peak_mib": child.peak_mib,
            "turns": own,
        }
        if best is not None:
            ratios = [mine / theirs for mine, theirs in zip(own, speeds[best], strict=True)]
            row["beside"] = {"system": best[0], "median": median(ratios), "least": min(ratios), "most": max(ratios)}
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
            "same_top_1": float((found.argmax(1) == reference.argmax(1)).float().mean()),
            "difference": float((found - reference).abs().max()),
            "spread": float(reference.std(dim=1).mean()),
        }
        for (system, precision), found in logits.items()
    ]


def report(facts: dict[str, Any]) -> str:
    lines = [
        f"# Classifying on a CPU, {facts['date']}",
        "",
        f"Images of {SIZE}x{SIZE}, the same random weights for all. Median of {facts['turns']} alternating turns of"
        f" about {facts['images_per_turn']} images after one to warm up, slowest and fastest beside it; each system in"
        " its own process. `python benchmarks/vision_inference.py`",
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
        "| system | precision | images/s | slowest | fastest | CPU seconds per batch | peak memory, MiB"
        " | beside the fastest peer in float32 |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in sorted(rows, key=lambda row: -row["images_per_second"]):
        beside = row.get("beside")
        ratio = f"{beside['median']:.2f} ({beside['least']:.2f} to {beside['most']:.2f})" if beside else ""
        lines.append(
            f"| {row['system']} | {row['precision']} | {row['images_per_second']:.2f} | {row['slowest']:.2f}"
            f" | {row['fastest']:.2f} | {row['cpu_seconds']:.3f} | {row['peak_mib']:,.0f} | {ratio} |"
        )
    return lines


def said(result: dict[str, Any]) -> list[str]:
    return [
        f"- {row['system']}, {row['precision']}: the class of attnkit's float32 in {row['same_top_1']:.1%} of the"
        f" images; logits differ by at most {row['difference']:.1e}, and spread by {row['spread']:.1e} over the classes"
        for row in result["agreement"]
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 16])
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--images-per-turn", type=int, default=16)
    parser.add_argument("--agreement-images", type=int, default=64)
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
        "turns": options.turns,
        "images_per_turn": options.images_per_turn,
        "batches": options.batches,
        "models": {name: MODELS[name] for name in options.models},
        "machine": machine(options.threads, "torch", "timm", "torchvision", "transformers"),
        "results": results,
    }
    keep(options.out, "vision_inference", facts, report(facts))


if __name__ == "__main__":
    main()

"""How many steps per second does training a ViT or a Swin take on a CPU, beside timm's model in the same loop?

Both begin with the same weights and see the same random images; nothing is dropped, so that their losses can be
compared. The loop is the same few lines for both: cross entropy, backward, clipping, AdamW (fused), in float32 and in
attnkit's default, which is bfloat16 by autocast where the processor multiplies it. Each runs in a process of its own,
and they take turns of a few steps, so that whatever else the machine does meets both alike. Memory is kept by the C
library in both (attnkit/engine/memory.py): what differs is the models.

    python benchmarks/vision_train.py [--models vit_lite swin_nano] [--turns 7] [--steps 3]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

from measured import Child, keep, machine, peak_mib, questions, take_stdout


@dataclass(frozen=True)
class Size:
    """A model as attnkit's recipes say it, and the batch that it is trained with."""

    config: dict[str, Any]
    image_size: int
    num_classes: int
    batch: int


MODELS = {
    "vit_s16": Size({"name": "vit", "embed_dim": 384, "num_heads": 6}, 224, 1000, 8),
    "swin_t": Size({"name": "swin", "drop_path_rate": 0.0}, 224, 1000, 8),
    "vit_lite": Size(
        {"name": "vit", "patch_size": 4, "embed_dim": 256, "depth": 7, "num_heads": 4, "mlp_ratio": 2.0},
        32,
        10,
        64,
    ),
    "swin_nano": Size(
        {"name": "swin", "patch_size": 2, "embed_dim": 48, "depths": [2, 2, 2], "num_heads": [2, 4, 8]}
        | {"window_size": 4, "drop_path_rate": 0.0},
        32,
        10,
        64,
    ),
}
PRECISIONS = ["float32", "bfloat16"]


def own_model(size: Size) -> tuple[Any, Any]:
    """The model with its fresh weights, the same in every process, and its config."""
    import torch
    from pydantic import TypeAdapter

    from attnkit.models.config import ClassifierConfig

    config = TypeAdapter(ClassifierConfig).validate_json(json.dumps(size.config))
    torch.manual_seed(1)
    return config.build(num_classes=size.num_classes, image_size=size.image_size), config


def attnkit_model(size: Size) -> Any:
    return own_model(size)[0]


def timm_model(size: Size) -> Any:
    """The model of timm with the fresh weights of attnkit's."""
    from timm.models.swin_transformer import SwinTransformer
    from timm.models.vision_transformer import VisionTransformer

    from attnkit.interop.export_weights import foreign_weights

    own, config = own_model(size)
    common = {
        "img_size": size.image_size,
        "num_classes": size.num_classes,
        "patch_size": config.patch_size,
        "embed_dim": config.embed_dim,
        "num_heads": config.num_heads,
        "mlp_ratio": config.mlp_ratio,
        "drop_path_rate": config.drop_path_rate,
    }
    if config.name == "vit":
        model = VisionTransformer(**common, depth=config.depth)
    else:
        model = SwinTransformer(**common, depths=config.depths, window_size=config.window_size)
    model.load_state_dict(foreign_weights(own, config, "timm"))
    return model


SYSTEMS: dict[str, Callable[[Size], Any]] = {"attnkit": attnkit_model, "timm": timm_model}


# the child process


def work(order: dict[str, Any]) -> None:
    answer = take_stdout()
    import torch

    from attnkit.engine.memory import keep_pages

    keep_pages()
    torch.set_num_threads(order["threads"])
    size = MODELS[order["model"]]
    step = make_step(SYSTEMS[order["system"]](size), size, order["precision"])
    answer({})
    for steps in questions():
        started, cpu_started = time.perf_counter(), time.process_time()
        losses = [step() for _ in range(steps)]
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
        per_step = {"seconds": seconds / steps, "cpu_seconds": cpu_seconds / steps}
        answer({**per_step, "losses": losses, "peak_mib": peak_mib()})


def make_step(model: Any, size: Size, precision: str) -> Callable[[], float]:
    """One step of training; it gives the loss."""
    import torch
    from torch.nn import functional as F

    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.05, fused=True)
    generator = torch.Generator().manual_seed(2)
    images = torch.randn(size.batch, 3, size.image_size, size.image_size, generator=generator)
    labels = torch.randint(size.num_classes, (size.batch,), generator=generator)

    def step() -> float:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16"):
            loss = F.cross_entropy(model(images).float(), labels, label_smoothing=0.1)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    return step


class System(Child):
    """A system at work in its own process."""

    def __init__(self, model: str, system: str, precision: str, threads: int) -> None:
        self.system, self.precision = system, precision
        order = {"model": model, "system": system, "precision": precision, "threads": threads}
        super().__init__(f"{system}, {precision}", __file__, order)
        self.turns: list[dict[str, Any]] = []

    def turn(self, steps: int) -> None:
        """Let it train for so many steps."""
        self.turns.append(self.ask(steps))

    def result(self, beside: System) -> dict[str, Any]:
        """Its turns in a few numbers, and how often it is as fast as another; the first turn was to warm up."""
        speeds = [1 / turn["seconds"] for turn in self.turns[1:]]
        ratios = [other["seconds"] / own["seconds"] for own, other in zip(self.turns, beside.turns, strict=True)][1:]
        return {
            "system": self.system,
            "precision": self.precision,
            "steps_per_second": median(speeds),
            "slowest": min(speeds),
            "fastest": max(speeds),
            "cpu_seconds": median(turn["cpu_seconds"] for turn in self.turns[1:]),
            "peak_mib": self.turns[-1]["peak_mib"],
            "first_loss": self.turns[0]["losses"][0],
            "last_loss": self.turns[-1]["losses"][-1],
            "times_timm": {"median": median(ratios), "least": min(ratios), "most": max(ratios)},
            "turns": speeds,
        }


# the parent process


def measure(model: str, options: argparse.Namespace) -> dict[str, Any]:
    """Both systems on one model in both precisions, in turns."""
    results = []
    for precision in PRECISIONS:
        children = [System(model, system, precision, options.threads) for system in SYSTEMS]
        for turn in range(options.turns + 1):
            for child in children[:: 1 if turn % 2 == 0 else -1]:
                child.turn(options.steps)
        for child in children:
            child.close()
        results += [child.result(beside=children[-1]) for child in children]
        print(f"{model}, {precision}: done", file=sys.stderr, flush=True)
    return {"model": model, "batch": MODELS[model].batch, "config": MODELS[model].config, "rows": results}


def report(facts: dict[str, Any]) -> str:
    lines = [
        f"# Training on a CPU, {facts['date']}",
        "",
        f"attnkit's and timm's model in the same loop, from the same weights, on the same images. Median of"
        f" {facts['turns']} alternating turns of {facts['steps']} steps after one to warm up, slowest and fastest"
        " beside it. `python benchmarks/vision_train.py`",
        "",
        *(f"- {name}: {value}" for name, value in facts["machine"].items()),
        "",
        "| model | batch | precision | system | steps/s | slowest | fastest | CPU seconds per step | peak memory, MiB"
        " | times timm | first loss |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for result in facts["results"]:
        for row in result["rows"]:
            ratio = row["times_timm"]
            lines.append(
                f"| {result['model']} | {result['batch']} | {row['precision']} | {row['system']}"
                f" | {row['steps_per_second']:.3f} | {row['slowest']:.3f} | {row['fastest']:.3f}"
                f" | {row['cpu_seconds']:.3f} | {row['peak_mib']:,.0f}"
                f" | {ratio['median']:.2f} ({ratio['least']:.2f} to {ratio['most']:.2f}) | {row['first_loss']:.5f} |"
            )
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--steps", type=int, default=3, help="of a turn")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--work", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work)
        return
    results = [measure(model, options) for model in options.models]
    facts = {
        "date": date.today().isoformat(),
        "turns": options.turns,
        "steps": options.steps,
        "machine": machine(options.threads, "torch", "timm"),
        "results": results,
    }
    keep(options.out, "vision_train", facts, report(facts))


if __name__ == "__main__":
    main()

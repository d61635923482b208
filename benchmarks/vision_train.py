"""How many steps per second does training a ViT or a Swin take on a CPU, beside timm's model in the same loop?

Both begin with the same weights and see the same random images. Nothing is dropped, so that their losses can be
compared; where the name says drop_path, branches are skipped with the probability of the recipe, as real trainings do,
and each system draws its own. attnkit does not compute what is skipped, so that its batches inside are of many sizes,
for each of which oneDNN makes its kernels once: a dozen steps to warm up. The loop is the same few lines for both:
cross entropy, backward, clipping, AdamW (fused), in float32 and in attnkit's default, which is bfloat16 by autocast
where the processor multiplies it. Each runs in a process of its own, and they take turns of a few steps, so that
whatever else the machine does meets both alike. Memory is kept by the C library in both (attnkit/engine/memory.py):
what differs is the models.

    python benchmarks/vision_train.py [--models vit_lite swin_nano] [--turns 7] [--steps 3]
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from measured import PRECISIONS, command, keep, machine, take_stdout
from training_turns import answer_steps, make_step, table, take_turns


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
    "vit_s16_drop_path": Size({"name": "vit", "embed_dim": 384, "num_heads": 6, "drop_path_rate": 0.1}, 224, 1000, 8),
    "swin_t_drop_path": Size({"name": "swin", "drop_path_rate": 0.2}, 224, 1000, 8),
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


def own_model(size: Size) -> tuple[Any, Any]:
    """The model with its fresh weights, the same in every process, and its config."""
    import torch
    from pydantic import TypeAdapter

    from attnkit.models.build import build_model
    from attnkit.models.config import ClassifierConfig

    config = TypeAdapter(ClassifierConfig).validate_json(json.dumps(size.config))
    torch.manual_seed(1)
    return build_model(config, num_classes=size.num_classes, image_size=size.image_size), config


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
    from torch.nn import functional as F

    torch.set_num_threads(order["threads"])
    size = MODELS[order["model"]]
    model = SYSTEMS[order["system"]](size)
    generator = torch.Generator().manual_seed(2)
    images = torch.randn(size.batch, 3, size.image_size, size.image_size, generator=generator)
    labels = torch.randint(size.num_classes, (size.batch,), generator=generator)

    def loss() -> Any:
        return F.cross_entropy(model(images).float(), labels, label_smoothing=0.1)

    answer_steps(answer, make_step(model, loss, order["precision"]))


# the parent process


def measure(model: str, options: argparse.Namespace) -> dict[str, Any]:
    """Both systems on one model in both precisions, in turns."""
    rows = take_turns(
        __file__,
        SYSTEMS,
        options.precisions,
        turns=options.turns,
        steps=options.steps,
        warm_up=options.warm_up,
        about=model,
        model=model,
        threads=options.threads,
    )
    return {"model": model, "batch": MODELS[model].batch, "config": MODELS[model].config, "rows": rows}


def report(facts: dict[str, Any]) -> str:
    lines = [
        f"# Training on a CPU, {facts['date']}",
        "",
        f"attnkit's and timm's model in the same loop, from the same weights, on the same images. Median of"
        f" {facts['turns']} alternating turns of {facts['steps']} steps after {facts['warm_up']} steps to warm up,"
        f" slowest and fastest beside it. `{command()}`",
        "",
        *(f"- {name}: {value}" for name, value in facts["machine"].items()),
        "",
        *table(facts["results"], "timm"),
    ]
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--steps", type=int, default=3, help="of a turn")
    parser.add_argument("--warm-up", type=int, default=12, help="steps of each before any is timed")
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=list(PRECISIONS))
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
        "warm_up": options.warm_up,
        "machine": machine(options.threads, "torch", "timm"),
        "results": results,
    }
    keep(options.out, "vision_train", facts, report(facts))


if __name__ == "__main__":
    main()

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
import tempfile
from datetime import date
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from inference_turns import (
    System,
    add_options,
    agreement,
    answer_turns,
    prepared,
    report_of,
    said_of_logits,
    smooth_images,
    start,
    take_turns,
)
from measured import PRECISIONS, command, keep, machine, take_stdout

MODELS: dict[str, dict[str, Any]] = {
    "vit_s16": {"name": "vit", "embed_dim": 384, "num_heads": 6},
    "vit_b16": {"name": "vit"},
    "swin_t": {"name": "swin", "drop_path_rate": 0.0},
    "swin_s": {"name": "swin", "depths": [2, 2, 18, 2], "drop_path_rate": 0.0},
}
CLASSES, SIZE = 1000, 224


# the child process; each system makes the function from images to logits


def own_model(name: str) -> tuple[Any, Any]:
    """The model with its random weights, the same in every process, and its config."""
    import torch
    from pydantic import TypeAdapter

    from attnkit.models.build import build_model
    from attnkit.models.config import ClassifierConfig

    config = TypeAdapter(ClassifierConfig).validate_json(json.dumps(MODELS[name]))
    torch.manual_seed(1)
    return build_model(config, num_classes=CLASSES, image_size=SIZE).eval(), config


def attnkit_system(name: str, precision: str) -> Any:
    return prepared(lambda: own_model(name)[0], precision)


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


def work(order: dict[str, Any]) -> None:
    answer = take_stdout()
    import torch

    predict, images = start(order, SYSTEMS)

    def classify(batch: Any) -> Any:
        return predict(batch).float()

    logits = torch.cat([classify(batch) for batch in images.split(16)])
    torch.save(logits, order["outputs"])
    answer_turns(answer, classify, images)


# the parent process


def measure(model: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All systems on one model, in turns."""
    pairs = [(system, precision) for precision in PRECISIONS for system in options.systems]
    children = [System(__file__, model, *pair, folder, threads=options.threads) for pair in pairs]
    take_turns(children, options.batches, model, options)
    rows = [row for batch_size in options.batches for row in rows_of(children, batch_size)]
    return {"model": model, "rows": rows, "agreement": agreement(children, "same_top_1")}


def rows_of(children: list[System], batch_size: int) -> list[dict[str, Any]]:
    """Each system in a few numbers, and by how much it is faster than the fastest peer in float32."""
    peers = [child for child in children if child.system != "attnkit" and child.precision == "float32"]
    best = max(peers, key=lambda child: median(child.speeds(batch_size)), default=None)
    rows = []
    for child in children:
        row = child.row(batch_size)
        row["peak_mib"] = max(turn["peak_mib"] for turns in child.turns.values() for turn in turns)
        if best is not None:
            row["beside"] = {"system": best.system, **child.beside(best, batch_size)}
        rows.append(row)
    return rows


def report(facts: dict[str, Any]) -> str:
    about = (
        f"Images of {SIZE}x{SIZE}, the same random weights for all. Median of {facts['turns']} alternating turns of"
        f" about {facts['images_per_turn']} images after one to warm up, slowest and fastest beside it; each system in"
        f" its own process. `{command()}`"
    )
    return report_of(
        facts,
        "Classifying on a CPU",
        about,
        cpu_per="batch",
        peer="the fastest peer",
        decimals=2,
        said=partial(said_of_logits, same="same_top_1", of="images"),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    add_options(parser, batches=[1, 16], images_per_turn=16, agreement_images=64)
    options = parser.parse_args()
    if options.work:
        work(options.work)
        return
    import torch

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        count = max(options.agreement_images, *options.batches)
        torch.save(smooth_images(count, size=(SIZE, SIZE), coarse_size=7), folder / "images.pt")
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

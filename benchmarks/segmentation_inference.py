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
import tempfile
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from inference_turns import (
    System,
    add_options,
    agreement,
    answer_turns,
    prepared,
    report_of,
    rows_beside,
    said_of_logits,
    smooth_images,
    start,
    take_turns,
)
from measured import PRECISIONS, command, keep, machine, take_stdout

MODELS: dict[str, dict[str, Any]] = {
    "swin_t": {"name": "swin", "drop_path_rate": 0.0},
    "swin_s": {"name": "swin", "depths": [2, 2, 18, 2], "drop_path_rate": 0.0},
}
CLASSES, SIZE = 150, 512


# the child process; each system makes the function from images to logits


def own_model(name: str) -> tuple[Any, Any]:
    """The model with its random weights, the same in every process, and its config."""
    import torch
    from torch import nn

    from attnkit.models.build import build_model
    from attnkit.models.config import UperNetConfig

    config = UperNetConfig.model_validate_json(json.dumps({"backbone": MODELS[name]}))
    torch.manual_seed(1)
    model = build_model(config, num_classes=CLASSES, image_size=SIZE).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2.0)
    return model, config


def attnkit_system(name: str, precision: str) -> Any:
    return prepared(lambda: own_model(name)[0], precision)


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


def work(order: dict[str, Any]) -> None:
    answer = take_stdout()
    import torch

    segment, images = start(order, SYSTEMS)
    # the first images alone are compared; every eighth pixel of a row says enough, and the files stay small
    logits = torch.cat([segment(image)[:, :, ::8, ::8].float() for image in images[: order["compared"]].split(1)])
    torch.save(logits, order["outputs"])
    answer_turns(answer, segment, images)


# the parent process


def measure(model: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All systems on one model, in turns."""
    more = {"compared": options.agreement_images, "threads": options.threads}
    pairs = [(system, precision) for precision in options.precisions for system in options.systems]
    children = [System(__file__, model, *pair, folder, **more) for pair in pairs]
    take_turns(children, sorted(options.batches), model, options)  # peaks only grow
    rows = [row for batch_size in options.batches for row in rows_beside(children, batch_size, "transformers")]
    return {"model": model, "rows": rows, "agreement": agreement(children, "same_class")}


def report(facts: dict[str, Any]) -> str:
    about = (
        f"UperNet with {CLASSES} classes, images of {SIZE}x{SIZE}, the same random weights for all. Median of"
        f" {facts['turns']} alternating turns of about {facts['images_per_turn']} images after one to warm up, slowest"
        f" and fastest beside it; each system in its own process. `{command()}`"
    )
    return report_of(
        facts,
        "Segmenting on a CPU",
        about,
        cpu_per="image",
        peer="transformers",
        decimals=3,
        said=partial(said_of_logits, same="same_class", of="pixels"),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=["swin_t"])
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=PRECISIONS)
    add_options(parser, batches=[1], images_per_turn=2, agreement_images=4)
    options = parser.parse_args()
    if options.work:
        work(options.work)
        return
    import torch

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        count = max(options.agreement_images, *options.batches)
        torch.save(smooth_images(count, size=(SIZE, SIZE), coarse_size=9), folder / "images.pt")
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

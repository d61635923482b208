"""How fast does Mask R-CNN with a ResNet-50 detect, and learn, on a CPU, beside torchvision's?

Both hold the same random weights, which attnkit writes under torchvision's names, and look at the same anchors,
proposals and regions: 1,000 proposals and 100 masks of an image when they detect, 2,000 proposals and 512 regions when
they learn. Every system and precision runs in a process of its own, and they take turns, so that whatever else the
machine does meets all alike. Images are ready tensors of the size that the network sees: torchvision's own resizing and
normalising is left out, the pasting of masks into the image is part of both. Batch norm is plain when they learn.

    python benchmarks/detection.py [--sizes 800x1088 480x640] [--batches 1 2] [--parts inference training] [--turns 7]

attnkit detects as `attnkit detect` does: prepare_for_inference in float32, and in its default precision, which is
bfloat16 where the processor multiplies it. torchvision detects eagerly: in float32, and in bfloat16 by autocast, where
it rounds anchors and boxes too, which is its own way but costs it their places. Both learn by autocast in bfloat16, in
the same loop, ten objects on each image, their losses being those of their libraries. These are equal but for the
proposals': torchvision learns the best anchor of an object however little they overlap, attnkit from 0.3 on, so its
loss is lower where objects are smaller than anchors. `torchvision_channels_last` is torchvision with its channels last,
to see whether that is quicker.

The statistics of the batch norms are those of the images, so that numbers stay in the range of a trained network, and
the classes are spread so far that 100 detections are over the usual threshold. How far the systems agree is counted on
some images: random weights make that harder than trained ones.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from statistics import mean
from typing import Any

import training_turns
from inference_turns import (
    System,
    add_options,
    answer_turns,
    prepared,
    report_of,
    rows_beside,
    smooth_images,
    take_turns,
)
from measured import PRECISIONS, command, keep, machine, take_stdout

CLASSES, OBJECTS = 80, 10
SCORE_THRESHOLD, NMS_THRESHOLD, MASK_THRESHOLD, DETECTIONS = 0.05, 0.5, 0.5, 100
OVERLAP = 0.9
"""Of two boxes of one class that are the same detection."""
_STRIDE = 32
_CLASS_STD = 0.06
"""Of the weights of the classes: their logits differ by about 2."""
_BRANCH = 0.2
"""What a residual branch adds, in place of 1: as in trained networks, what is rounded does not grow on the way."""


# the weights


def own_model() -> Any:
    """The detector of attnkit whose anchors and regions are torchvision's."""
    from attnkit.interop.torchvision_rcnn import ANCHORS, POOLING
    from attnkit.models.config import ResNetConfig
    from attnkit.models.rcnn.config import MaskRcnnConfig
    from attnkit.models.rcnn.rcnn import Rcnn

    backbone = ResNetConfig(name="resnet", depth=50)
    config = MaskRcnnConfig(backbone=backbone, rpn=ANCHORS, roi_align=POOLING)
    return Rcnn(config, num_classes=CLASSES, masks=True)


def write_weights(path: Path, images: Any) -> None:
    """Random weights for all, and the statistics of the batch norms on some images."""
    import torch
    from torch import nn

    torch.manual_seed(1)
    model = own_model()
    nn.init.normal_(model.box_heads[0].classes.weight, std=_CLASS_STD)
    for name, module in model.backbone.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0  # the statistics are those of these images alone
            if name.endswith("bn3"):
                nn.init.constant_(module.weight, _BRANCH)
    with torch.no_grad():
        model.backbone.train()(images)
    torch.save(model.state_dict(), path)


# the child process


def attnkit_model(weights: str) -> Any:
    import torch

    model = own_model()
    model.load_state_dict(torch.load(weights, weights_only=True))
    return model


def torchvision_model(weights: str, *, channels_last: bool = False) -> Any:
    import torch
    from torchvision.models.detection import maskrcnn_resnet50_fpn

    from attnkit.interop.torchvision_rcnn import export_rcnn

    own = attnkit_model(weights)
    model = maskrcnn_resnet50_fpn(
        weights=None,
        weights_backbone=None,
        num_classes=CLASSES + 1,
        box_score_thresh=SCORE_THRESHOLD,
        box_nms_thresh=NMS_THRESHOLD,
        box_detections_per_img=DETECTIONS,
    )
    foreign, homeless = export_rcnn(own.state_dict(), own.config)
    assert not homeless, homeless
    model.load_state_dict(foreign)
    # images are ready
    model.transform.normalize = lambda image: image
    model.transform.resize = lambda image, target=None: (image, target)
    return model.to(memory_format=torch.channels_last) if channels_last else model


Found = list[dict[str, Any]]
"""Of each image `boxes`, `scores`, `labels` from 0, and `cells`, the probabilities of masks before they are pasted."""
Detector = tuple[Callable[[Any], Any], Callable[[Any], Found]]
"""From images to what is timed, masks in pixels of the image and all; and to what is compared."""


def attnkit_detector(weights: str, precision: str) -> Detector:
    """Its masks are cut out."""
    model = prepared(lambda: attnkit_model(weights), precision)

    def found_on(images: Any) -> list[Any]:
        return model.detect(
            images,
            [tuple(images.shape[2:])] * len(images),
            score_threshold=SCORE_THRESHOLD,
            nms_threshold=NMS_THRESHOLD,
            soft_nms=False,
            max_detections=DETECTIONS,
        )

    def detect(images: Any) -> Any:
        return [(one, one.masks(tuple(images.shape[2:]), MASK_THRESHOLD)) for one in found_on(images)]

    def compared(images: Any) -> Found:
        return [
            {"boxes": one.boxes, "scores": one.scores, "labels": one.labels, "cells": one.mask_probs}
            for one in found_on(images)
        ]

    return detect, compared


def torchvision_detector(weights: str, precision: str, *, channels_last: bool = False) -> Detector:
    """Its masks are probabilities of all pixels."""
    import torch

    model = torchvision_model(weights, channels_last=channels_last).eval().requires_grad_(False)

    def detect(images: Any) -> Any:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16"):
            return model(list(images))

    def compared(images: Any) -> Found:
        model.transform.postprocess = lambda found, *sizes: found  # which pastes the masks
        found = detect(images)
        del model.transform.postprocess
        return [
            {"boxes": one["boxes"], "scores": one["scores"], "labels": one["labels"] - 1, "cells": one["masks"][:, 0]}
            for one in found
        ]

    return detect, compared


def attnkit_learns(weights: str, images: Any) -> tuple[Any, Callable[[], Any]]:
    """The model, and its loss on the images."""
    from attnkit.structures.masks import Masks
    from attnkit.structures.objects import Objects

    model = attnkit_model(weights)
    size = (images.shape[2], images.shape[3])
    objects = []
    for boxes, labels, bitmaps in objects_on(len(images), size):
        masks = Masks.from_bitmaps(bitmaps)
        objects.append(Objects(boxes, labels, masks.areas(), labels < 0, masks))  # no crowds
    return model, lambda: sum(model.losses(images, [size] * len(images), objects).values())


def torchvision_learns(weights: str, images: Any, *, channels_last: bool = False) -> tuple[Any, Callable[[], Any]]:
    """The model, and its loss on the images."""
    import torch

    model = torchvision_model(weights, channels_last=channels_last)
    targets = [
        {"boxes": boxes, "labels": labels + 1, "masks": bitmaps.to(torch.uint8)}
        for boxes, labels, bitmaps in objects_on(len(images), (images.shape[2], images.shape[3]))
    ]
    return model, lambda: sum(model(list(images), targets).values())


def objects_on(count: int, size: tuple[int, int]) -> list[tuple[Any, Any, Any]]:
    """Boxes, labels and masks of generated objects, ellipses of all sizes, the same in every process."""
    import torch

    generator = torch.Generator().manual_seed(3)
    y, x = torch.arange(size[0])[:, None] + 0.5, torch.arange(size[1]) + 0.5
    whole = torch.tensor([size[1], size[0]]).float()
    made = []
    for _ in range(count):
        sides = whole * torch.empty(OBJECTS, 2).uniform_(0.05, 0.5, generator=generator)
        start = (whole - sides) * torch.rand(OBJECTS, 2, generator=generator)
        boxes = torch.cat([start, start + sides], dim=1)
        labels = torch.randint(CLASSES, (OBJECTS,), generator=generator)
        middle, half = (start + sides / 2)[:, :, None, None], (sides / 2)[:, :, None, None]
        bitmaps = ((x - middle[:, 0]) / half[:, 0]) ** 2 + ((y - middle[:, 1]) / half[:, 1]) ** 2 <= 1
        made.append((boxes, labels, bitmaps))
    return made


SYSTEMS = ["attnkit", "torchvision", "torchvision_channels_last"]


def work(order: dict[str, Any]) -> None:
    answer = take_stdout()
    import torch

    torch.set_num_threads(order["threads"])
    own, last = order["system"] == "attnkit", {"channels_last": order["system"].endswith("channels_last")}
    weights, images = order["weights"], torch.load(order["images"], weights_only=True)
    if order["part"] == "training":
        images = images[: order["batch"]]
        model, loss = attnkit_learns(weights, images) if own else torchvision_learns(weights, images, **last)
        training_turns.answer_steps(answer, training_turns.make_step(model, loss, order["precision"]))
        return
    precision = order["precision"]
    detect, compared = attnkit_detector(weights, precision) if own else torchvision_detector(weights, precision, **last)
    with torch.inference_mode():
        found = [one for image in images[: order["compared"]] for one in compared(image[None])]
        torch.save(found, order["outputs"])
        answer_turns(answer, detect, images)


# the parent process


def infer(name: str, folder: Path, more: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """All systems on images of one size, in turns."""
    more = {**more, "compared": options.agreement_images}
    pairs = [(system, precision) for precision in options.precisions for system in options.systems]
    children = [System(__file__, name, *pair, folder, part="inference", **more) for pair in pairs]
    take_turns(children, sorted(options.batches), name, options)  # peaks only grow
    rows = [row for batch_size in options.batches for row in rows_beside(children, batch_size, "torchvision")]
    return {"model": name, "rows": rows, "agreement": agreement(children)}


def learn(name: str, folder: Path, more: dict[str, Any], options: argparse.Namespace) -> list[dict[str, Any]]:
    """All systems on batches of images of one size, in turns."""
    more = {**more, "images": str(folder / "images.pt"), "part": "training"}
    systems = sorted(options.systems, key="torchvision".__eq__)  # the peer is the last
    return [
        {
            "model": name,
            "batch": batch,
            "rows": training_turns.take_turns(
                __file__,
                systems,
                options.precisions,
                turns=options.turns,
                steps=options.steps,
                about=f"{name}: training on batches of {batch}",
                batch=batch,
                **more,
            ),
        }
        for batch in options.batches
    ]


def agreement(children: list[System]) -> list[dict[str, Any]]:
    """What each finds of what attnkit finds in float32; nothing where that was not asked for."""
    import torch

    found = {(child.system, child.precision): torch.load(child.outputs, weights_only=True) for child in children}
    reference = found.get(("attnkit", "float32"))
    if reference is None:
        return []
    return [
        {"system": system, "precision": precision, **agrees(of_system, reference)}
        for (system, precision), of_system in found.items()
    ]


def agrees(found: list[dict[str, Any]], reference: list[dict[str, Any]]) -> dict[str, Any]:
    """How many detections of the reference are found, and how far these differ, over all images."""
    from torchvision.ops import box_iou

    same, expected = 0, 0
    furthest = dict.fromkeys(("boxes", "scores", "cells"), 0.0)
    for one, other in zip(found, reference, strict=True):
        expected += len(other["boxes"])
        overlap = box_iou(one["boxes"].float(), other["boxes"]) * (one["labels"][:, None] == other["labels"])
        if not len(overlap):
            continue
        best, which = overlap.max(dim=0)
        there = best >= OVERLAP
        same += int(there.sum())
        for name in furthest:
            apart = (one[name][which[there]].float() - other[name][there]).abs()
            furthest[name] = max(furthest[name], float(apart.max()) if len(apart) else 0.0)
    return {"detections": mean(len(one["boxes"]) for one in found), "same": same / max(1, expected), **furthest}


def said(row: dict[str, Any]) -> str:
    """How far a system agrees."""
    return (
        f"- {row['system']}, {row['precision']}: {row['detections']:.0f} detections of an image; {row['same']:.1%} of"
        f" what attnkit finds in float32 is among them, of the same class and with boxes that overlap by {OVERLAP:g} or"
        f" more; the corners of these differ by at most {row['boxes']:.1e} pixels, their scores by at most"
        f" {row['scores']:.1e}, and the cells of their masks by {row['cells']:.1e}"
    )


def report(facts: dict[str, Any]) -> str:
    about = (
        f"Mask R-CNN, ResNet-50, {CLASSES} classes, the same random weights for all. Median of {facts['turns']}"
        f" alternating turns of about {facts['images_per_turn']} images after one to warm up, slowest and fastest"
        f" beside it; each system in its own process. `{command()}`"
    )
    text = report_of(
        facts, "Detecting on a CPU", about, cpu_per="image", peer="torchvision", decimals=3, said=said
    ).rstrip()
    if facts["training"]:
        lines = [
            "",
            "## Training",
            "",
            f"{OBJECTS} objects on each image, plain batch norm, AdamW; turns of {facts['steps']} steps.",
            "",
            *training_turns.table(facts["training"], "torchvision"),
        ]
        text = "\n".join([text, *lines])
    return text + "\n"


def size_of(text: str) -> tuple[int, int]:
    """800x1088 as height and width."""
    sides = text.split("x")
    if len(sides) != 2 or not all(side.isdecimal() and int(side) and int(side) % _STRIDE == 0 for side in sides):
        raise argparse.ArgumentTypeError(f"{text}; expected HEIGHTxWIDTH, both multiples of {_STRIDE}")
    return int(sides[0]), int(sides[1])


def measure(size: tuple[int, int], options: argparse.Namespace) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Inference and training on images of one size."""
    import torch

    name = f"{size[0]}x{size[1]}"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        count = max(options.agreement_images, *options.batches)
        images = smooth_images(count, size=size, coarse_size=9)
        torch.save(images, folder / "images.pt")
        write_weights(folder / "weights.pt", images[:2])
        more = {"weights": str(folder / "weights.pt"), "threads": options.threads}
        print(f"{name}: weights written", file=sys.stderr, flush=True)
        found = [infer(name, folder, more, options)] if "inference" in options.parts else []
        return found, learn(name, folder, more, options) if "training" in options.parts else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=size_of, default=[(800, 1088), (480, 640)], metavar="HEIGHTxWIDTH")
    parser.add_argument("--parts", nargs="+", choices=["inference", "training"], default=["inference", "training"])
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=SYSTEMS[:2])
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=PRECISIONS)
    parser.add_argument("--steps", type=int, default=1, help="of a turn of training")
    add_options(parser, batches=[1, 2], images_per_turn=2, agreement_images=2)
    options = parser.parse_args()
    if options.work:
        work(options.work)
        return
    measured = [measure(size, options) for size in options.sizes]
    facts = {
        "date": date.today().isoformat(),
        "machine": machine(options.threads, "torch", "torchvision"),
        "turns": options.turns,
        "images_per_turn": options.images_per_turn,
        "steps": options.steps,
        "batches": options.batches,
        "results": [row for found, _ in measured for row in found],
        "training": [row for _, learned in measured for row in learned],
    }
    keep(options.out, "detection", facts, report(facts))


if __name__ == "__main__":
    main()

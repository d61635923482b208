"""How far does torchvision's maskrcnn_resnet50_fpn come on nuclei from scratch, in the minutes of attnkit's recipe?

It begins with fresh weights; all of its ResNet-50 is trained, with plain batch norm (nn.BatchNorm2d): that is how it
comes without weights. Images come by attnkit's own reader, varied and resized as the recipe
detection/mask_rcnn_swin_nano_nuclei says, so that only the networks differ, and how they are optimised;
trained_by_clock.py says how. torchvision's own resizing is left out therefore. The score is COCO's AP of boxes and of
masks on the validation images, with up to 500 detections of an image: there are no other images to be tested on, so
weights are chosen, and scored, on the same ones, as attnkit's are.

    ATTNKIT_DATA=... python benchmarks/nuclei_torchvision.py --minutes 90 --threads 2 --out nuclei_torchvision

Anchors are half as large as torchvision's, as the recipe's are, since nuclei are small; `--anchor-scale 8` gives its
own. Where bfloat16 is quicker, boxes and what they are made of stay in float32, which torchvision does not see to.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import asdict
from functools import partial
from typing import Any

import torch
from measured import keep
from torch import Tensor, nn
from torchvision.models.detection import maskrcnn_resnet50_fpn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from trained_by_clock import ClockTraining, Numbers, add_options, begin, rows_of, table

from attnkit.data.detection.config import DetectionAugmentConfig, DetectionImageConfig
from attnkit.data.detection.detection_batches import DetectionBatch, eval_detection, train_detection
from attnkit.data.images.batches import EvalBatches
from attnkit.data.open import OpenedData
from attnkit.metrics.coco_ap import CocoAp, CocoScores
from attnkit.recipe_file import load
from attnkit.recipes.detection.average_precision import found_of, truth_of
from attnkit.recipes.detection.recipe import DetectionRecipe
from attnkit.structures.detections import Detections
from attnkit.structures.image_objects import Kind
from attnkit.structures.objects import Objects

_KINDS: tuple[Kind, ...] = ("mask", "box")
_SHOWN = ("AP", "AP50", "AP75")
_STRIDES = (4, 8, 16, 32, 64)
"""Pixels of a cell of each level of the pyramid."""


class InFloat32(nn.Module):
    """A layer that boxes or classes come out of, in float32 even under autocast: torchvision brings boxes to the
    numbers of the offsets, and in bfloat16 a corner at 300 pixels would be rounded to two.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Any:
        """What the layer gives."""
        with torch.autocast(x.device.type, enabled=False):
            return self.layer(x.float())


class Network(nn.Module):
    """torchvision's Mask R-CNN for images that are resized and normalised already."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__()
        sizes = tuple((int(options.anchor_scale * stride),) for stride in _STRIDES)
        self.net = maskrcnn_resnet50_fpn(
            weights=None,
            weights_backbone=None,
            num_classes=2,  # and the background
            rpn_anchor_generator=AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * len(sizes)),
            box_detections_per_img=options.max_detections,
        )
        head = self.net.rpn.head
        head.cls_logits, head.bbox_pred = InFloat32(head.cls_logits), InFloat32(head.bbox_pred)
        self.net.roi_heads.box_predictor = InFloat32(self.net.roi_heads.box_predictor)

    def losses(self, batch: DetectionBatch) -> dict[str, Tensor]:
        """The terms of the loss by torchvision's names."""
        targets = [target(objects) for objects in batch.objects]
        maps = self.maps(batch)
        proposals, of_anchors = self.net.rpn(ImageList(batch.images, batch.sizes), maps, targets)
        _, of_regions = self.net.roi_heads(maps, proposals, batch.sizes, targets)
        return of_anchors | of_regions

    def detect(self, batch: DetectionBatch) -> list[Detections]:
        """What is on each image, in the pixels of its file."""
        maps = self.maps(batch)
        proposals, _ = self.net.rpn(ImageList(batch.images, batch.sizes), maps)
        found, _ = self.net.roi_heads(maps, proposals, batch.sizes)
        return [
            Detections(one["boxes"], one["scores"], one["labels"] - 1, one["masks"][:, 0].float()).scaled(
                (original[1] / size[1], original[0] / size[0])
            )
            for one, size, original in zip(found, batch.sizes, batch.originals, strict=True)
        ]

    def maps(self, batch: DetectionBatch) -> dict[str, Tensor]:
        """Those of the pyramid; anchors have the numbers that these are in."""
        return {level: x.float() for level, x in self.net.backbone(batch.images).items()}


def target(objects: Objects) -> dict[str, Tensor]:
    """The objects of an image in torchvision's form, whose class 0 is the background."""
    assert objects.masks is not None
    return {
        "boxes": objects.boxes,
        "labels": objects.labels + 1,
        "masks": objects.masks.bitmaps().to(torch.uint8),
    }


def main() -> None:
    options = parse()
    begin(options)
    recipe = load(options.recipe)
    assert isinstance(recipe, DetectionRecipe)
    train, valid = OpenedData(recipe.data)["train"], OpenedData(recipe.data)["valid"]
    assert train is not None
    assert valid is not None
    image, augment = sizes(recipe, options.short_side)
    common = {"batch_size": options.batch, "workers": options.workers}
    images = eval_detection(valid, image, **common)
    training = ClockTraining(
        options,
        Network(options),
        train_detection(train, image, augment, seed=options.seed, warn=print, **common),
        loss=loss,
        score=partial(shown_scores, images=images, most=options.max_detections),
    )
    if options.speed:
        print(json.dumps(training.speeds, indent=1))
        return
    training.resume()
    training.run()
    report(training, images, image, augment)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.set_defaults(minutes=90.0, batch=4, optimizer="adamw", lr=5e-4, weight_decay=0.05, clip_norm=5.0, ema=0.998)
    parser.add_argument("--recipe", default="detection/mask_rcnn_swin_nano_nuclei", help="whose images these are")
    parser.add_argument("--short-side", type=int, help="of an image, in place of the recipe's; other sizes go with it")
    parser.add_argument(
        "--anchor-scale", type=float, default=4.0, help="side of an anchor in cells; torchvision's is 8"
    )
    parser.add_argument("--max-detections", type=int, default=500)
    return parser.parse_args()


def sizes(recipe: DetectionRecipe, short_side: int | None) -> tuple[DetectionImageConfig, DetectionAugmentConfig]:
    """How images are shown: as the recipe says, or all in the same proportion larger or smaller."""
    image, augment = recipe.image, recipe.augment
    if short_side is None:
        return image, augment
    times = short_side / image.short_side
    drawn = augment.short_sides and tuple(round(times * side) for side in augment.short_sides)
    return (
        image.model_copy(update={"short_side": short_side, "long_side": math.ceil(times * image.long_side)}),
        augment.model_copy(update={"short_sides": drawn}),
    )


def loss(network: nn.Module, batch: DetectionBatch, numbers: Numbers) -> Tensor:
    """The sum of torchvision's terms."""
    assert isinstance(network, Network)
    with numbers.autocast():
        return torch.stack([term.float() for term in network.losses(batch).values()]).sum()


@torch.no_grad()
def scores(
    network: nn.Module,
    numbers: Numbers,
    *,
    images: EvalBatches[DetectionBatch],
    most: int,
    resamples: int | None = None,
) -> dict[Kind, CocoScores]:
    """Of all objects in the pixels of the files."""
    assert isinstance(network, Network)
    network.eval()
    aps = {kind: CocoAp(1, kind, most) for kind in _KINDS}
    for batch in images:
        with numbers.autocast():
            found = network.detect(numbers.shown(batch))
        for objects, size, one in zip(batch.objects, batch.originals, found, strict=True):
            truth, seen = truth_of(objects, masks=True), found_of(one.to("cpu"), size, mask_threshold=0.5)
            for ap in aps.values():
                ap.add(truth, seen)
    return {kind: ap.compute(resamples=resamples) for kind, ap in aps.items()}


def shown_scores(
    network: nn.Module, numbers: Numbers, *, images: EvalBatches[DetectionBatch], most: int
) -> dict[str, float]:
    """Those to watch; a network that finds nothing has 0."""
    found = scores(network, numbers, images=images, most=most, resamples=0)
    return {f"{kind} {name}": found[kind].means[name].value for kind in _KINDS for name in _SHOWN}


def report(
    training: ClockTraining,
    images: EvalBatches[DetectionBatch],
    image: DetectionImageConfig,
    augment: DetectionAugmentConfig,
) -> None:
    """Score the validation images by the best and by the last weights, and write what came out."""
    options = training.options
    scored = partial(scores, images=images, most=options.max_detections)
    best = scored(training.best_network(), training.numbers)
    last = scored(training.average, training.numbers, resamples=0)
    facts = training.facts("torch", "torchvision") | {
        "image": image.model_dump(mode="json"),
        "augment": augment.model_dump(mode="json"),
        "valid": {kind: {name: asdict(score) for name, score in best[kind].means.items()} for kind in _KINDS},
        "valid, last weights": {kind: last[kind].means["AP"].value for kind in _KINDS},
    }
    drawn = f", shorter sides of {', '.join(map(str, augment.short_sides))}" if augment.short_sides else ""
    rows = [
        *rows_of(facts, f"images{drawn}"),
        ("shown for scoring", f"shorter side {image.short_side}, longer one at most {image.long_side}"),
        ("anchors", f"{options.anchor_scale:g} cells"),
        ("detections of an image", f"up to {options.max_detections}"),
    ]
    for kind in reversed(_KINDS):
        ap = best[kind].means["AP"]
        rows.append((f"**{kind} AP**", f"**{ap.value:.2f}** ({ap.low:.2f} to {ap.high:.2f})"))
        rows += [(f"{kind} {name}", f"{best[kind].means[name].value:.2f}") for name in _SHOWN[1:]]
        rows.append((f"{kind} AP, last weights", f"{last[kind].means['AP'].value:.2f}"))
    title = f"Nuclei from scratch: torchvision maskrcnn_resnet50_fpn, {facts['date']}"
    keep(options.out, "nuclei_torchvision", facts, table(title, rows))


if __name__ == "__main__":
    main()

"""How far do other libraries' networks come on CamVid from scratch, in the same minutes and on the same images?

- lraspp: torchvision's LR-ASPP on MobileNetV3-Large.
- unet: the U-Net of segmentation_models.pytorch on a ResNet-18 (`pip install --no-deps segmentation-models-pytorch`).

Both begin with fresh weights. Images come by attnkit's own reader, varied as its recipes vary them, so that only the
networks differ, and how they are optimised; trained_by_clock.py says how. The score is the mean IoU of the 11 classes
from areas summed over the test images; void pixels do not count. It is that of the weights that were best on the
validation images.

    ATTNKIT_DATA=... python benchmarks/camvid_peers.py lraspp --minutes 45 --threads 1 --out lraspp

The state is kept every minute, and the same command goes on from there.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
import torch
from measured import keep
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad
from trained_by_clock import ClockTraining, Numbers, add_options, begin, rows_of, table

from attnkit.data.images.batches import EvalBatches
from attnkit.data.open import OpenedData
from attnkit.data.segmentation.config import MaskFilesConfig, SegmentationAugmentConfig, SegmentationImageConfig
from attnkit.data.segmentation.segmentation_batches import SegmentationBatch, eval_segmentation, train_segmentation
from attnkit.data.segmentation.segmentation_set import SegmentationSet, pixels_per_class
from attnkit.metrics.mean_iou import SegmentationCounts, SegmentationScores, iou_scores
from attnkit.structures.arrays import IGNORE

_CLASSES = ("Sky", "Building", "Pole", "Road", "Pavement", "Tree", "Sign", "Fence", "Car", "Pedestrian", "Bicyclist")
_DATA = MaskFilesConfig(format="mask_files", path="camvid/camvid.tar", classes=_CLASSES, ignore=(len(_CLASSES),))
_MOMENTUM = 0.1
"""Of batch norm's running statistics, torch's default. torchvision's MobileNetV3 has 0.01, which leaves them far behind
after some hundred steps: a network of 18 % mIoU by the statistics of its batches scored 2 %."""


@dataclass(frozen=True)
class Peer:
    """A network of another library, and how it is optimised unless one says otherwise."""

    title: str
    package: str
    optimizer: str
    lr: float
    weight_decay: float
    multiple: int
    """Of what height and width must be."""


PEERS = {
    "lraspp": Peer("torchvision lraspp_mobilenet_v3_large", "torchvision", "adamw", 2e-3, 1e-2, 1),
    "unet": Peer("segmentation_models.pytorch Unet, resnet18", "segmentation-models-pytorch", "adamw", 1e-3, 1e-2, 32),
}


class Network(nn.Module):
    """Logits of whole images, whatever the network wants of its input's size and calls its output."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.multiple = PEERS[name].multiple
        if name == "lraspp":
            from torchvision.models.segmentation import lraspp_mobilenet_v3_large

            self.net = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=len(_CLASSES))
        else:
            from segmentation_models_pytorch import Unet

            self.net = Unet("resnet18", encoder_weights=None, classes=len(_CLASSES))
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = _MOMENTUM

    def forward(self, images: Tensor) -> Tensor:
        """(B, K, H, W) of images (B, 3, H, W)."""
        height, width = images.shape[2:]
        logits = self.net(pad(images, [0, -width % self.multiple, 0, -height % self.multiple]))
        return (logits["out"] if isinstance(logits, dict) else logits)[:, :, :height, :width]


def main() -> None:
    options = parse()
    begin(options)
    train = OpenedData(_DATA)["train"]
    valid, test = OpenedData(_DATA)["valid"], OpenedData(_DATA)["test"]
    assert train is not None
    assert valid is not None
    assert test is not None
    image = SegmentationImageConfig(crop=tuple(options.crop))
    augment = SegmentationAugmentConfig(scale=tuple(options.scale), photometric=options.photometric)
    common = {"batch_size": options.batch, "workers": options.workers}
    weighed = options.class_weights != "none"
    weights = median_frequency(train).pow(options.class_weight_power).to(options.device) if weighed else None
    batches = train_segmentation(train, image, augment, seed=options.seed, warn=print, **common)
    scenes = eval_segmentation(valid, image, **common)
    training = ClockTraining(
        options,
        Network(options.peer),
        batches,
        loss=partial(loss, weights=weights),
        score=lambda network, numbers: {"valid miou": scores(network, numbers, scenes).means["miou"].value},
    )
    if options.speed:
        print(json.dumps(training.speeds, indent=1))
        return
    training.resume()
    training.run()
    report(training, eval_segmentation(test, image, **common))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", choices=PEERS)
    add_options(parser)
    parser.add_argument("--crop", type=int, nargs=2, default=[360, 480], metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--scale", type=float, nargs=2, default=[0.5, 2.0], metavar=("FROM", "TO"))
    parser.add_argument("--no-photometric", dest="photometric", action="store_false")
    parser.add_argument("--class-weights", choices=["none", "median_frequency"], default="none")
    parser.add_argument("--class-weight-power", type=float, default=1.0, help="the class weights to this power")
    options = parser.parse_args()
    peer = PEERS[options.peer]
    options.lr = options.lr or (peer.lr if options.optimizer in (None, peer.optimizer) else 0.02)
    options.weight_decay = peer.weight_decay if options.weight_decay is None else options.weight_decay
    options.optimizer = options.optimizer or peer.optimizer
    return options


def loss(network: nn.Module, batch: SegmentationBatch, numbers: Numbers, *, weights: Tensor | None) -> Tensor:
    """Cross entropy of the pixels that have a class."""
    with numbers.autocast():
        logits = network(batch.images)
    return cross_entropy(logits.float(), batch.labels, weights, ignore_index=IGNORE)


@torch.no_grad()
def scores(network: nn.Module, numbers: Numbers, scenes: EvalBatches[SegmentationBatch]) -> SegmentationScores:
    """From areas summed over all images."""
    network.eval()
    counts = SegmentationCounts(len(_CLASSES), ignore=IGNORE)
    for batch in scenes:
        with numbers.autocast():
            classes = network(numbers.shown(batch).images).argmax(1).to(torch.uint8).cpu()
        for labels, found in zip(batch.labels.to(torch.uint8).numpy(), classes.numpy(), strict=True):
            counts.add(labels, found)
    return iou_scores(counts)


def median_frequency(data: SegmentationSet) -> Tensor:
    """A weight for each class: how common classes are in the images that they are in, the median over this one.

    Source: Eigen and Fergus 2015, arXiv:1411.4734, section 6.3.2.
    """
    counts = np.stack([pixels_per_class(data.read_labels(index), len(_CLASSES)) for index in range(len(data))])
    there = np.where(counts > 0, counts.sum(1, keepdims=True), 0).sum(0)
    frequency = counts.sum(0) / there
    return torch.from_numpy(np.median(frequency) / frequency).float()


def report(training: ClockTraining, test: EvalBatches[SegmentationBatch]) -> None:
    """Score the test images by the best and by the last weights, and write what came out."""
    options, peer = training.options, PEERS[training.options.peer]
    last = scores(training.average, training.numbers, test)
    best = scores(training.best_network(), training.numbers, test)
    packages = ("torch", "torchvision", *((peer.package,) if peer.package != "torchvision" else ()))
    facts = training.facts(*packages) | {
        "peer": asdict(peer),
        "best valid miou": round(training.best, 2),
        "test": {name: asdict(score) for name, score in best.means.items()},
        "test iou by class": dict(zip(_CLASSES, [round(float(iou), 2) for iou in best.iou], strict=True)),
        "test miou of the last weights": round(last.means["miou"].value, 2),
    }
    miou = best.means["miou"]
    rows = [
        *rows_of(facts, f"x {options.crop[0]}x{options.crop[1]}"),
        ("class weights", f"{options.class_weights} to the power of {options.class_weight_power:g}"),
        ("best valid mIoU", facts["best valid miou"]),
        ("**test mIoU**", f"**{miou.value:.2f}** ({miou.low:.2f} to {miou.high:.2f})"),
        ("test mIoU, last weights", facts["test miou of the last weights"]),
        ("test pixel accuracy", f"{best.means['aacc'].value:.2f}"),
        *[(f"IoU {name}", iou) for name, iou in facts["test iou by class"].items()],
    ]
    title = f"CamVid from scratch: {peer.title}, {facts['date']}"
    keep(options.out, f"camvid_{options.peer}", facts, table(title, rows))


if __name__ == "__main__":
    main()

"""How far do other libraries' networks come on CamVid from scratch, in the same minutes and on the same images?

- lraspp: torchvision's LR-ASPP on MobileNetV3-Large.
- unet: the U-Net of segmentation_models.pytorch on a ResNet-18 (`pip install --no-deps segmentation-models-pytorch`).

Both begin with fresh weights. Images come by attnkit's own reader, varied as its recipes vary them, so that only the
networks differ, and how they are optimised. The learning rate follows the clock, so that the schedule ends with the
minutes, which count validation as attnkit's do. float32 or bfloat16, and either layout of the channels: whichever makes
the quickest steps here, which is measured first. The score is the mean IoU of the 11 classes from areas summed over
the test images; void pixels do not count. It is that of the weights that were best on the validation images.

    ATTNKIT_DATA=... python benchmarks/camvid_peers.py lraspp --minutes 45 --threads 1 --out lraspp

The state is kept every minute, and the same command goes on from there.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measured import keep, machine
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad

from attnkit.data.config import MaskFilesConfig, SceneAugmentConfig, SceneConfig
from attnkit.data.segmentation.segmentation_batches import EvalScenes, SegmentationBatch, TrainScenes
from attnkit.data.segmentation.segmentation_set import IGNORE, SegmentationSet, open_segmentation, pixels_per_class
from attnkit.engine.memory import keep_pages
from attnkit.metrics.mean_iou import SegmentationCounts, SegmentationScores, iou_scores

_CLASSES = ("Sky", "Building", "Pole", "Road", "Pavement", "Tree", "Sign", "Fence", "Car", "Pedestrian", "Bicyclist")
_DATA = MaskFilesConfig(format="mask_files", path="camvid/camvid.tar", classes=_CLASSES, ignore=(len(_CLASSES),))
_MOMENTUM = 0.1
"""Of batch norm's running statistics, torch's default. torchvision's MobileNetV3 has 0.01, which leaves them far behind
after some hundred steps: a network of 18 % mIoU by the statistics of its batches scored 2 %."""
_SAY_EVERY, _SAVE_EVERY = 30.0, 60.0
"""Seconds."""


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
    os.environ.setdefault("OMP_NUM_THREADS", str(options.threads))
    torch.set_num_threads(options.threads)
    keep_pages()
    torch.manual_seed(options.seed)
    train = open_segmentation(_DATA, "train")
    valid, test = open_segmentation(_DATA, "valid"), open_segmentation(_DATA, "test")
    assert train is not None
    assert valid is not None
    assert test is not None
    training = Training(options, train, valid)
    if options.speed:
        print(json.dumps(training.speeds, indent=1))
        return
    training.resume()
    training.run()
    report(training, EvalScenes(test, training.image, batch_size=options.batch, workers=options.workers))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("--minutes", type=float, default=45.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=0, help="processes that read images beside the training")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--crop", type=int, nargs=2, default=[360, 480], metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--scale", type=float, nargs=2, default=[0.5, 2.0], metavar=("FROM", "TO"))
    parser.add_argument("--no-photometric", dest="photometric", action="store_false")
    parser.add_argument("--class-weights", choices=["none", "median_frequency"], default="none")
    parser.add_argument("--optimizer", choices=["adamw", "sgd"])
    parser.add_argument("--lr", type=float)
    parser.add_argument("--weight-decay", type=float)
    parser.add_argument("--schedule", choices=["poly", "cosine"], default="poly", help="poly: power 0.9")
    parser.add_argument("--warm-up", type=float, default=0.03, help="share of the time in which the rate rises")
    parser.add_argument("--ema", type=float, default=0.0, help="decay of an average of the weights; 0 is none")
    parser.add_argument("--precision", choices=["auto", "float32", "bfloat16"], default="auto")
    parser.add_argument("--validations", type=int, default=8, help="how often, evenly over the time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--speed", action="store_true", help="measure steps, and train nothing")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    peer = PEERS[options.peer]
    options.lr = options.lr or (peer.lr if options.optimizer in (None, peer.optimizer) else 0.02)
    options.weight_decay = peer.weight_decay if options.weight_decay is None else options.weight_decay
    options.optimizer = options.optimizer or peer.optimizer
    return options


class Training:
    """A network on its way through the minutes."""

    def __init__(self, options: argparse.Namespace, train: SegmentationSet, valid: SegmentationSet) -> None:
        self.options, self.device = options, torch.device(options.device)
        self.image = SceneConfig(crop=tuple(options.crop))
        augment = SceneAugmentConfig(scale=tuple(options.scale), photometric=options.photometric)
        common = {"batch_size": options.batch, "workers": options.workers}
        self.train = TrainScenes(train, self.image, augment, seed=options.seed, warn=print, **common)
        self.valid = EvalScenes(valid, self.image, **common)
        self.weights = median_frequency(train).to(self.device) if options.class_weights != "none" else None
        options.out.mkdir(parents=True, exist_ok=True)
        self.state_file, self.log_file = options.out / "state.pt", options.out / "log.jsonl"
        self.network = Network(options.peer).to(self.device)
        self.step = self.epoch = self.batch = 0
        self.seconds, self.best, self.history = 0.0, -1.0, list[dict[str, Any]]()
        kept = json.loads(speeds.read_text()) if (speeds := options.out / "speeds.json").is_file() else None
        self.speeds = kept or self.measured()
        speeds.write_text(json.dumps(self.speeds))
        self.precision, self.layout = max(self.speeds, key=self.speeds.__getitem__).split()
        if self.layout == "channels_last":
            self.network.to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.network).requires_grad_(False) if options.ema else self.network
        self.best_weights = copy.deepcopy(self.network.state_dict())
        self.optimizer = self.new_optimizer(self.network)

    def measured(self) -> dict[str, float]:
        """Images per second by precision and layout; loading is not part of it. It leaves no trace in the network.

        One thread is timed by the processor's seconds, which mind less what else the machine does.
        """
        clock = time.process_time if self.options.threads == 1 and self.device.type == "cpu" else time.perf_counter
        batch = next(self.train.batches(0))
        asked = self.options.precision
        precisions = ["float32", "bfloat16"] if asked == "auto" else [asked]
        speeds = {}
        for layout in ("contiguous", "channels_last"):
            for precision in precisions:
                network = copy.deepcopy(self.network)
                if layout == "channels_last":
                    network.to(memory_format=torch.channels_last)
                optimizer, seconds = self.new_optimizer(network), []
                for _ in range(4):
                    started = clock()
                    self.learn(network, optimizer, batch, precision, layout)
                    seconds.append(clock() - started)
                speeds[f"{precision} {layout}"] = round(len(batch) / min(seconds[1:]), 3)
        return speeds

    def new_optimizer(self, network: nn.Module) -> torch.optim.Optimizer:
        """Decay for matrices and kernels alone."""
        groups = [
            {"params": [p for p in network.parameters() if p.ndim > 1], "weight_decay": self.options.weight_decay},
            {"params": [p for p in network.parameters() if p.ndim <= 1], "weight_decay": 0.0},
        ]
        if self.options.optimizer == "sgd":
            return torch.optim.SGD(groups, lr=self.options.lr, momentum=0.9)
        return torch.optim.AdamW(groups, lr=self.options.lr, fused=True)

    def learn(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        batch: SegmentationBatch,
        precision: str,
        layout: str,
    ) -> float:
        """One step; its loss."""
        network.train()
        batch = batch.to(self.device)
        with self.autocast(precision):
            logits = network(laid(batch.images, layout))
        loss = cross_entropy(logits.float(), batch.labels, self.weights, ignore_index=IGNORE)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    def autocast(self, precision: str) -> torch.autocast:
        """Where forward passes run."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16")

    def run(self) -> None:
        """Train until the minutes are over."""
        budget, options = 60 * self.options.minutes, self.options
        before, started = self.seconds, time.perf_counter()
        said = saved = started
        losses: list[float] = []
        due = len(self.history) + 1
        for batch in self.forever():
            spent = self.seconds / budget
            for group in self.optimizer.param_groups:
                group["lr"] = options.lr * rate(spent, options)
            losses.append(self.learn(self.network, self.optimizer, batch, self.precision, self.layout))
            self.step += 1
            self.follow()
            now = time.perf_counter()
            self.seconds = before + now - started
            if now - said >= _SAY_EVERY:
                self.say(losses, now - said)
                losses, said = [], now
            if self.seconds >= due * budget / options.validations and self.seconds < budget:
                self.validate()
                due += 1
                said, self.seconds = time.perf_counter(), before + time.perf_counter() - started
            if self.seconds >= budget:
                break
            if now - saved >= _SAVE_EVERY:
                self.save()
                saved = now
        if len(self.history) < options.validations or not self.history[-1].get("last"):
            self.validate(last=True)
        self.save()

    def forever(self) -> Iterator[SegmentationBatch]:
        """Batches from where it stands until the time is over."""
        while self.seconds < 60 * self.options.minutes:
            for batch in self.train.batches(self.epoch, start=self.batch):
                self.batch += 1
                yield batch
            self.epoch, self.batch = self.epoch + 1, 0

    @torch.no_grad()
    def follow(self) -> None:
        """Move the average, quickly at first."""
        if self.average is self.network:
            return
        decay = min(self.options.ema, (1 + self.step) / (10 + self.step))
        for kept, new in zip(self.average.state_dict().values(), self.network.state_dict().values(), strict=True):
            if kept.is_floating_point():
                kept.lerp_(new, 1 - decay)
            else:
                kept.copy_(new)

    def say(self, losses: list[float], seconds: float) -> None:
        """How far it is, from the steps of so many seconds."""
        facts = {
            "minutes": round(self.seconds / 60, 2),
            "step": self.step,
            "epoch": round(self.epoch + self.batch / self.train.batches_per_epoch, 2),
            "lr": float(f"{self.optimizer.param_groups[0]['lr']:.3g}"),
            "loss": round(float(np.mean(losses)), 4),
            "images/s": round(len(losses) * self.options.batch / seconds, 2),
        }
        self.log(facts)

    def log(self, facts: dict[str, Any]) -> None:
        """Print it, and keep it."""
        print("  ".join(f"{name} {value}" for name, value in facts.items()), flush=True)
        with self.log_file.open("a") as file:
            file.write(json.dumps(facts) + "\n")

    def validate(self, *, last: bool = False) -> None:
        """Score the validation images, and keep the weights if they are the best."""
        miou = self.scores(self.average, self.valid).means["miou"].value
        if miou > self.best:
            self.best, self.best_weights = miou, copy.deepcopy(self.average.state_dict())
        facts = {"minutes": round(self.seconds / 60, 2), "step": self.step, "valid miou": round(miou, 2), "last": last}
        self.history.append(facts)
        self.log(facts)

    @torch.no_grad()
    def scores(self, network: nn.Module, scenes: EvalScenes) -> SegmentationScores:
        """From areas summed over all images."""
        network.eval()
        counts = SegmentationCounts(len(_CLASSES), ignore=IGNORE)
        for batch in scenes:
            with self.autocast(self.precision):
                classes = network(laid(batch.images.to(self.device), self.layout)).argmax(1).to(torch.uint8).cpu()
            for labels, found in zip(batch.labels.to(torch.uint8).numpy(), classes.numpy(), strict=True):
                counts.add(labels, found)
        return iou_scores(counts)

    def save(self) -> None:
        """Keep all that going on needs; a kill while it is written does no harm."""
        names = ("step", "epoch", "batch", "seconds", "best", "history", "best_weights")
        state = {name: getattr(self, name) for name in names}
        state |= {name: getattr(self, name).state_dict() for name in ("network", "average", "optimizer")}
        unfinished = self.state_file.with_suffix(".part")
        torch.save(state, unfinished)
        unfinished.replace(self.state_file)

    def resume(self) -> None:
        """Go on from what was kept, if anything was."""
        if not self.state_file.is_file():
            return
        state = torch.load(self.state_file, weights_only=True, map_location=self.device)
        for name, value in state.items():
            if name in ("network", "average", "optimizer"):
                getattr(self, name).load_state_dict(value)
            else:
                setattr(self, name, value)
        print(f"going on at step {self.step}, after {self.seconds / 60:.1f} minutes", flush=True)


def laid(images: Tensor, layout: str) -> Tensor:
    return images.contiguous(memory_format=torch.channels_last) if layout == "channels_last" else images


def rate(spent: float, options: argparse.Namespace) -> float:
    """Of the peak: a rise, then down to nothing, by the share of the time that is spent."""
    if spent < options.warm_up:
        return max(spent / options.warm_up, 1e-3)
    left = max(0.0, 1 - (spent - options.warm_up) / (1 - options.warm_up))
    return left**0.9 if options.schedule == "poly" else 0.5 - 0.5 * math.cos(math.pi * left)


def median_frequency(data: SegmentationSet) -> Tensor:
    """A weight for each class: how common classes are in the images that they are in, the median over this one.

    Source: Eigen and Fergus 2015, arXiv:1411.4734, section 6.3.2.
    """
    counts = np.stack([pixels_per_class(data.read_labels(index), len(_CLASSES)) for index in range(len(data))])
    there = np.where(counts > 0, counts.sum(1, keepdims=True), 0).sum(0)
    frequency = counts.sum(0) / there
    return torch.from_numpy(np.median(frequency) / frequency).float()


def report(training: Training, test: EvalScenes) -> None:
    """Score the test images by the best and by the last weights, and write what came out."""
    options, peer = training.options, PEERS[training.options.peer]
    last = training.scores(training.average, test)
    network = copy.deepcopy(training.average)
    network.load_state_dict(training.best_weights)
    best = training.scores(network, test)
    packages = ("torch", "torchvision", *((peer.package,) if peer.package != "torchvision" else ()))
    facts = {
        "date": date.today().isoformat(),
        **machine(options.threads, *packages),
        "peer": asdict(peer),
        "options": {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()},
        "parameters": sum(p.numel() for p in network.parameters()),
        "images per second, by what": training.speeds,
        "chosen": f"{training.precision} {training.layout}",
        "minutes": round(training.seconds / 60, 2),
        "steps": training.step,
        "epochs": round(training.epoch + training.batch / training.train.batches_per_epoch, 1),
        "valid miou": training.history,
        "best valid miou": round(training.best, 2),
        "test": {name: asdict(score) for name, score in best.means.items()},
        "test iou by class": dict(zip(_CLASSES, [round(float(iou), 2) for iou in best.iou], strict=True)),
        "test miou of the last weights": round(last.means["miou"].value, 2),
    }
    keep(options.out, f"camvid_{options.peer}", facts, table(facts, peer))


def table(facts: dict[str, Any], peer: Peer) -> str:
    options, miou = facts["options"], facts["test"]["miou"]
    rows = [
        ("parameters", f"{facts['parameters']:,}"),
        ("minutes", f"{facts['minutes']}, {facts['threads']} threads, {facts['cpu']}"),
        ("steps", f"{facts['steps']:,} of {options['batch']} x {options['crop'][0]}x{options['crop'][1]}"),
        ("epochs", facts["epochs"]),
        ("optimizer", f"{options['optimizer']}, {options['lr']:g}, decay {options['weight_decay']:g}"),
        ("schedule", f"{options['schedule']} by the clock, warm-up {options['warm_up']:.0%}, EMA {options['ema']:g}"),
        ("class weights", options["class_weights"]),
        ("numbers", facts["chosen"]),
        ("best valid mIoU", facts["best valid miou"]),
        ("**test mIoU**", f"**{miou['value']:.2f}** ({miou['low']:.2f} to {miou['high']:.2f})"),
        ("test mIoU, last weights", facts["test miou of the last weights"]),
        ("test pixel accuracy", f"{facts['test']['aacc']['value']:.2f}"),
        *[(f"IoU {name}", iou) for name, iou in facts["test iou by class"].items()],
    ]
    lines = [f"# CamVid from scratch: {peer.title}, {facts['date']}", "", "| | |", "| --- | --- |"]
    return "\n".join([*lines, *[f"| {name} | {value} |" for name, value in rows], ""])


if __name__ == "__main__":
    main()

"""What the scripts share that train another library's network from scratch for so many minutes on attnkit's images.

The learning rate follows the clock, so that the schedule ends with the minutes, which count validation as attnkit's do.
float32 or bfloat16, and either layout of the channels: whichever makes the quickest steps here, which is measured
first. The state is kept every minute, and the same command goes on from there.

A script says which network, what its loss is, and how it is scored.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measured import machine
from torch import Tensor, nn

from attnkit.engine.memory import keep_pages

_SAY_EVERY, _SAVE_EVERY = 30.0, 60.0
"""Seconds."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """What all these scripts can be told; `set_defaults` gives the learning rate and what else is a script's own."""
    parser.add_argument("--minutes", type=float, default=45.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=0, help="processes that read images beside the training")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--optimizer", choices=["adamw", "sgd"])
    parser.add_argument("--lr", type=float)
    parser.add_argument("--weight-decay", type=float)
    parser.add_argument("--clip-norm", type=float, default=0.0, help="of the gradient; 0 is no bound")
    parser.add_argument("--schedule", choices=["poly", "cosine"], default="poly", help="poly: power 0.9")
    parser.add_argument("--warm-up", type=float, default=0.03, help="share of the time in which the rate rises")
    parser.add_argument("--ema", type=float, default=0.0, help="decay of an average of the weights; 0 is none")
    parser.add_argument("--precision", choices=["auto", "float32", "bfloat16"], default="auto")
    parser.add_argument("--validations", type=int, default=8, help="how often, evenly over the time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--speed", action="store_true", help="measure steps, and train nothing")
    parser.add_argument("--device", default="cpu")


def begin(options: argparse.Namespace) -> None:
    """Set what is set once in a process."""
    os.environ.setdefault("OMP_NUM_THREADS", str(options.threads))
    torch.set_num_threads(options.threads)
    keep_pages()
    torch.manual_seed(options.seed)


@dataclass(frozen=True)
class Numbers:
    """What a network computes in."""

    precision: str
    layout: str
    """Of the channels."""
    device: torch.device

    def __str__(self) -> str:
        return f"{self.precision} {self.layout}"

    def autocast(self) -> torch.autocast:
        """Where forward passes run."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bfloat16")

    def shown(self, batch: Any) -> Any:
        """A batch on the device, its images laid out."""
        batch = batch.to(self.device)
        return replace(batch, images=batch.images.contiguous(memory_format=self._format))

    def fit(self, network: nn.Module) -> nn.Module:
        """The network, changed to the layout."""
        return network.to(self.device, memory_format=self._format)

    @property
    def _format(self) -> torch.memory_format:
        return torch.channels_last if self.layout == "channels_last" else torch.contiguous_format


Loss = Callable[[nn.Module, Any, Numbers], Tensor]
"""Of a network on a batch that is shown to it."""
Score = Callable[[nn.Module, Numbers], Mapping[str, float]]
"""Of a network on the validation images, by name; the first number says which weights are best."""


class ClockTraining:
    """A network on its way through the minutes."""

    def __init__(
        self, options: argparse.Namespace, network: nn.Module, train: Any, *, loss: Loss, score: Score
    ) -> None:
        """Measure in what the steps are quickest, unless that was done before.

        Args:
            options: those of `add_options`.
            network: with fresh weights.
            train: the batches of each epoch, as attnkit's own trainings have them.
            loss: of a batch.
            score: of the validation images.
        """
        self.options, self.train, self._loss, self._score = options, train, loss, score
        options.out.mkdir(parents=True, exist_ok=True)
        self.state_file, self.log_file = options.out / "state.pt", options.out / "log.jsonl"
        self.network = network.to(options.device)
        self.step = self.epoch = self.batch = 0
        self.seconds, self.best, self.history = 0.0, -1.0, list[dict[str, Any]]()
        kept = json.loads(speeds.read_text()) if (speeds := options.out / "speeds.json").is_file() else None
        self.speeds: dict[str, float] = kept or self.measured()
        speeds.write_text(json.dumps(self.speeds))
        self.numbers = self._numbers(*max(self.speeds, key=self.speeds.__getitem__).split())
        self.numbers.fit(self.network)
        self.average = copy.deepcopy(self.network).requires_grad_(False) if options.ema else self.network
        self.best_weights = copy.deepcopy(self.network.state_dict())
        self.optimizer = self.new_optimizer(self.network)

    def _numbers(self, precision: str, layout: str) -> Numbers:
        return Numbers(precision, layout, torch.device(self.options.device))

    def measured(self) -> dict[str, float]:
        """Images per second by precision and layout; loading is not part of it. It leaves no trace in the network.

        One thread is timed by the processor's seconds, which mind less what else the machine does.
        """
        alone = self.options.threads == 1 and torch.device(self.options.device).type == "cpu"
        clock = time.process_time if alone else time.perf_counter
        batch = next(self.train.batches(0))
        asked = self.options.precision
        precisions = ["float32", "bfloat16"] if asked == "auto" else [asked]
        speeds = {}
        for layout in ("contiguous", "channels_last"):
            for precision in precisions:
                numbers = self._numbers(precision, layout)
                network = numbers.fit(copy.deepcopy(self.network))
                optimizer, seconds = self.new_optimizer(network), []
                for _ in range(4):
                    started = clock()
                    self.learn(network, optimizer, batch, numbers)
                    seconds.append(clock() - started)
                speeds[str(numbers)] = round(len(batch) / min(seconds[1:]), 3)
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

    def learn(self, network: nn.Module, optimizer: torch.optim.Optimizer, batch: Any, numbers: Numbers) -> float:
        """One step; its loss."""
        network.train()
        loss = self._loss(network, numbers.shown(batch), numbers)
        loss.backward()
        if self.options.clip_norm:
            nn.utils.clip_grad_norm_(network.parameters(), self.options.clip_norm)
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    def run(self) -> None:
        """Train until the minutes are over."""
        budget, options = 60 * self.options.minutes, self.options
        before, started = self.seconds, time.perf_counter()
        said = saved = started
        losses: list[float] = []
        due = len(self.history) + 1
        for batch in self.forever():
            for group in self.optimizer.param_groups:
                group["lr"] = options.lr * rate(self.seconds / budget, options)
            losses.append(self.learn(self.network, self.optimizer, batch, self.numbers))
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
                losses, said = [], time.perf_counter()
                self.seconds = before + said - started
            if self.seconds >= budget:
                break
            if now - saved >= _SAVE_EVERY:
                self.save()
                saved = now
        if not self.history or self.history[-1]["step"] != self.step:
            self.validate()
        self.save()

    def forever(self) -> Iterator[Any]:
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

    def validate(self) -> None:
        """Score the validation images, and keep the weights if they are the best."""
        scores = self._score(self.average, self.numbers)
        first = next(iter(scores.values()))
        if first > self.best:
            self.best, self.best_weights = first, copy.deepcopy(self.average.state_dict())
        rounded = {name: round(score, 2) for name, score in scores.items()}
        facts = {"minutes": round(self.seconds / 60, 2), "step": self.step, **rounded}
        self.history.append(facts)
        self.log(facts)

    def best_network(self) -> nn.Module:
        """The network with the weights that were best on the validation images."""
        network = copy.deepcopy(self.average)
        network.load_state_dict(self.best_weights)
        return network

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
        state = torch.load(self.state_file, weights_only=True, map_location=self.options.device)
        for name, value in state.items():
            if name in ("network", "average", "optimizer"):
                getattr(self, name).load_state_dict(value)
            else:
                setattr(self, name, value)
        print(f"going on at step {self.step}, after {self.seconds / 60:.1f} minutes", flush=True)

    def facts(self, *packages: str) -> dict[str, Any]:
        """What every report says of a training.

        Args:
            packages: whose versions belong to it.
        """
        options = vars(self.options)
        return {
            "date": date.today().isoformat(),
            **machine(self.options.threads, *packages),
            "options": {name: str(value) if isinstance(value, Path) else value for name, value in options.items()},
            "parameters": sum(p.numel() for p in self.network.parameters()),
            "images per second, by what": self.speeds,
            "chosen": str(self.numbers),
            "minutes": round(self.seconds / 60, 2),
            "steps": self.step,
            "epochs": round(self.epoch + self.batch / self.train.batches_per_epoch, 1),
            "history": self.history,
        }


def rate(spent: float, options: argparse.Namespace) -> float:
    """Of the peak: a rise, then down to nothing, by the share of the time that is spent."""
    if spent < options.warm_up:
        return max(spent / options.warm_up, 1e-3)
    left = max(0.0, 1 - (spent - options.warm_up) / (1 - options.warm_up))
    return left**0.9 if options.schedule == "poly" else 0.5 - 0.5 * math.cos(math.pi * left)


def rows_of(facts: dict[str, Any], images: str) -> list[tuple[str, Any]]:
    """The rows of a report's table that say how a network was trained.

    Args:
        facts: what is kept.
        images: in what size, in words.
    """
    options = facts["options"]
    clipped = f", gradients up to {options['clip_norm']:g}" if options["clip_norm"] else ""
    return [
        ("parameters", f"{facts['parameters']:,}"),
        ("minutes", f"{facts['minutes']}, {facts['threads']} threads, {facts['cpu']}"),
        ("steps", f"{facts['steps']:,} of {options['batch']} {images}"),
        ("epochs", facts["epochs"]),
        ("optimizer", f"{options['optimizer']}, {options['lr']:g}, decay {options['weight_decay']:g}{clipped}"),
        ("schedule", f"{options['schedule']} by the clock, warm-up {options['warm_up']:.0%}, EMA {options['ema']:g}"),
        ("numbers", facts["chosen"]),
    ]


def table(title: str, rows: list[tuple[str, Any]]) -> str:
    """A report: a title and two columns."""
    lines = [f"# {title}", "", "| | |", "| --- | --- |"]
    return "\n".join([*lines, *[f"| {name} | {value} |" for name, value in rows], ""])

"""What the scripts that time inference on images share: systems that take turns on the same images, what is kept of
their turns, and how far their logits agree where they have any.

A system is attnkit or a peer in one precision, at work in a process of its own, so that whatever else the machine does
meets all alike. A script says which models and systems there are, and what it asks of their outputs.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from measured import Child, peak_mib, questions

# the child process


def prepared(make: Callable[[], Any], precision: str) -> Any:
    """The model of attnkit as its commands run it: made once the way with memory is set."""
    from attnkit.engine.memory import keep_pages
    from attnkit.models.kernels.inference import prepare_for_inference

    keep_pages()
    return prepare_for_inference(make(), precision=precision)


def start(order: dict[str, Any], systems: Mapping[str, Callable[[str, str], Any]]) -> tuple[Any, Any]:
    """The ordered system as a function from images in float32 to logits, and all images."""
    import torch

    torch.set_num_threads(order["threads"])
    torch.set_grad_enabled(False)
    model = systems[order["system"]](order["model"], order["precision"])
    dtype = torch.float32 if order["system"] == "attnkit" else getattr(torch, order["precision"])

    @torch.inference_mode()
    def predict(batch: Any) -> Any:
        return model(batch.to(dtype))

    return predict, torch.load(order["images"], weights_only=True)


def answer_turns(answer: Callable[[dict[str, Any]], None], predict: Callable[[Any], Any], images: Any) -> None:
    """Say that all is ready, and then time what the parent asks for: some calls with a batch of some size."""
    answer({"peak_mib": peak_mib()})
    for batch_size, calls in questions():
        batch = images[:batch_size]
        started, cpu_started = time.perf_counter(), time.process_time()
        for _ in range(calls):
            predict(batch)
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
        answer({"seconds": seconds / calls, "cpu_seconds": cpu_seconds / calls, "peak_mib": peak_mib()})


# the parent process


class System(Child):
    """A system at work in its own process."""

    def __init__(self, script: str, model: str, system: str, precision: str, folder: Path, **more: Any) -> None:
        """Start it; `folder` holds the images and gets the outputs, and `more` is of the order, `threads` at least."""
        self.system, self.precision = system, precision
        self.outputs = folder / f"{model}_{system}_{precision}.pt"
        order = {
            "system": system,
            "model": model,
            "precision": precision,
            "images": str(folder / "images.pt"),
            "outputs": str(self.outputs),
            **more,
        }
        super().__init__(f"{system}, {precision}", script, order)
        self.turns: dict[int, list[dict[str, float]]] = {}

    def turn(self, batch_size: int, calls: int) -> None:
        """Let it predict so many batches."""
        self.turns.setdefault(batch_size, []).append(self.ask([batch_size, calls]))

    def speeds(self, batch_size: int) -> list[float]:
        """Images per second, turn by turn."""
        return [batch_size / turn["seconds"] for turn in self.turns[batch_size]]

    def row(self, batch_size: int) -> dict[str, Any]:
        """Its turns in a few numbers; CPU seconds are those of a batch, and peak memory is after the last one."""
        speeds, turns = self.speeds(batch_size), self.turns[batch_size]
        return {
            "batch": batch_size,
            "system": self.system,
            "precision": self.precision,
            "images_per_second": median(speeds),
            "slowest": min(speeds),
            "fastest": max(speeds),
            "cpu_seconds": median(turn["cpu_seconds"] for turn in turns),
            "peak_mib": turns[-1]["peak_mib"],
            "turns": speeds,
        }

    def beside(self, peer: System, batch_size: int) -> dict[str, float]:
        """By how much it is faster than a peer, turn by turn."""
        pairs = zip(self.speeds(batch_size), peer.speeds(batch_size), strict=True)
        ratios = [mine / theirs for mine, theirs in pairs]
        return {"median": median(ratios), "least": min(ratios), "most": max(ratios)}


def take_turns(children: list[System], batches: Iterable[int], model: str, options: argparse.Namespace) -> None:
    """All systems on one model, each turn in the other order; then they end."""
    for batch_size in batches:
        calls = max(1, options.images_per_turn // batch_size)
        for turn in range(options.turns + 1):
            for child in children[:: 1 if turn % 2 == 0 else -1]:
                child.turn(batch_size, calls)
        for child in children:
            del child.turns[batch_size][0]  # to warm up
        print(f"{model}: batches of {batch_size} done", file=sys.stderr, flush=True)
    for child in children:
        child.close()


def rows_beside(children: list[System], batch_size: int, peer: str) -> list[dict[str, Any]]:
    """Each system in a few numbers, per image, and by how much it is faster than a peer in float32."""
    theirs = next((child for child in children if (child.system, child.precision) == (peer, "float32")), None)
    rows = []
    for child in children:
        row = child.row(batch_size)
        row["cpu_seconds"] /= batch_size
        if theirs is not None:
            row["beside"] = child.beside(theirs, batch_size)
        rows.append(row)
    return rows


def smooth_images(count: int, *, size: tuple[int, int], coarse_size: int) -> Any:
    """Random colours that change slowly, and some noise; `size` is height and width."""
    import torch
    from torch.nn import functional as F

    generator = torch.Generator().manual_seed(2)
    coarse = torch.randn(count, 3, coarse_size, coarse_size, generator=generator)
    fine = torch.randn(count, 3, *size, generator=generator)
    return F.interpolate(coarse, size=size, mode="bicubic") + 0.2 * fine


def agreement(children: list[System], same: str) -> list[dict[str, Any]]:
    """What each says beside attnkit in float32; `same` names how often the class is the same."""
    import torch

    logits = {(child.system, child.precision): torch.load(child.outputs, weights_only=True) for child in children}
    reference = logits.get(("attnkit", "float32"), next(iter(logits.values())))
    return [
        {
            "system": system,
            "precision": precision,
            same: float((found.argmax(1) == reference.argmax(1)).float().mean()),
            "difference": float((found - reference).abs().max()),
            "spread": float(reference.std(dim=1).mean()),
        }
        for (system, precision), found in logits.items()
    ]


# the report and the options


def report_of(
    facts: dict[str, Any],
    title: str,
    about: str,
    *,
    cpu_per: str,
    peer: str,
    decimals: int,
    said: Callable[[dict[str, Any]], str],
) -> str:
    """What was measured, in words and tables.

    Args:
        facts: what is kept.
        title: what was done.
        about: on what, and how.
        cpu_per: what CPU seconds are of.
        peer: what the systems stand beside.
        decimals: of images per second.
        said: how far a system agrees, in words.
    """
    machine = [f"- {name}: {value}" for name, value in facts["machine"].items()]
    lines = [f"# {title}, {facts['date']}", "", about, "", *machine]
    for result in facts["results"]:
        for batch_size in facts["batches"]:
            rows = [row for row in result["rows"] if row["batch"] == batch_size]
            lines += ["", f"## {result['model']}, batch {batch_size}", "", *_table(rows, cpu_per, peer, decimals)]
        lines += ["", *map(said, result["agreement"])]
    return "\n".join([*lines, ""])


def _table(rows: list[dict[str, Any]], cpu_per: str, peer: str, decimals: int) -> list[str]:
    lines = [
        f"| system | precision | images/s | slowest | fastest | CPU seconds per {cpu_per} | peak memory, MiB"
        f" | beside {peer} in float32 |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in sorted(rows, key=lambda row: -row["images_per_second"]):
        beside = row.get("beside")
        ratio = f"{beside['median']:.2f} ({beside['least']:.2f} to {beside['most']:.2f})" if beside else ""
        speeds = " | ".join(f"{row[key]:.{decimals}f}" for key in ("images_per_second", "slowest", "fastest"))
        lines.append(
            f"| {row['system']} | {row['precision']} | {speeds}"
            f" | {row['cpu_seconds']:.3f} | {row['peak_mib']:,.0f} | {ratio} |"
        )
    return lines


def said_of_logits(row: dict[str, Any], *, same: str, of: str) -> str:
    """How far a system agrees.

    Args:
        row: of `agreement`.
        same: the name that the agreement of classes has there.
        of: what these classes are of.
    """
    return (
        f"- {row['system']}, {row['precision']}: the class of attnkit's float32 in {row[same]:.1%} of the"
        f" {of}; logits differ by at most {row['difference']:.1e}, and spread by {row['spread']:.1e} over the classes"
    )


def add_options(
    parser: argparse.ArgumentParser, *, batches: list[int], images_per_turn: int, agreement_images: int
) -> None:
    """What all these scripts can be told, with defaults of their own."""
    parser.add_argument("--batches", nargs="+", type=int, default=batches)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--images-per-turn", type=int, default=images_per_turn)
    parser.add_argument("--agreement-images", type=int, default=agreement_images)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--work", type=json.loads, help=argparse.SUPPRESS)

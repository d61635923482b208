"""What the scripts that time training share: the same few lines of a step around any model, systems that take turns,
and what is kept of their turns.

A system is attnkit or a peer in one precision, at work in a process of its own, so that whatever else the machine does
meets all alike. A script says which models and systems there are, and how a loss comes out of each.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from statistics import median
from typing import Any

from measured import Child, peak_mib, questions

# the child process


def make_step(model: Any, loss_of: Callable[[], Any], precision: str) -> Callable[[], float]:
    """One step of training: the loss, in float32 or by autocast, backward, clipping, AdamW (fused); it gives the loss.

    Memory is kept by the C library, whoever's model it is.
    """
    import torch

    from attnkit.engine.memory import keep_pages

    keep_pages()
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.05, fused=True)

    def step() -> float:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16"):
            loss = loss_of()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        optimizer.zero_grad()
        return float(loss.item())

    return step


def answer_steps(answer: Callable[[dict[str, Any]], None], step: Callable[[], float]) -> None:
    """Say that all is ready, and then time what the parent asks for: so many steps."""
    answer({})
    for steps in questions():
        started, cpu_started = time.perf_counter(), time.process_time()
        losses = [step() for _ in range(steps)]
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
        per_step = {"seconds": seconds / steps, "cpu_seconds": cpu_seconds / steps}
        answer({**per_step, "losses": losses, "peak_mib": peak_mib()})


# the parent process


class System(Child):
    """A system at work in its own process."""

    def __init__(self, script: str, system: str, precision: str, **more: Any) -> None:
        """Start it; `more` is of the order, `threads` at least."""
        self.system, self.precision = system, precision
        super().__init__(f"{system}, {precision}", script, {"system": system, "precision": precision, **more})
        self.turns: list[dict[str, Any]] = []

    def turn(self, steps: int) -> None:
        """Let it train for so many steps."""
        self.turns.append(self.ask(steps))

    def row(self, peer: System) -> dict[str, Any]:
        """Its turns in a few numbers, and how often it is as fast as a peer; the first turn was to warm up."""
        speeds = [1 / turn["seconds"] for turn in self.turns[1:]]
        ratios = [other["seconds"] / own["seconds"] for own, other in zip(self.turns, peer.turns, strict=True)][1:]
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
            "times_peer": {"median": median(ratios), "least": min(ratios), "most": max(ratios)},
            "turns": speeds,
        }


def take_turns(
    script: str,
    systems: Iterable[str],
    precisions: Iterable[str],
    *,
    turns: int,
    steps: int,
    about: str,
    warm_up: int | None = None,
    **more: Any,
) -> list[dict[str, Any]]:
    """The rows of all systems, the last of which is the peer; those of one precision take turns.

    Args:
        script: what the children run.
        systems: their names.
        precisions: one after the other.
        turns: of each, after one to warm up; each is in the other order.
        steps: of a turn.
        about: what to call it when it is done.
        warm_up: steps of the turn to warm up; none is as many as of any other.
        more: of the orders, `threads` at least.
    """
    rows = []
    for precision in precisions:
        children = [System(script, system, precision, **more) for system in systems]
        for turn in range(turns + 1):
            for child in children[:: 1 if turn % 2 == 0 else -1]:
                child.turn(steps if turn or warm_up is None else warm_up)
        for child in children:
            child.close()
        rows += [child.row(children[-1]) for child in children]
        print(f"{about}, {precision}: done", file=sys.stderr, flush=True)
    return rows


def table(results: list[dict[str, Any]], peer: str) -> list[str]:
    """Lines of a table: of each result its `model`, `batch` and `rows`.

    Args:
        results: what was measured.
        peer: what the systems stand beside.
    """
    lines = [
        "| model | batch | precision | system | steps/s | slowest | fastest | images/s | CPU seconds per step"
        f" | peak memory, MiB | times {peer} | first loss |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for result in results:
        for row in result["rows"]:
            ratio = row["times_peer"]
            lines.append(
                f"| {result['model']} | {result['batch']} | {row['precision']} | {row['system']}"
                f" | {row['steps_per_second']:.3f} | {row['slowest']:.3f} | {row['fastest']:.3f}"
                f" | {result['batch'] * row['steps_per_second']:.3f} | {row['cpu_seconds']:.3f}"
                f" | {row['peak_mib']:,.0f} | {ratio['median']:.2f} ({ratio['least']:.2f} to {ratio['most']:.2f})"
                f" | {row['first_loss']:.5f} |"
            )
    return lines

"""What does attnkit's Swin gain on a CPU, in bfloat16, where it departs from plain torch? Piece by piece.

Each piece is done in two ways that take turns, forward and backward: the layer norm by torch's layer and by attnkit's;
the softmax of the scores of a shifted map (always in float32), with the official mask of -100 and with attnkit's;
queries, keys and values by heads, as views that torch copies where it must, and by attnkit's one copy of each, as far
as the scores and back. The sizes are those of the first stages of Swin-T (batch 8, 224x224) and swin_nano (batch 64,
32x32).

    python benchmarks/swin_cpu.py [--threads 2]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import torch
from measured import command, keep, machine, milliseconds_in_turns
from torch import nn

from attnkit.engine.memory import keep_pages
from attnkit.models.kernels.layer_norm import LayerNorm
from attnkit.models.layers.window_attention import by_heads, shift_mask, split_heads

Way = Callable[[], None]

OFFICIAL = -100.0
"""What the official code adds to forbidden scores."""
MAPS = [
    # network, batch, side of the map, channels, heads, window
    ("swin_t", 8, 56, 96, 3, 7),
    ("swin_nano", 64, 16, 48, 2, 4),
]


def norms(batch: int, side: int, channels: int) -> tuple[Way, Way]:
    x = torch.randn(batch, side, side, channels).bfloat16().requires_grad_()
    grad = torch.randn_like(x)

    def way(layer: nn.Module) -> Way:
        return lambda: layer(x).backward(grad)

    return way(nn.LayerNorm(channels)), way(LayerNorm(channels))


def softmaxes(batch: int, side: int, heads: int, window: int) -> tuple[Way, Way]:
    mask = shift_mask(side, side, window, (window // 2, window // 2), torch.device("cpu")).unsqueeze(1)
    scores = torch.randn(batch, len(mask), heads, window**2, window**2)
    grad = torch.randn_like(scores)

    def way(forbidden: float) -> Way:
        masked = (scores + mask.masked_fill(mask < 0, forbidden)).requires_grad_()
        return lambda: masked.softmax(dim=-1).backward(grad)

    return way(OFFICIAL), way(-torch.inf)


def splits(batch: int, side: int, channels: int, heads: int, window: int) -> tuple[Way, Way]:
    windows = (side // window) ** 2
    projected = torch.randn(batch, windows, window**2, 3 * channels).bfloat16().requires_grad_()
    grads = torch.randn(2, batch, windows, heads, window**2, window**2).bfloat16()

    def as_views(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        q, k, v = by_heads(x, heads).unbind(0)
        return q * q.shape[-1] ** -0.5, k, v

    def way(split: Callable[[torch.Tensor], tuple[torch.Tensor, ...]]) -> Way:
        def run() -> None:
            q, k, v = split(projected)
            values = grads[0] @ v
            torch.autograd.backward([q @ k.transpose(-2, -1), values], [grads[1], values.detach()])

        return run

    return way(as_views), way(lambda x: split_heads(x, heads))


def compare(ways: tuple[Way, Way], turns: int) -> dict[str, float]:
    """Milliseconds of each."""
    times = milliseconds_in_turns({"plain": ways[0], "attnkit": ways[1]}, turns)
    return {**times, "ratio": times["plain"] / times["attnkit"]}


def report(facts: dict[str, Any]) -> str:
    lines = [
        f"# Pieces of a Swin on a CPU, forward and backward, {facts['date']}",
        "",
        f"`{command()}`, medians in milliseconds; the ratio is the plain way's time over attnkit's.",
        "",
        *(f"- {name}: {value}" for name, value in facts["machine"].items()),
        "",
        "| piece | sizes of | plain | attnkit | ratio |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for row in facts["rows"]:
        numbers = " | ".join(f"{row[key]:.2f}" for key in ("plain", "attnkit", "ratio"))
        lines.append(f"| {row['piece']} | {row['network']} | {numbers} |")
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=25)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    torch.manual_seed(1)
    torch.set_num_threads(options.threads)
    keep_pages()
    rows = []
    for network, batch, side, channels, heads, window in MAPS:
        pieces = {
            f"layer norm, {channels} channels": norms(batch, side, channels),
            "softmax of shifted windows": softmaxes(batch, side, heads, window),
            "queries, keys and values": splits(batch, side, channels, heads, window),
        }
        rows += [{"piece": piece, "network": network} | compare(ways, options.turns) for piece, ways in pieces.items()]
    facts = {"date": date.today().isoformat(), "machine": machine(options.threads, "torch"), "rows": rows}
    keep(options.out, "swin_cpu", facts, report(facts))


if __name__ == "__main__":
    main()

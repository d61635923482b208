"""Up to which length are plain products faster on a CPU than torch's fused attention, forward and backward?

The answer is `_SHORT` in attnkit/models/layers/attention.py. Both ways are those of that file: `attend` with a capture,
and `scaled_dot_product_attention`, on queries, keys and values that are views of one projection, with a padding mask,
with about as many tokens in a batch at every length.

    python benchmarks/attention_cpu.py [--tokens 4096] [--channels 128 --heads 4]
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import torch
from measured import command, keep, machine, milliseconds_in_turns
from torch import Tensor
from torch.nn import functional as F

from attnkit.engine.memory import keep_pages
from attnkit.models.layers import attention
from attnkit.models.layers.attention import attend as attend_own

LENGTHS = [8, 16, 24, 32, 48, 64, 96, 128, 160, 192, 256, 384, 512]
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}

Attend = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def plain(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    return attend_own(q, k, v, mask, capture=[])


def fused(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, mask.to(q.dtype))


def inputs(length: int, dtype: torch.dtype, options: argparse.Namespace) -> tuple[Tensor, Tensor, Tensor]:
    """What a projection of queries, keys and values gives; the mask; the gradient that comes back."""
    batch = max(1, options.tokens // length)
    projected = torch.randn(batch, length, 3 * options.channels, dtype=dtype, requires_grad=True)
    mask = torch.zeros(batch, 1, 1, length)
    mask[::2, :, :, -max(1, length // 8) :] = -math.inf
    grad = torch.randn(batch, length, options.channels, dtype=dtype)
    return projected, mask, grad


def run(attend: Attend, projected: Tensor, mask: Tensor, grad: Tensor, heads: int) -> None:
    batch, length, _ = projected.shape
    q, k, v = projected.view(batch, length, 3, heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
    attend(q, k, v, mask).transpose(1, 2).flatten(2).backward(grad)
    projected.grad = None


def compare(length: int, dtype: torch.dtype, options: argparse.Namespace) -> dict[str, float]:
    """Milliseconds of each way."""
    given = inputs(length, dtype, options)
    ways = {attend.__name__: partial(run, attend, *given, options.heads) for attend in (plain, fused)}
    return milliseconds_in_turns(ways, options.turns, options.warmup)


def report(facts: dict[str, Any]) -> str:
    lines = [
        f"# Attention on a CPU, {facts['date']}",
        "",
        f"Forward and backward of {facts['heads']} heads, {facts['channels']} channels, about {facts['tokens']:,}"
        f" tokens, median of {facts['turns']} alternating turns, in milliseconds. `_SHORT` is {facts['_SHORT']}."
        f" Made by `{command()}`.",
        "",
        f"- torch: {facts['torch']}",
        f"- cpu: {facts['cpu']}, {facts['threads']} threads",
        "",
        "| length | float32 plain | fused | plain is faster | bfloat16 plain | fused | plain is faster |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in facts["rows"]:
        cells = [f"{row['length']}"]
        for dtype in DTYPES:
            took = row[dtype]
            cells += [f"{took['plain']:.2f}", f"{took['fused']:.2f}", f"{took['fused'] / took['plain']:.2f} x"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", nargs="+", type=int, default=LENGTHS)
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--channels", type=int, default=128)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--warmup", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    torch.manual_seed(1)
    torch.set_num_threads(options.threads)
    keep_pages()
    facts = {
        "date": date.today().isoformat(),
        **machine(options.threads, "torch"),
        **{name: getattr(options, name) for name in ("tokens", "channels", "heads", "turns", "warmup")},
        "_SHORT": attention._SHORT,
        "rows": [
            {"length": length, **{name: compare(length, dtype, options) for name, dtype in DTYPES.items()}}
            for length in options.lengths
        ],
    }
    keep(options.out, "attention_cpu", facts, report(facts))


if __name__ == "__main__":
    main()

"""How much faster is attnkit's linear layer than torch's on a CPU, forward and backward?

Both have the same weights, see the same inputs, and take turns; the bfloat16 rows run under autocast, as training does.
The answer is why attnkit/models/kernels/linear.py exists, and where its constants come from.

    python benchmarks/linear_cpu.py [--threads 2]
"""

from __future__ import annotations

import argparse
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import torch
from measured import command, keep, machine, milliseconds_in_turns
from torch import nn

from attnkit.engine.memory import keep_pages
from attnkit.models.kernels.linear import Linear

SIZES = [
    # rows, inputs, outputs
    (64, 512, 512),
    (256, 512, 2048),
    (2048, 128, 256),
    (3136, 96, 384),
    (8192, 48, 96),
    (8192, 96, 288),
    (32768, 48, 192),
    (6272, 192, 768),
    (6272, 768, 192),
    (25088, 96, 384),
    (25088, 384, 96),
    (1576, 384, 1536),
    (1576, 1536, 384),
    (6304, 384, 1536),
]


def compare(rows: int, inputs: int, outputs: int, turns: int, *, bfloat16: bool) -> dict[str, Any]:
    """Milliseconds of one way forth and back."""
    layers = {"attnkit": Linear(inputs, outputs), "torch": nn.Linear(inputs, outputs)}
    layers["torch"].load_state_dict(layers["attnkit"].state_dict())
    x, grad = torch.randn(rows, inputs, requires_grad=True), torch.randn(rows, outputs)

    def step(layer: nn.Module) -> None:
        layer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
            out = layer(x)
        out.backward(grad.to(out.dtype))

    times = milliseconds_in_turns({name: partial(step, layer) for name, layer in layers.items()}, turns)
    return {**times, "ratio": times["torch"] / times["attnkit"]}


def report(facts: dict[str, Any]) -> str:
    lines = [
        f"# A linear layer, forward and backward, {facts['date']}",
        "",
        f"`{command()}`, medians in milliseconds; the ratio is torch's time over attnkit's.",
        "",
        *(f"- {name}: {value}" for name, value in facts["machine"].items()),
        "",
        "| rows | inputs | outputs | dtype | attnkit | torch.nn.Linear | ratio |",
        "| ---: | ---: | ---: | --- | ---: | ---: | ---: |",
    ]
    for row in facts["rows"]:
        size = " | ".join(f"{row[key]:,}" for key in ("rows", "inputs", "outputs"))
        lines.append(f"| {size} | {row['dtype']} | {row['attnkit']:.2f} | {row['torch']:.2f} | {row['ratio']:.2f} |")
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    torch.manual_seed(1)
    torch.set_num_threads(options.threads)
    keep_pages()
    rows = [
        {"rows": n, "inputs": i, "outputs": o, "dtype": dtype}
        | compare(n, i, o, options.turns, bfloat16=dtype == "bfloat16")
        for dtype in ("float32", "bfloat16")
        for n, i, o in SIZES
    ]
    facts = {"date": date.today().isoformat(), "machine": machine(options.threads, "torch"), "rows": rows}
    keep(options.out, "linear_cpu", facts, report(facts))


if __name__ == "__main__":
    main()

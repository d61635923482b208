"""How fast a network is trained, measured."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

_MEASURED_SECONDS = 1.0


def seconds_per_step(model: nn.Module, loss: Callable[[], Tensor], device: torch.device) -> float:
    """What the fastest of some training steps takes, because what else is running now need not run then.

    Args:
        model: in training, on the device.
        loss: makes a forward pass, and gives its loss.
        device: where to train.
    """
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    seconds: list[float] = []
    while len(seconds) < 2 or sum(seconds[1:]) < _MEASURED_SECONDS:  # the first step is warming up
        started = time.perf_counter()
        loss().backward()
        optimizer.step()
        optimizer.zero_grad()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return min(seconds[1:])

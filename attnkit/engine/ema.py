"""An exponential moving average of the weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Ema:
    """average = decay * average + (1 - decay) * weights, after every step; kept in float32.

    The first steps use a smaller decay, (1 + step) / (10 + step), so that the random start is soon forgotten.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {name: p.detach().clone() for name, p in model.named_parameters()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take the weights of optimizer step `step` (1 is the first)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        weights: list[Tensor] = [p.detach() for _, p in model.named_parameters()]
        torch._foreach_lerp_(list(self.weights.values()), weights, 1 - decay)

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """Let the model have the average inside the block, and its own weights again behind it."""
        own = {name: p.detach().clone() for name, p in model.named_parameters()}
        try:
            _set(model, self.weights)
            yield
        finally:
            _set(model, own)


@torch.no_grad()
def _set(model: nn.Module, weights: dict[str, Tensor]) -> None:
    for name, p in model.named_parameters():
        p.copy_(weights[name])

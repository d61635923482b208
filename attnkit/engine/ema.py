"""An exponential moving average of the weights."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from attnkit.engine.checkpoint import named_weights


class Ema:
    """average = decay * average + (1 - decay) * weights, after every step; kept in float32.

    The first steps use a smaller decay, (1 + step) / (10 + step), so that the random start is soon forgotten. The
    statistics of batch norms are averaged like weights, for they belong to them; what counts steps is not.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {name: tensor.clone() for name, tensor in _averaged(model).items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take the weights of optimizer step `step` (1 is the first)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.weights.values()), list(_averaged(model).values()), 1 - decay)

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """Let the model have the average inside the block, and its own weights again behind it."""
        own = {name: tensor.clone() for name, tensor in _averaged(model).items()}
        try:
            _set(model, self.weights)
            yield
        finally:
            _set(model, own)


def _averaged(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in named_weights(model).items() if tensor.is_floating_point()}


@torch.no_grad()
def _set(model: nn.Module, weights: dict[str, Tensor]) -> None:
    for name, tensor in _averaged(model).items():
        tensor.copy_(weights[name])

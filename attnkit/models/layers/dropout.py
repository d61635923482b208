"""Dropout (Srivastava et al. 2014), with random numbers that a CPU makes quickly."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_LEVELS = 1 << 16


class Dropout(nn.Module):
    """Zero elements with probability `p` while training and scale the rest, so that the mean stays.

    On a CPU, torch draws one Bernoulli number per element, which costs more than the layer that it follows. Here four
    elements share one 64-bit draw: `p` is rounded to a multiple of 1/65536, and the scale is that of the rounded value.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        if not 0.0 <= p < 1.0:
            raise ValueError(f"dropout: p is {p}; expected 0 <= p < 1")
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Drop elements of `x`, any shape; the identity outside training."""
        if not self.training or self.p == 0.0:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.p)
        return x * _scaled_mask(x, self.p)

    def extra_repr(self) -> str:
        """What `print(model)` shows."""
        return f"p={self.p}"


def _scaled_mask(x: Tensor, p: float) -> Tensor:
    """0 where an element is dropped, else the scale; the shape and dtype of `x`."""
    dropped_levels = min(round(p * _LEVELS), _LEVELS - 1)
    draws = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    kept = draws.view(torch.int16)[: x.numel()] >= dropped_levels - _LEVELS // 2
    return kept.view(x.shape).to(x.dtype).mul_(_LEVELS / (_LEVELS - dropped_levels))

"""Dropout (Srivastava et al. 2014), with random numbers that a CPU makes quickly, and stochastic depth (Huang et al.
2016, arXiv:1603.09382): while training, an example skips a residual branch.
"""

from collections.abc import Callable

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


class DropPath(nn.Module):
    """A residual sum, x + branch(x), in which each example of a batch skips the branch with probability `p`.

    The branches of the others are scaled, so that the mean stays. Outside training it is the plain sum. What is skipped
    is not computed either, so a branch is to treat its examples one by one, as layer norms do and batch norms do not.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        if not 0.0 <= p < 1.0:
            raise ValueError(f"drop path: p is {p}; expected 0 <= p < 1")
        self.p = p

    def forward(self, x: Tensor, branch: Callable[[Tensor], Tensor], *, of: Tensor | None = None) -> Tensor:
        """The sum, of any shape with the batch first.

        Args:
            x: what is added to.
            branch: from some of the examples to what is added to these.
            of: the examples that the branch reads, where these are not `x` itself.
        """
        read = x if of is None else of
        if not self.training or self.p == 0.0:
            return x + branch(read)
        kept = torch.rand(len(x), device="cpu") >= self.p  # on the CPU, so that no GPU is waited for
        if torch.compiler.is_compiling():  # which wants the same shapes every time
            weights = kept.to(x, non_blocking=True).div_(1.0 - self.p)
            return x + branch(read) * weights.view(-1, *[1] * (x.ndim - 1))
        if kept.all():
            return torch.add(x, branch(read), alpha=1.0 / (1.0 - self.p))
        rows, scale = kept.nonzero().flatten(), 1.0 / (1.0 - self.p)
        if not len(rows):  # one counts for nothing, and the weights get gradients of zero instead of none
            rows, scale = torch.zeros(1, dtype=torch.int64), 0.0
        rows = rows.to(x.device, non_blocking=True)
        return x.index_add(0, rows, branch(read.index_select(0, rows)).to(x.dtype), alpha=scale)

    def extra_repr(self) -> str:
        """What `print(model)` shows."""
        return f"p={self.p}"

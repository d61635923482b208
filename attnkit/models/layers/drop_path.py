"""Stochastic depth (Huang et al. 2016, arXiv:1603.09382): while training, an example skips a residual branch."""

import torch
from torch import Tensor, nn


class DropPath(nn.Module):
    """Zero the branch of each example of a batch with probability `p`, and scale the others, so that the mean stays.

    Stands between a branch and its residual sum: x + drop_path(branch(x)). Outside training it is the identity.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        if not 0.0 <= p < 1.0:
            raise ValueError(f"drop path: p is {p}; expected 0 <= p < 1")
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Drop examples of `x`, any shape with the batch first."""
        if not self.training or self.p == 0.0:
            return x
        kept = torch.empty((len(x),) + (1,) * (x.ndim - 1), dtype=x.dtype, device=x.device).bernoulli_(1.0 - self.p)
        return x * kept.div_(1.0 - self.p)

    def extra_repr(self) -> str:
        """What `print(model)` shows."""
        return f"p={self.p}"

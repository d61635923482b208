"""A layer norm that is fast on a CPU in bfloat16, whatever the width (Ba et al. 2016, arXiv:1607.06450).

torch works on 32 numbers of bfloat16 at a time and is slow in what is left over, above all in the backward pass. Where
something is, as with 48 channels, float32 is faster, conversions included (benchmarks/swin_cpu.py). Everywhere else
this is torch's own layer.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

_AT_ONCE = 32
"""Numbers of bfloat16 in a register of 512 bits."""


class LayerNorm(nn.LayerNorm):
    """Each row with mean 0 and variance 1, times a weight, plus a bias, as torch.nn.LayerNorm has it."""

    def forward(self, x: Float[Tensor, "*B C"]) -> Float[Tensor, "*B C"]:
        """The norm of each row, in the dtype of `x`."""
        is_slow = x.device.type == "cpu" and x.dtype == torch.bfloat16 and x.shape[-1] % _AT_ONCE != 0
        if is_slow and self.weight.dtype == torch.float32:  # as they are in training
            return super().forward(x.float()).to(x.dtype)
        return super().forward(x)

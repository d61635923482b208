"""Maps of several sizes, resized and convolved: what the heads of dense tasks are made of."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


def resize(x: Float[Tensor, "B C h w"], size: Sequence[int]) -> Float[Tensor, "B C H W"]:
    """A map of another height and width: bilinear, the corners not aligned; the very map where it has that size."""
    if tuple(x.shape[2:]) == tuple(size):
        return x
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)


class ConvNorm(nn.Module):
    """relu(norm(conv(x))); the map keeps its size, the convolution has no bias."""

    def __init__(self, in_channels: int, out_channels: int, *, kernel_size: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Float[Tensor, "B C H W"], *coarser: Float[Tensor, "B _C _h _w"]) -> Float[Tensor, "B D H W"]:
        """A map of non-negative values.

        Args:
            x: the map.
            coarser: more maps; they are enlarged to the size of the first one, and their channels stand behind its.
        """
        if coarser:
            x = torch.cat([x, *(resize(other, x.shape[2:]) for other in coarser)], dim=1)
        return self.relu(self._normalize(self.conv(x)))

    def _normalize(self, x: Tensor) -> Tensor:
        """One value per channel has no variance, and torch refuses it: then the running statistics have to do."""
        norm = self.norm
        if self.training and isinstance(norm, nn.BatchNorm2d) and x.shape[0] * x.shape[2] * x.shape[3] == 1:
            return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
        return norm(x)

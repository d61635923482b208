"""FPN: "Feature Pyramid Networks for Object Detection" (Lin et al. 2016, arXiv:1612.03144).

Letters: B images, h w cells of a map, C channels of the backbone's map, D those of the pyramid.
"""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class Fpn(nn.Module):
    """Maps of one width, each of which knows of the coarser ones; and one more, for proposals of large objects."""

    def __init__(self, in_channels: Sequence[int], channels: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in in_channels)
        self.outputs = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in in_channels)
        for conv in (*self.laterals, *self.outputs):
            nn.init.xavier_uniform_(conv.weight)
            nn.init.zeros_(conv.bias)

    def forward(self, maps: Sequence[Float[Tensor, "B _C _h _w"]]) -> list[Float[Tensor, "B D _h _w"]]:
        """P2 to P5 of C2 to C5, and P6."""
        *finer, last = [lateral(x) for lateral, x in zip(self.laterals, maps, strict=True)]
        merged = [last]
        for fine in reversed(finer):
            merged.append(fine + F.interpolate(merged[-1], size=fine.shape[2:], mode="nearest"))
        levels = [output(x) for output, x in zip(self.outputs, reversed(merged), strict=True)]
        return [*levels, F.max_pool2d(levels[-1], 1, stride=2)]  # every other row and column

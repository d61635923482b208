"""From the maps of a ViT, which all have one size, to the sizes of a pyramid.

Letters: B images, C channels, h w patches.
"""

import math
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from attnkit.models.layers.conv_norm import resize

_TIMES = (4.0, 2.0, 1.0, 0.5)
"""Patches of 16 pixels become cells of 4, 8, 16 and 32, as those of Swin."""


class ViTNeck(nn.Module):
    """The first map enlarged 4 times, the second twice, the fourth halved: bilinear.

    With convolutions it is mmsegmentation's MultiLevelNeck: a linear one in front, of 1x1, and one behind, of 3x3.
    """

    def __init__(self, channels: int, *, patch_size: int, convolutions: bool) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.laterals = nn.ModuleList(
            nn.Conv2d(channels, channels, 1) if convolutions else nn.Identity() for _ in _TIMES
        )
        self.convs = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=1) if convolutions else nn.Identity() for _ in _TIMES
        )

    def forward(
        self, maps: Sequence[Float[Tensor, "B C h w"]], image_size: Sequence[int]
    ) -> list[Float[Tensor, "B C _H _W"]]:
        """The maps in their sizes, finest first; cells outside the image of `image_size`, on padding, are left out."""
        outputs = []
        for x, times, lateral, conv in zip(maps, _TIMES, self.laterals, self.convs, strict=True):
            x = conv(_scale(lateral(x), times))
            rows, columns = (math.ceil(side * times / self.patch_size) for side in image_size)
            outputs.append(x[:, :, :rows, :columns])
        return outputs


def _scale(x: Float[Tensor, "B C h w"], times: float) -> Float[Tensor, "B C H W"]:
    return resize(x, [math.ceil(side * times) for side in x.shape[2:]])

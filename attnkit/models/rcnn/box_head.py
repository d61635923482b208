"""What classifies the regions that were proposed, and refines their boxes (Girshick 2015, arXiv:1504.08083).

Letters: R regions, D channels of the pyramid, C those of the linear layers, K classes, G boxes per region: one per
class or one for all.
"""

from itertools import pairwise
from typing import cast

from jaxtyping import Float
from torch import Tensor, nn

from attnkit.models.kernels.linear import Linear
from attnkit.models.layers.conv_norm import ConvNorm
from attnkit.models.rcnn.config import BoxHeadConfig

BOX_CELLS = 7
"""Cells per side of what is pooled from the pyramid for each region."""

_CONVS = 4


class BoxHead(nn.Module):
    """Two linear layers (Lin et al. 2016), or four convolutions and one (Wu and He 2018); then what and where."""

    def __init__(self, config: BoxHeadConfig, channels: int, *, num_classes: int) -> None:
        super().__init__()
        inputs, width = channels * BOX_CELLS**2, config.channels
        with_convs = config.name == "4conv1fc"
        self.convs = nn.ModuleList(
            ConvNorm(channels, channels, kernel_size=3) for _ in range(_CONVS if with_convs else 0)
        )
        widths = [inputs, width] if with_convs else [inputs, width, width]
        self.fcs = nn.ModuleList(Linear(before, after) for before, after in pairwise(widths))
        self.classes = Linear(width, num_classes + 1)
        self.deltas = Linear(width, 4 * (num_classes if config.class_specific else 1))
        self._init_weights()

    def forward(self, x: Float[Tensor, "R D 7 7"]) -> tuple[Float[Tensor, "R K1"], Float[Tensor, "R G 4"]]:
        """Logits of the K classes and, last, the background; and how the box moves, see structures/boxes.py.

        In float32, whatever comes in.
        """
        for conv in self.convs:
            x = conv(x)
        x = x.flatten(1)  # (R, 49 D)
        for fc in self.fcs:
            x = fc(x).relu()  # (R, C)
        return self.classes(x).float(), self.deltas(x).float().unflatten(1, (-1, 4))

    def _init_weights(self) -> None:
        """As mmdetection: a background that is hardly told from objects, and boxes that hardly move."""
        for conv in self.convs:
            nn.init.kaiming_normal_(cast("ConvNorm", conv).conv.weight, mode="fan_out", nonlinearity="relu")
        for fc in self.fcs:
            nn.init.xavier_uniform_(cast("Linear", fc).weight)
        nn.init.normal_(self.classes.weight, std=0.01)
        nn.init.normal_(self.deltas.weight, std=0.001)
        for layer in (*self.fcs, self.classes, self.deltas):
            nn.init.zeros_(cast("Linear", layer).bias)

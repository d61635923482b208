"""The heads of a detector: boxes (Girshick 2015, arXiv:1504.08083), masks (He et al. 2017, arXiv:1703.06870) and, of
the hybrid task cascade, the semantic branch: what is where in the whole image (Chen et al. 2019, arXiv:1901.07518).

Letters: B images, R regions, D channels of the pyramid, C those of a head, K classes, G boxes per region: one per class
or one for all; h w cells of the pyramid's second level, S classes of the maps that the semantic branch learns.
"""

from collections.abc import Sequence
from itertools import chain, pairwise
from typing import cast

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from attnkit.models.kernels.linear import Linear
from attnkit.models.layers.conv_norm import ConvNorm
from attnkit.models.rcnn.config import BoxHeadConfig, MaskHeadConfig
from attnkit.structures.arrays import IGNORE

BOX_CELLS = 7
"""Cells per side of what is pooled from the pyramid for each region."""

_BOX_CONVS = 4


class BoxHead(nn.Module):
    """Two linear layers (Lin et al. 2016), or four convolutions and one (Wu and He 2018); then what and where."""

    def __init__(self, config: BoxHeadConfig, channels: int, *, num_classes: int) -> None:
        super().__init__()
        inputs, width = channels * BOX_CELLS**2, config.channels
        with_convs = config.name == "4conv1fc"
        self.convs = nn.ModuleList(
            ConvNorm(channels, channels, kernel_size=3) for _ in range(_BOX_CONVS if with_convs else 0)
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


MASK_CELLS = 14
"""Cells per side of what is pooled from the pyramid for each region."""

MASK_SIZE = 2 * MASK_CELLS
"""Cells per side of a mask."""


class MaskHead(nn.Module):
    """Convolutions, one that doubles the size, and a logit per class and cell.

    In a hybrid task cascade a head is told what the head of the stage before made of the same region, through a
    convolution of 1x1 (Chen et al. 2019, section 3.2).
    """

    def __init__(self, config: MaskHeadConfig, channels: int, *, num_classes: int, flow: bool) -> None:
        """Make the head.

        Args:
            config: its sizes.
            channels: D.
            num_classes: K.
            flow: whether it is told of the head before it.
        """
        super().__init__()
        widths = [channels] + [config.channels] * config.convs
        self.flow = nn.Conv2d(widths[-1], channels, 1) if flow else None
        self.convs = nn.ModuleList(nn.Conv2d(width, config.channels, 3, padding=1) for width in widths[:-1])
        self.deconv = nn.ConvTranspose2d(widths[-1], config.channels, 2, stride=2)
        self.logits = nn.Conv2d(config.channels, num_classes, 1)
        self._init_weights()

    def features(
        self, x: Float[Tensor, "R D 14 14"], before: Float[Tensor, "R C 14 14"] | None = None
    ) -> Float[Tensor, "R C 14 14"]:
        """What the convolutions make of the regions.

        Args:
            x: pooled from the pyramid.
            before: what the head of the stage before made of the same regions; for a head with a flow alone.
        """
        if self.flow is not None:
            assert before is not None, "a head with a flow is told of the one before it"
            x = x + self.flow(before).relu()
        for conv in self.convs:
            x = conv(x).relu()
        return x

    def predict_masks(
        self, features: Float[Tensor, "R C 14 14"], labels: Int64[Tensor, "R"]
    ) -> Float[Tensor, "R 28 28"]:
        """Logits of the class of each region, in float32; those of other classes are not computed."""
        x = self._enlarge(features).flatten(2)  # (R, C, 784)
        weight, bias = self.logits.weight.flatten(1), cast("Tensor", self.logits.bias)
        logits = torch.bmm(weight[labels].to(x.dtype).unsqueeze(1), x).float()  # (R, 1, 784)
        return (logits + bias[labels].float()[:, None, None]).view(-1, MASK_SIZE, MASK_SIZE)

    def forward(self, features: Float[Tensor, "R C 14 14"]) -> Float[Tensor, "R K 28 28"]:
        """Logits of every class."""
        return self.logits(self._enlarge(features))

    def _enlarge(self, features: Tensor) -> Float[Tensor, "R C 28 28"]:
        return self.deconv(features).relu()

    def _init_weights(self) -> None:
        """He et al. 2015 (arXiv:1502.01852) over the outputs, as mmdetection; classifiers narrow, as
        detectron2: over the outputs, those of few classes would be so wide that they start with large losses."""
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(cast("Tensor", layer.bias))
        nn.init.normal_(self.logits.weight, std=0.001)


def mask_features(heads: Sequence[MaskHead], x: Float[Tensor, "R D 14 14"]) -> Float[Tensor, "R C 14 14"]:
    """What the last of some heads makes of the regions, each being told of the one before it."""
    before: Tensor | None = None
    for head in heads:
        before = head.features(x, before)
    assert before is not None
    return before


SEMANTIC_LEVEL = 1
"""At whose size the levels of the pyramid are brought together: the second finest."""


_SEMANTIC_LEVELS = 5
_SEMANTIC_CONVS = 4


class SemanticHead(nn.Module):
    """All levels at one size, added, and four convolutions: a map that classifies pixels and informs other heads."""

    def __init__(self, channels: int, *, num_classes: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(channels, channels, 1) for _ in range(_SEMANTIC_LEVELS))
        self.convs = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(_SEMANTIC_CONVS))
        self.embedding = nn.Conv2d(channels, channels, 1)
        self.logits = nn.Conv2d(channels, num_classes, 1)
        self._init_weights()

    def forward(self, levels: Sequence[Float[Tensor, "B D _h _w"]]) -> Float[Tensor, "B D h w"]:
        """What `embed` and `logits` are given.

        Corners are aligned when levels are brought to one size, as in mmdetection.
        """
        size = levels[SEMANTIC_LEVEL].shape[2:]
        first, *others = (
            lateral(_resize(level, size)).relu() for lateral, level in zip(self.laterals, levels, strict=True)
        )
        x: Tensor = sum(others, first)
        for conv in self.convs:
            x = conv(x).relu()
        return x

    def embed(self, x: Float[Tensor, "B D h w"]) -> Float[Tensor, "B D h w"]:
        """What regions are told."""
        return self.embedding(x).relu()

    def loss(self, x: Float[Tensor, "B D h w"], semantic: UInt8[Tensor, "B H W"]) -> Float[Tensor, ""]:
        """Cross entropy, a mean over the cells that have a class.

        Args:
            x: of `forward`.
            semantic: the class of each pixel; that in the middle of a cell is the cell's.
        """
        targets = F.interpolate(semantic.unsqueeze(1), size=x.shape[2:], mode="nearest-exact")[:, 0].long()
        total = F.cross_entropy(self.logits(x).float(), targets, ignore_index=IGNORE, reduction="sum")
        return total / (targets != IGNORE).sum().clamp(min=1)

    def _init_weights(self) -> None:
        """He et al. 2015 (arXiv:1502.01852) over the outputs, as mmdetection; classifiers narrow."""
        for conv in chain(self.laterals, self.convs, (self.embedding, self.logits)):
            assert isinstance(conv, nn.Conv2d)
            nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
            assert conv.bias is not None
            nn.init.zeros_(conv.bias)
        nn.init.normal_(self.logits.weight, std=0.01)


def _resize(level: Tensor, size: Sequence[int]) -> Tensor:
    if tuple(level.shape[2:]) == tuple(size):
        return level
    return F.interpolate(level, size=tuple(size), mode="bilinear", align_corners=True)

"""What predicts the mask of a region: a small convolutional network per region (He et al. 2017, arXiv:1703.06870).

Letters: R regions, D channels of the pyramid, C those of the head, K classes.
"""

from collections.abc import Sequence
from typing import cast

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from attnkit.models.rcnn.config import MaskHeadConfig

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

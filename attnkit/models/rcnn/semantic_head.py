"""The semantic branch of the hybrid task cascade: what is where in the whole image (Chen et al. 2019, arXiv:1901.07518,
section 3.3).

Letters: B images, D channels of the pyramid, h w cells of its second level, S classes of the maps that it learns.
"""

from collections.abc import Sequence
from itertools import chain

from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from attnkit.structures.arrays import IGNORE

LEVEL = 1
"""At whose size the levels of the pyramid are brought together: the second finest."""


_LEVELS = 5
_CONVS = 4


class SemanticHead(nn.Module):
    """All levels at one size, added, and four convolutions: a map that classifies pixels and informs other heads."""

    def __init__(self, channels: int, *, num_classes: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(channels, channels, 1) for _ in range(_LEVELS))
        self.convs = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(_CONVS))
        self.embedding = nn.Conv2d(channels, channels, 1)
        self.logits = nn.Conv2d(channels, num_classes, 1)
        self._init_weights()

    def forward(self, levels: Sequence[Float[Tensor, "B D _h _w"]]) -> Float[Tensor, "B D h w"]:
        """What `embed` and `logits` are given.

        Corners are aligned when levels are brought to one size, as in mmdetection.
        """
        size = levels[LEVEL].shape[2:]
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

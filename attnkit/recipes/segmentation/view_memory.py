"""About how much memory a network needs to look at whole images, so that too large ones are seen through windows."""

from __future__ import annotations

from collections.abc import Sequence

from attnkit.models.config import SwinConfig
from attnkit.models.upernet import UperNet

_PIXELS_PER_CELL = 4
"""Along a side, in the finest map of most networks."""
_WIDTHS, _BACKBONE_WIDTHS = 6, 12
"""Measured peaks over the cells of the finest map, rounded up, in widths of UperNet and of the backbone's finest map:
Swin-T has 4,100 values (4,370 by this), Swin nano with 64 channels 1,080 (1,110), ResNet-50 3,800 (6,290)."""


def values_per_cell(model: UperNet) -> int:
    """Numbers that a network holds at its peak, for each cell of the finest map."""
    return _WIDTHS * model.config.channels + _BACKBONE_WIDTHS * model.backbone.channels[0]


def pixels_per_cell(model: UperNet) -> int:
    """How many pixels a cell of the finest map stands for, along a side."""
    backbone = model.config.backbone
    return backbone.patch_size if isinstance(backbone, SwinConfig) else _PIXELS_PER_CELL


def bytes_of_views(
    sizes: Sequence[tuple[int, int]], *, values_per_cell: int, pixels_per_cell: int, num_classes: int
) -> int:
    """What is kept at once at most, when images are looked at whole: all of the largest view, the logits of the others.

    Args:
        sizes: heights and widths of the views.
        values_per_cell: of the network.
        pixels_per_cell: of the network.
        num_classes: K.
    """
    cells = [height * width / pixels_per_cell**2 for height, width in sizes]
    return int(4 * (max(cells) * values_per_cell + sum(cells) * num_classes))

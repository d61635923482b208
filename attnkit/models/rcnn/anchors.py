"""Anchors: the boxes that the proposal network starts from (Ren et al. 2015, arXiv:1506.01497), one scale and a few
shapes around the corner of every cell of every level (Lin et al. 2016, arXiv:1612.03144).

Letters: A anchors of a cell, h w cells of a map, N = h w A, G objects, P pairs of an anchor and an object.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from attnkit.models.rcnn.config import RpnConfig


class Anchors:
    """Makes the anchors of any image from the sizes of its maps; nothing is remembered."""

    def __init__(self, config: RpnConfig, *, strides: Sequence[int]) -> None:
        """Take the shapes.

        Args:
            config: scale, ratios, and whose rule holds.
            strides: pixels from cell to cell, of each level.
        """
        self.config = config
        self.strides = tuple(strides)
        self.per_cell = len(config.anchor_ratios)
        """A."""

    def grids(self, levels: Sequence[Float[Tensor, "B _D _h _w"]]) -> "list[AnchorGrid]":
        """The anchors of each map."""
        shapes = [(level.shape[2], level.shape[3]) for level in levels]
        return [
            AnchorGrid(self._cell(stride).to(levels[0].device), self._steps(stride, shape, shapes[0]), shape)
            for stride, shape in zip(self.strides, shapes, strict=True)
        ]

    def _cell(self, stride: int) -> Float[Tensor, "A 4"]:
        heights = torch.tensor(self.config.anchor_ratios).sqrt()
        sides = torch.stack([1 / heights, heights], dim=1) * (self.config.anchor_scale * stride)
        corners = torch.cat([-sides, sides], dim=1) / 2
        return corners.round() if self.config.rounded_anchors else corners

    def _steps(self, stride: int, shape: tuple[int, int], finest: tuple[int, int]) -> tuple[int, int]:
        """Pixels from cell to cell, down and right: torchvision divides the image's side by the map's, rounding down,
        which is less where the map's side was rounded up."""
        if not self.config.rounded_anchors:
            return stride, stride
        down, right = (self.strides[0] * most // cells for most, cells in zip(finest, shape, strict=True))
        return down, right


@dataclass(frozen=True)
class AnchorGrid:
    """The anchors of one map, row by row, those of a cell together."""

    cell: Float[Tensor, "A 4"]
    """Those of the first cell."""
    steps: tuple[int, int]
    """Pixels from cell to cell, down and right."""
    shape: tuple[int, int]
    """h, w."""

    def __len__(self) -> int:
        return self.shape[0] * self.shape[1] * len(self.cell)

    def boxes(self) -> Float[Tensor, "N 4"]:
        """Their corners."""
        y, x = (
            torch.arange(cells, device=self.cell.device) * step
            for cells, step in zip(self.shape, self.steps, strict=True)
        )
        y, x = torch.meshgrid(y, x, indexing="ij")
        shifts = torch.stack([x, y, x, y], dim=-1)  # (h, w, 4)
        return (shifts[:, :, None] + self.cell).view(-1, 4)

    def inside(self, size: tuple[int, int]) -> Bool[Tensor, "N"]:
        """Which of them are of cells that begin on the image; the others are of what pads it in a batch.

        Args:
            size: height and width of the image.
        """
        rows, columns = (
            torch.arange(cells, device=self.cell.device) * step < side
            for cells, step, side in zip(self.shape, self.steps, size, strict=True)
        )
        return (rows[:, None] & columns).flatten().repeat_interleave(len(self.cell))

    def near(self, objects: Float[Tensor, "G 4"], *, least: float) -> tuple[Int64[Tensor, "P"], Int64[Tensor, "P"]]:
        """All pairs of an anchor and an object whose IoU may be `least` or more; few of N G, and found without these.

        An IoU of t takes an intersection of t / (1 + t) of both areas, which the smaller width by an overlap in height
        must give, and the other way round. That bounds the rows and columns whose anchors come into question.
        """
        first, last = self._window(objects, least)
        counts = (last - first + 1).clamp(min=0)  # (G, A, 2), columns and rows
        pairs = counts.prod(dim=2).flatten()
        ends = pairs.cumsum(0)
        of = torch.arange(len(pairs), device=pairs.device).repeat_interleave(pairs)
        place = torch.arange(len(of), device=of.device) - (ends - pairs)[of]
        width = counts[:, :, 0].flatten()[of]
        column = first[:, :, 0].flatten()[of] + place % width
        row = first[:, :, 1].flatten()[of] + place // width
        a = len(self.cell)
        return (row * self.shape[1] + column) * a + of % a, of // a

    def _window(self, objects: Tensor, least: float) -> tuple[Int64[Tensor, "G A 2"], Int64[Tensor, "G A 2"]]:
        """The first and the last column and row of anchors that an object may have the IoU with."""
        sides, own = objects[:, None, 2:] - objects[:, None, :2], self.cell[:, 2:] - self.cell[:, :2]
        smaller = torch.minimum(sides, own)  # (G, A, 2)
        intersection = least / (1 + least) * (sides.prod(dim=2) + own.prod(dim=1))  # (G, A)
        needed = intersection[:, :, None] / smaller.flip(2)
        fits = (needed <= smaller * 1.001).all(dim=2, keepdim=True)
        needed = needed * 0.999 - 0.01  # rounding loses none
        steps = self.cell.new_tensor(self.steps).flip(0)
        first = ((objects[:, None, :2] - self.cell[:, 2:] + needed) / steps).ceil().clamp(min=0)
        most = self.cell.new_tensor(self.shape).flip(0) - 1
        last = ((objects[:, None, 2:] - self.cell[:, :2] - needed) / steps).floor().minimum(most)
        return first.long(), torch.where(fits, last, -1.0).long()


def near_any(
    grids: Sequence[AnchorGrid], objects: Float[Tensor, "G 4"], *, least: float
) -> tuple[Int64[Tensor, "P"], Int64[Tensor, "P"]]:
    """The pairs of all levels, see `AnchorGrid.near`; anchors are counted on from level to level."""
    starts = torch.tensor([0, *(len(grid) for grid in grids)]).cumsum(0).tolist()
    pairs = [grid.near(objects, least=least) for grid in grids]
    anchors = [anchor + start for (anchor, _), (start, _) in zip(pairs, pairwise(starts), strict=True)]
    return torch.cat(anchors), torch.cat([of for _, of in pairs])

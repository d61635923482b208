"""RoIAlign (He et al. 2017, arXiv:1703.06870, section 3) with a quick backward pass on a CPU.

Each bin of a region is the mean of points, each point the bilinear mean of four cells. Points lie on a grid, so a
region is Y F X^T: a small matrix for the rows, the cells under the region, a small matrix for the columns. Forward that
is torchvision's operator; its gradient on a CPU goes cell by cell and channel by channel, where two matrix products,
Y^T G X, and one sum over rows of channels do the same several times as fast.

Letters: B images, C channels, h w cells of the map, N regions, S bins per side, T cells under the largest of some.
"""

from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torchvision.ops import roi_align

_TOGETHER = 32
"""Regions of about one size that are multiplied together."""


def align_regions(
    maps: Float[Tensor, "B C h w"],
    regions: Float[Tensor, "N 5"],
    size: int,
    *,
    scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> Float[Tensor, "N C {size} {size}"]:
    """The features of regions.

    Args:
        maps: float32.
        regions: number of the image, x1, y1, x2, y2 in pixels.
        size: S.
        scale: cells per pixel.
        sampling_ratio: points per side of a bin; 0: as many as the region has cells there.
        aligned: whether the middle of the first cell is half a cell in.
    """
    if maps.device.type != "cpu":
        return roi_align(maps, regions, size, scale, sampling_ratio, aligned)
    features: Tensor = _AlignOnCpu.apply(maps, regions, size, scale, sampling_ratio, aligned)
    return features


class _AlignOnCpu(torch.autograd.Function):
    """torchvision's forward; backward by matrix products."""

    @staticmethod
    def forward(
        ctx: Any, maps: Tensor, regions: Tensor, size: int, scale: float, sampling_ratio: int, aligned: bool
    ) -> Tensor:
        ctx.save_for_backward(regions)
        ctx.shape, ctx.scale, ctx.sampling_ratio, ctx.aligned = maps.shape, scale, sampling_ratio, aligned
        return roi_align(maps, regions, size, scale, sampling_ratio, aligned)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (regions,) = ctx.saved_tensors
        batch, channels, height, width = ctx.shape
        start = regions[:, 1:3] * ctx.scale - (0.5 if ctx.aligned else 0.0)
        sides = (regions[:, 3:5] - regions[:, 1:3]) * ctx.scale
        if not ctx.aligned:
            sides = sides.clamp(min=1.0)
        of_maps = grads[0].new_zeros(batch, height, width, channels)
        for some in sides.prod(dim=1).argsort().split(_TOGETHER):
            grad = grads[0][some].permute(0, 2, 3, 1)  # (N, S, S, C)
            _add_cells(of_maps, grad, regions[some, 0].long(), start[some], sides[some], ctx.sampling_ratio)
        return of_maps.permute(0, 3, 1, 2), None, None, None, None, None


def _add_cells(
    maps: Float[Tensor, "B h w C"],
    grad: Float[Tensor, "N S S C"],
    image: Int64[Tensor, "N"],
    start: Float[Tensor, "N 2"],
    sides: Float[Tensor, "N 2"],
    sampling_ratio: int,
) -> None:
    """Add Y^T G X of each region to the cells that it lies on; start and sides are x and y, in cells."""
    _, height, width, channels = maps.shape
    rows, top = _weights(start[:, 1], sides[:, 1], grad.shape[1], height, sampling_ratio)
    columns, left = _weights(start[:, 0], sides[:, 0], grad.shape[2], width, sampling_ratio)
    cells = torch.bmm(rows.mT, grad.flatten(2)).unflatten(2, (-1, channels))  # (N, Ty, S, C)
    cells = columns.mT.unsqueeze(1) @ cells  # (N, Ty, Tx, C)
    down, right = top[:, None] + torch.arange(cells.shape[1]), left[:, None] + torch.arange(cells.shape[2])
    place = (image[:, None] * height + down)[:, :, None] * width + right[:, None]  # (N, Ty, Tx)
    inside = (down < height)[:, :, None] & (right < width)[:, None]
    maps.view(-1, channels).index_add_(0, place[inside], cells[inside])


def _weights(
    start: Float[Tensor, "N"], side: Float[Tensor, "N"], bins: int, cells: int, sampling_ratio: int
) -> tuple[Float[Tensor, "N S T"], Int64[Tensor, "N"]]:
    """What each cell counts for in each bin along one axis, and the first cell that is counted.

    Args:
        start: of each region, in cells, the middle of the first one being 0.
        side: of each region, in cells.
        bins: S.
        cells: of the map along the axis.
        sampling_ratio: points per bin; 0: as many as it has cells.
    """
    points = (side / bins).ceil().long() if not sampling_ratio else torch.full_like(start, sampling_ratio).long()
    total = bins * points  # of each region
    region = torch.arange(len(start)).repeat_interleave(total)
    number = torch.arange(len(region)) - (total.cumsum(0) - total)[region]
    place = start[region] + (number + 0.5) * (side / total)[region]
    counted = (place >= -1) & (place <= cells)  # points farther out are zero
    place = place.clamp(0, cells - 1)
    low = place.floor().clamp(max=max(cells - 2, 0)).long()
    share = place - low  # of the next cell
    weight = counted / points[region]
    first = torch.full_like(total, cells).scatter_reduce(0, region, low, "amin")
    most = int((low - first[region]).max()) + 2 if len(region) else 1
    weights = torch.zeros(len(start), bins, most)
    bin_of = number // points[region]
    for offset, part in ((0, 1 - share), (1, share)):
        weights.index_put_((region, bin_of, low - first[region] + offset), part * weight, accumulate=True)
    return weights, first

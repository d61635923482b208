"""Feature maps, and what a head sees of a region: the features that RoIAlign (He et al. 2017, arXiv:1703.06870, section
3) pools from the level of the pyramid that suits its size (Lin et al. 2016, arXiv:1612.03144, equation 1), with a quick
backward pass on a CPU.

Each bin of a region is the mean of points, each point the bilinear mean of four cells. Points lie on a grid, so a
region is Y F X^T: a small matrix for the rows, the cells under the region, a small matrix for the columns. Forward that
is torchvision's operator; its gradient on a CPU goes cell by cell and channel by channel, where two matrix products,
Y^T G X, and one sum over rows of channels do the same several times as fast.

Letters: B images, C channels of a map and D of the pyramid, h w cells of a map, R boxes of an image, N regions of all
images, S bins per side, T cells under the largest of some.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import roi_align

from attnkit.models.rcnn.config import RoiAlignConfig
from attnkit.models.rcnn.heads import MASK_CELLS, SEMANTIC_LEVEL
from attnkit.structures.boxes import box_areas

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
        for rows in sides.prod(dim=1).argsort().split(_TOGETHER):
            grad = grads[0][rows].permute(0, 2, 3, 1)  # (N, S, S, C)
            _add_cells(of_maps, grad, regions[rows, 0].long(), start[rows], sides[rows], ctx.sampling_ratio)
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


_FINEST = 14
"""Cells per side, on the finest level, of boxes from which on it may suit: 56 pixels of the paper's 224 / 4."""


class RoiFeatures(nn.Module):
    """Pools regions from maps; without parameters."""

    def __init__(self, config: RoiAlignConfig, *, strides: Sequence[int]) -> None:
        """Take the rules.

        Args:
            config: of RoIAlign.
            strides: pixels of a cell of each map, each twice those of the one before; P6 is not read.
        """
        super().__init__()
        self.config = config
        self.strides = tuple(strides[:4])

    def forward(
        self, levels: Sequence[Float[Tensor, "B D _h _w"]], boxes: Sequence[Float[Tensor, "_R 4"]], size: int
    ) -> Float[Tensor, "N D {size} {size}"]:
        """The features of all boxes, image by image, in float32.

        Args:
            levels: finest first; further ones than there are strides are not read.
            boxes: of each image, in pixels.
            size: S.
        """
        rois = torch.cat(list(boxes))
        image = torch.cat([torch.full_like(box[:, :1], i) for i, box in enumerate(boxes)])
        rois = torch.cat([image, rois], dim=1)  # (N, 5)
        if len(self.strides) == 1:
            return self._pool(levels[0], rois, size, self.strides[0])
        level_of = self.level_of(rois[:, 1:])
        chosen = [(level_of == number).nonzero()[:, 0] for number in range(len(self.strides))]
        parts = [
            self._pool(level, rois[rows], size, stride)
            for level, rows, stride in zip(levels, chosen, self.strides, strict=False)
        ]
        return torch.cat(parts)[torch.cat(chosen).argsort()]

    def level_of(self, boxes: Float[Tensor, "N 4"]) -> Int64[Tensor, "N"]:
        """The level of each: a box of twice the side is pooled from the next coarser one."""
        sides = box_areas(boxes).sqrt() / (_FINEST * self.strides[0])
        return (sides + 1e-6).log2().floor().clamp(0, len(self.strides) - 1).long()

    def _pool(self, level: Tensor, rois: Tensor, size: int, stride: int) -> Tensor:
        """In float32: sums of many products, and corners in fractions of a cell."""
        return align_regions(
            level.float(),
            rois,
            size,
            scale=1 / stride,
            sampling_ratio=self.config.sampling_ratio,
            aligned=self.config.aligned,
        )


@dataclass(frozen=True)
class FeatureMaps:
    """What a detector sees in the images of a batch."""

    levels: list[Float[Tensor, "B D _h _w"]]
    """P2 to P6, finest first: what objects are proposed from."""
    fine: list[Float[Tensor, "B D _h _w"]]
    """P2 to P5 as regions are pooled from them, which is done several times: in float32, channel by channel."""
    fused: Float[Tensor, "B D h w"] | None = None
    """What the semantic branch classifies pixels by; None without such a branch."""
    semantic: Float[Tensor, "B D h w"] | None = None
    """What it tells the heads, as `fine` is."""

    @classmethod
    def make(cls, levels: list[Tensor], fused: Tensor | None = None, semantic: Tensor | None = None) -> "FeatureMaps":
        """The maps from what the network makes."""
        fine = [_for_pooling(level) for level in levels[:4]]
        return cls(levels, fine, fused, None if semantic is None else _for_pooling(semantic))


def _for_pooling(x: Tensor) -> Tensor:
    return x.float().contiguous()


class RoiPooler(nn.Module):
    """Pools regions from the maps; without parameters."""

    def __init__(self, config: RoiAlignConfig, *, strides: Sequence[int]) -> None:
        """Take the rules.

        Args:
            config: of RoIAlign.
            strides: pixels of a cell of each level.
        """
        super().__init__()
        self.levels = RoiFeatures(config, strides=strides)
        self.semantic = RoiFeatures(config, strides=strides[SEMANTIC_LEVEL : SEMANTIC_LEVEL + 1])

    def forward(
        self, maps: FeatureMaps, boxes: Sequence[Float[Tensor, "_R 4"]], size: int
    ) -> Float[Tensor, "R D {size} {size}"]:
        """The features of the regions of all images, one image after another.

        What the semantic branch tells is added, read with the cells of a mask and brought to `size` (Chen et al. 2019,
        figure 4).

        Args:
            maps: of the images.
            boxes: of each image.
            size: cells per side.
        """
        x: Tensor = self.levels(maps.fine, boxes, size)
        if maps.semantic is None:
            return x
        told: Tensor = self.semantic([maps.semantic], boxes, MASK_CELLS)
        return x + (told if size == MASK_CELLS else F.adaptive_avg_pool2d(told, size))

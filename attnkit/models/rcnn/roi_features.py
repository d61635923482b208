"""What a head sees of a region: its features off the level of the pyramid that suits its size (Lin et al. 2016,
arXiv:1612.03144, equation 1), by RoIAlign (He et al. 2017, arXiv:1703.06870).

Letters: B images, D channels, h w cells of a map, R boxes of an image, S cells per side of a region, N boxes of all.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from attnkit.models.rcnn.config import RoiAlignConfig
from attnkit.models.rcnn.roi_align import align_regions
from attnkit.structures.boxes import box_areas

_FINEST = 14
"""Cells per side, on the finest level, of boxes from which on it may suit: 56 pixels of the paper's 224 / 4."""


class RoiFeatures(nn.Module):
    """Reads regions off maps; without parameters."""

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
            return self._read(levels[0], rois, size, self.strides[0])
        level_of = self.level_of(rois[:, 1:])
        chosen = [(level_of == number).nonzero()[:, 0] for number in range(len(self.strides))]
        parts = [
            self._read(level, rois[some], size, stride)
            for level, some, stride in zip(levels, chosen, self.strides, strict=False)
        ]
        return torch.cat(parts)[torch.cat(chosen).argsort()]

    def level_of(self, boxes: Float[Tensor, "N 4"]) -> Int64[Tensor, "N"]:
        """The level of each: a box of twice the side is read off the next coarser one."""
        sides = box_areas(boxes).sqrt() / (_FINEST * self.strides[0])
        return (sides + 1e-6).log2().floor().clamp(0, len(self.strides) - 1).long()

    def _read(self, level: Tensor, rois: Tensor, size: int, stride: int) -> Tensor:
        """In float32: sums of many products, and corners in fractions of a cell."""
        return align_regions(
            level.float(),
            rois,
            size,
            scale=1 / stride,
            sampling_ratio=self.config.sampling_ratio,
            aligned=self.config.aligned,
        )

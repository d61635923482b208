"""The maps of a batch of images that all heads read their regions off.

Letters: B images, D channels of the pyramid, h w cells of its second level, R regions of all images.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from attnkit.models.rcnn.config import RoiAlignConfig
from attnkit.models.rcnn.mask_head import MASK_CELLS
from attnkit.models.rcnn.roi_features import RoiFeatures
from attnkit.models.rcnn.semantic_head import LEVEL


@dataclass(frozen=True)
class Maps:
    """What a detector sees in the images of a batch."""

    levels: list[Float[Tensor, "B D _h _w"]]
    """P2 to P6, finest first: what objects are proposed from."""
    fine: list[Float[Tensor, "B D _h _w"]]
    """P2 to P5 as regions are read off them, which is done several times: in float32, channel by channel."""
    fused: Float[Tensor, "B D h w"] | None = None
    """What the semantic branch classifies pixels by; None without such a branch."""
    semantic: Float[Tensor, "B D h w"] | None = None
    """What it tells the heads, as `fine` is."""

    @classmethod
    def of(cls, levels: list[Tensor], fused: Tensor | None = None, semantic: Tensor | None = None) -> "Maps":
        """The maps from what the network makes."""
        fine = [_for_reading(level) for level in levels[:4]]
        return cls(levels, fine, fused, None if semantic is None else _for_reading(semantic))


def _for_reading(x: Tensor) -> Tensor:
    return x.float().contiguous()


class RegionReader(nn.Module):
    """Reads regions off the maps; without parameters."""

    def __init__(self, config: RoiAlignConfig, *, strides: Sequence[int]) -> None:
        """Take the rules.

        Args:
            config: of RoIAlign.
            strides: pixels of a cell of each level.
        """
        super().__init__()
        self.levels = RoiFeatures(config, strides=strides)
        self.semantic = RoiFeatures(config, strides=strides[LEVEL : LEVEL + 1])

    def forward(
        self, maps: Maps, boxes: Sequence[Float[Tensor, "_R 4"]], size: int
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

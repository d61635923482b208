"""The networks that a new detection recipe may get: Mask R-CNN on Swin. Free of torch.

The sizes on Swin-T and Swin-S are published (Liu et al. 2021, table 2), from weights of ImageNet. What is smaller, what
is needed without such weights, and the limits between them, are judgement.
"""

from __future__ import annotations

from dataclasses import dataclass

from attnkit.models.config import SwinConfig
from attnkit.models.rcnn.config import BoxHeadConfig, MaskHeadConfig, MaskRcnnConfig, RpnConfig

PATCH_SIZE = 4
"""Pixels of a cell of the finest map."""
_POSITIVE = 0.25
"""Of the regions that the box head looks at; these get masks."""


@dataclass(frozen=True)
class Network:
    """Mask R-CNN on a Swin, and how many training images it takes to pay."""

    name: str
    embed_dim: int
    depths: tuple[int, ...]
    num_heads: tuple[int, ...]
    window_size: int
    channels: int
    box_channels: int
    mask_convs: int
    least_images: int
    drop_path_rate: float
    lr: float
    """For batches of 4."""
    why: str
    published: bool = False
    """Proposals and samples are those of the papers then, however many objects there are."""

    def config(self, *, anchor_scale: float, proposals: int, samples: int) -> MaskRcnnConfig:
        """The model.

        Args:
            anchor_scale: side of the anchors, in cells.
            proposals: regions that are looked at.
            samples: of them, that the box head learns from.
        """
        rpn = RpnConfig(anchor_scale=anchor_scale, train_proposals=proposals, proposals=proposals)
        return MaskRcnnConfig(
            backbone=SwinConfig(
                name="swin",
                patch_size=PATCH_SIZE,
                embed_dim=self.embed_dim,
                depths=self.depths,
                num_heads=self.num_heads,
                window_size=self.window_size,
                drop_path_rate=self.drop_path_rate,
            ),
            channels=self.channels,
            rpn=RpnConfig(anchor_scale=anchor_scale) if self.published else rpn,
            box_head=BoxHeadConfig(channels=self.box_channels, samples=512 if self.published else samples),
            mask_head=MaskHeadConfig(convs=self.mask_convs, channels=self.channels),
        )


NANO = Network(
    "Mask R-CNN of 64 channels on a Swin of 32",
    *(32, (2, 2, 2, 2), (1, 2, 4, 8), 8, 64, 256, 2, 0, 0.0, 1e-3),
    "small enough for a few processor cores",
)
MICRO = Network(
    "Mask R-CNN of 128 channels on a Swin of 48",
    *(48, (2, 2, 4, 2), (2, 4, 8, 16), 8, 128, 512, 3, 0, 0.1, 7e-4),
    "half the width of Swin-T, and half of the paper's pyramid",
)
TINY = Network(
    "Mask R-CNN of 256 channels on Swin-T",
    *(96, (2, 2, 6, 2), (3, 6, 12, 24), 7, 256, 1024, 4, 2000, 0.2, 2e-4),
    "the paper's smallest",
    published=True,
)
SMALL = Network(
    "Mask R-CNN of 256 channels on Swin-S",
    *(96, (2, 2, 18, 2), (3, 6, 12, 24), 7, 256, 1024, 4, 50_000, 0.2, 1e-4),
    "from tens of thousands of images on its depth pays",
    published=True,
)


def activation_bytes(model: MaskRcnnConfig, size: tuple[int, int], *, num_classes: int, masks: bool) -> int:
    """About what training keeps of one image of a height and width, in float32.

    Some 20 values per channel of each block, and attention; of the pyramid some 12 values per channel of the finest
    map; of each region that is sampled its features and layers, and of each positive one those of its mask.
    """
    backbone, total = model.backbone, 0
    assert isinstance(backbone, SwinConfig)
    finest = (size[0] // backbone.patch_size) * (size[1] // backbone.patch_size)
    for stage, (depth, heads) in enumerate(zip(backbone.depths, backbone.num_heads, strict=True)):
        tokens, channels = max(1, finest // 4**stage), backbone.embed_dim * 2**stage
        total += depth * tokens * (20 * channels + 2 * heads * backbone.window_size**2)
    total += 12 * model.channels * finest
    samples = model.box_head.samples
    total += samples * (2 * 7 * 7 * model.channels + 4 * model.box_head.channels)
    if masks:
        drawn = int(samples * _POSITIVE)
        total += drawn * 14 * 14 * (model.channels + model.mask_head.channels * (model.mask_head.convs + 4))
        total += drawn * 28 * 28 * (model.mask_head.channels + 2)
    return 4 * total

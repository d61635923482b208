"""The networks that a new segmentation recipe may get: UperNet on Swin. Free of torch.

The sizes of Swin-T and Swin-B with 512 channels are published (Liu et al. 2021, table 3), from weights of ImageNet.
What is smaller, what is needed without such weights, and the limits between them, are judgement.
"""

from __future__ import annotations

from dataclasses import dataclass

from attnkit.models.config import SwinConfig, UperNetConfig

SMALL_SIDE = 96
"""Up to this many pixels a map of half the image's size is the finest, with three stages; else a quarter, and four."""


@dataclass(frozen=True)
class Network:
    """UperNet on a Swin, and how many training images it takes to pay."""

    name: str
    embed_dim: int
    depths: tuple[int, ...]
    num_heads: tuple[int, ...]
    channels: int
    auxiliary_channels: int
    least_images: int
    drop_path_rate: float
    lr: float
    """For batches of 16."""
    why: str

    def config(self, crop: int) -> UperNetConfig:
        """The model for a crop, its windows so that the last map is one of them; published sizes stay as they are."""
        published = self in (TINY, BASE)
        patch_size = 2 if crop <= SMALL_SIDE else 4
        last = crop // patch_size // 2 ** (len(self.depths) - 1)
        return UperNetConfig(
            backbone=SwinConfig(
                name="swin",
                patch_size=patch_size,
                embed_dim=self.embed_dim,
                depths=self.depths,
                num_heads=self.num_heads,
                window_size=7 if published else min(max(2, last), 10),
                mlp_convolution=not published,
                drop_path_rate=self.drop_path_rate,
            ),
            channels=self.channels,
            pool_scales=(1, 2, 3, 6) if last >= 6 else (1, 2),
            auxiliary_channels=self.auxiliary_channels,
        )


FLAT = Network(
    "UperNet of 32 channels on a Swin of 24",
    *(24, (2, 2, 2), (1, 2, 4), 32, 16, 0, 0.0, 2e-3),
    "small images have little to see",
)
NANO = Network(
    "UperNet of 64 channels on a Swin of 32",
    *(32, (2, 2, 6, 2), (1, 2, 4, 8), 64, 32, 0, 0.1, 1e-3),
    "small enough for a few processor cores",
)
MICRO = Network(
    "UperNet of 128 channels on a Swin of 48",
    *(48, (2, 2, 4, 2), (2, 4, 8, 16), 128, 64, 0, 0.1, 1e-3),
    "half the width of Swin-T, a quarter of the paper's UperNet",
)
TINY = Network(
    "UperNet of 512 channels on Swin-T",
    *(96, (2, 2, 6, 2), (3, 6, 12, 24), 512, 256, 2000, 0.2, 3e-4),
    "the paper's smallest",
)
BASE = Network(
    "UperNet of 512 channels on Swin-B",
    *(128, (2, 2, 18, 2), (4, 8, 16, 32), 512, 256, 50_000, 0.3, 2e-4),
    "from tens of thousands of images on its width pays",
)


def activation_bytes(model: UperNetConfig, crop: int, num_classes: int) -> int:
    """About what training keeps of one image, in float32.

    Some 20 values per channel of each block, two more per hidden one where its MLP convolves, and attention; of the
    pyramid some 12 values per channel of the finest map; of each pixel three per class and head.
    """
    backbone, total = model.backbone, 0
    assert isinstance(backbone, SwinConfig)
    finest = crop // backbone.patch_size
    per_channel = 20 + 2 * backbone.mlp_ratio * backbone.mlp_convolution
    for stage, (depth, heads) in enumerate(zip(backbone.depths, backbone.num_heads, strict=True)):
        tokens, channels = max(1, finest // 2**stage) ** 2, backbone.embed_dim * 2**stage
        total += depth * tokens * (int(per_channel * channels) + 2 * heads * backbone.window_size**2)
    total += 12 * model.channels * finest**2
    return 4 * (total + 2 * 3 * num_classes * crop**2)

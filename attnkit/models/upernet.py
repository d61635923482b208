"""UperNet: "Unified Perceptual Parsing for Scene Understanding" (Xiao et al. 2018, arXiv:1807.10221), on the backbones
and with the auxiliary head that the Swin paper (Liu et al. 2021, arXiv:2103.14030) takes for segmentation.

Letters: B images, H W pixels, h w cells of a map, C channels of a map, D those of the pyramid, laterals and fusion
(`channels`), K classes.
"""

import math
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from attnkit.models.backbones import build_backbone
from attnkit.models.config import UperNetConfig, ViTConfig
from attnkit.models.layers.conv_norm import ConvNorm, resize

_TIMES = (4.0, 2.0, 1.0, 0.5)
"""By which a ViT's maps are resized: patches of 16 pixels become cells of 4, 8, 16 and 32, as those of Swin."""


class UperNet(nn.Module):
    """A backbone, pyramid pooling of its last map, a way down that adds the finer maps, and all of them fused."""

    def __init__(self, config: UperNetConfig, *, num_classes: int, image_size: int) -> None:
        super().__init__()
        self.config = config
        self.backbone = build_backbone(config.backbone, image_size=image_size)
        self.neck = _neck(config)
        *finer, last = self.backbone.channels
        width = config.channels
        self.pyramid = PyramidPooling(last, width, config.pool_scales)
        self.laterals = nn.ModuleList(ConvNorm(channels, width, kernel_size=1) for channels in finer)
        self.smooth = nn.ModuleList(ConvNorm(width, width, kernel_size=3) for _ in finer)
        self.fuse = ConvNorm((len(finer) + 1) * width, width, kernel_size=3)
        self.dropout = nn.Dropout2d(config.dropout)
        self.head = nn.Conv2d(width, num_classes, 1)
        self.auxiliary = _auxiliary(config, finer[-1], num_classes)
        self.head_names = ("head",) if self.auxiliary is None else ("head", "auxiliary.head")
        self.num_layers = self.backbone.num_layers
        """Layers for layer-wise learning rates, see `layer_of`."""
        self.no_weight_decay = frozenset(f"backbone.{name}" for name in self.backbone.no_weight_decay)
        """Parameters of more than one dimension that weight decay spares."""
        self._init_heads()

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B K H W"]:
        """Logits of every pixel; those of the main head, enlarged."""
        return resize(self._classify(self._maps(images)), images.shape[2:])

    def forward_heads(self, images: Float[Tensor, "B 3 H W"]) -> tuple[Float[Tensor, "B K h w"], Tensor | None]:
        """Logits of the main head at the size of the finest map, and (B, K, h', w') of the auxiliary one, if any."""
        maps = self._maps(images)
        return self._classify(maps), None if self.auxiliary is None else self.auxiliary(maps[-2])

    def layer_of(self, name: str) -> int:
        """The layer of a parameter: as the backbone says; what comes after it `num_layers`."""
        inside = name.removeprefix("backbone.")
        return self.num_layers if inside == name else self.backbone.layer_of(inside)

    def _maps(self, images: Tensor) -> list[Tensor]:
        maps: list[Tensor] = self.backbone(images)
        return maps if self.neck is None else self.neck(maps, images.shape[2:])

    def _classify(self, maps: Sequence[Tensor]) -> Float[Tensor, "B K h w"]:
        fused = self.fuse(*self._levels(maps))  # (B, D, h, w)
        return self.head(self.dropout(fused))

    def _levels(self, maps: Sequence[Tensor]) -> list[Float[Tensor, "B D _h _w"]]:
        """A map of D channels for each of the backbone's, finest first; each knows of the coarser ones."""
        *finer, last = maps
        x = self.pyramid(last)
        levels = [x]
        for lateral, smooth, fine in zip(reversed(self.laterals), reversed(self.smooth), reversed(finer), strict=True):
            x = lateral(fine) + resize(x, fine.shape[2:])
            levels.append(smooth(x))
        return levels[::-1]

    def _init_heads(self) -> None:
        """As mmsegmentation: He et al. 2015 (arXiv:1502.01852) over the outputs, Xavier in the neck, which has no ReLU,
        and the classifiers a normal of 0.01."""
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d) and not name.startswith("backbone."):
                if name in self.head_names:
                    nn.init.normal_(module.weight, std=0.01)
                elif name.startswith("neck."):
                    nn.init.xavier_uniform_(module.weight)
                else:
                    nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)


class PyramidPooling(nn.Module):
    """The means of regions of a map, of several sizes, beside the map itself (Zhao et al. 2016, arXiv:1612.01105)."""

    def __init__(self, in_channels: int, channels: int, scales: Sequence[int]) -> None:
        super().__init__()
        self.pools = nn.ModuleList(nn.AdaptiveAvgPool2d(cells) for cells in scales)
        self.branches = nn.ModuleList(ConvNorm(in_channels, channels, kernel_size=1) for _ in scales)
        self.fuse = ConvNorm(in_channels + len(scales) * channels, channels, kernel_size=3)

    def forward(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B D h w"]:
        """A map that knows of the whole image in every cell."""
        return self.fuse(x, *(branch(pool(x)) for pool, branch in zip(self.pools, self.branches, strict=True)))


class AuxiliaryHead(nn.Module):
    """A small classifier on an earlier map, which helps training and is not used afterwards."""

    def __init__(self, in_channels: int, channels: int, *, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.conv = ConvNorm(in_channels, channels, kernel_size=3)
        self.dropout = nn.Dropout2d(dropout)
        self.head = nn.Conv2d(channels, num_classes, 1)

    def forward(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B K h w"]:
        """Logits of every cell."""
        return self.head(self.dropout(self.conv(x)))


def _neck(config: UperNetConfig) -> "ViTNeck | None":
    backbone = config.backbone
    if not isinstance(backbone, ViTConfig) or config.neck == "none":
        return None
    convolutions = config.neck == "multi_level"
    return ViTNeck(backbone.embed_dim, patch_size=backbone.patch_size, convolutions=convolutions)


def _auxiliary(config: UperNetConfig, in_channels: int, num_classes: int) -> AuxiliaryHead | None:
    if not config.auxiliary_channels:
        return None
    return AuxiliaryHead(in_channels, config.auxiliary_channels, num_classes=num_classes, dropout=config.dropout)


class ViTNeck(nn.Module):
    """From the maps of a ViT, which all have one size, to the sizes of a pyramid.

    The first map is enlarged 4 times, the second twice, the fourth halved: bilinear. With convolutions it is
    mmsegmentation's MultiLevelNeck: a linear one in front, of 1x1, and one behind, of 3x3.
    """

    def __init__(self, channels: int, *, patch_size: int, convolutions: bool) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.laterals = nn.ModuleList(
            nn.Conv2d(channels, channels, 1) if convolutions else nn.Identity() for _ in _TIMES
        )
        self.convs = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=1) if convolutions else nn.Identity() for _ in _TIMES
        )

    def forward(
        self, maps: Sequence[Float[Tensor, "B C h w"]], image_size: Sequence[int]
    ) -> list[Float[Tensor, "B C _H _W"]]:
        """The maps in their sizes, finest first; cells outside the image of `image_size`, on padding, are left out."""
        outputs = []
        for x, times, lateral, conv in zip(maps, _TIMES, self.laterals, self.convs, strict=True):
            x = conv(_resized(lateral(x), times))
            rows, columns = (math.ceil(side * times / self.patch_size) for side in image_size)
            outputs.append(x[:, :, :rows, :columns])
        return outputs


def _resized(x: Float[Tensor, "B C h w"], times: float) -> Float[Tensor, "B C H W"]:
    return resize(x, [math.ceil(side * times) for side in x.shape[2:]])

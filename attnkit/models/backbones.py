"""Networks without a head, whose maps a dense task reads."""

from typing import overload

from attnkit.models.cnn import ResNetBackbone
from attnkit.models.config import ResNetConfig, SwinConfig, ViTConfig
from attnkit.models.swin import SwinBackbone
from attnkit.models.vit import ViTBackbone


@overload
def build_backbone(config: SwinConfig | ResNetConfig) -> SwinBackbone | ResNetBackbone: ...
@overload
def build_backbone(
    config: SwinConfig | ViTConfig | ResNetConfig, *, image_size: int
) -> SwinBackbone | ViTBackbone | ResNetBackbone: ...
def build_backbone(
    config: SwinConfig | ViTConfig | ResNetConfig, *, image_size: int = 0
) -> SwinBackbone | ViTBackbone | ResNetBackbone:
    """Make a backbone, with fresh weights.

    Args:
        config: of the network; its head is left out.
        image_size: pixels per side that ViT's positions are for; the others take images of any size.
    """
    match config:
        case SwinConfig():
            return SwinBackbone(config)
        case ViTConfig():
            return ViTBackbone(config, image_size=image_size)
        case ResNetConfig():
            return ResNetBackbone(config.depth)

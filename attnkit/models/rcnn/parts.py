"""The parts that not every detector has, or that differ in kind."""

from attnkit.models.cnn import ResNetBackbone
from attnkit.models.config import ResNetConfig, SwinConfig
from attnkit.models.rcnn.config import CascadeConfig, HtcConfig, MaskRcnnConfig
from attnkit.models.rcnn.global_block import GlobalBlock
from attnkit.models.rcnn.semantic_head import SemanticHead
from attnkit.models.swin import SwinBackbone


def make_backbone(config: SwinConfig | ResNetConfig) -> tuple[SwinBackbone | ResNetBackbone, list[int]]:
    """What the images go through first, and the pixels of a cell of each level of the pyramid on it."""
    if isinstance(config, SwinConfig):
        return SwinBackbone(config), [config.patch_size * 2**level for level in range(5)]
    return ResNetBackbone(config.depth), [4 * 2**level for level in range(5)]


def make_global_block(config: MaskRcnnConfig | CascadeConfig | HtcConfig) -> GlobalBlock | None:
    """That of HTC++, as wide as Swin's last stage, and skipped as often as its last block; None elsewhere."""
    backbone = config.backbone
    if not isinstance(config, HtcConfig) or not config.global_block or not isinstance(backbone, SwinConfig):
        return None
    return GlobalBlock(
        backbone.embed_dim * 2 ** (len(backbone.depths) - 1),
        backbone.num_heads[-1],
        mlp_ratio=backbone.mlp_ratio,
        drop_path_rate=backbone.drop_path_rate,
    )


def make_semantic_head(
    config: MaskRcnnConfig | CascadeConfig | HtcConfig, num_classes: int | None
) -> SemanticHead | None:
    """The semantic branch of HTC, if its config and its data have one."""
    if not isinstance(config, HtcConfig) or config.semantic == "none" or num_classes is None:
        return None
    return SemanticHead(config.channels, num_classes=num_classes)

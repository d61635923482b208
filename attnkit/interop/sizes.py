"""The configuration of a model, read off the shapes of its weights (under attnkit's names)."""

from collections.abc import Mapping
from math import inf, isqrt, nextafter
from typing import Literal

from torch import Tensor

from attnkit.errors import CheckpointError
from attnkit.interop.imported_weights import DetectedParts
from attnkit.interop.name_table import count, count_each
from attnkit.models.config import ResNetConfig, SwinConfig, UperNetConfig, ViTConfig
from attnkit.models.rcnn.config import (
    BoxHeadConfig,
    CascadeConfig,
    HtcConfig,
    MaskHeadConfig,
    MaskRcnnConfig,
    RoiAlignConfig,
    RpnConfig,
)

PUBLISHED_HEADS = {192: 3, 384: 6, 512: 8, 768: 12, 1024: 16, 1152: 16, 1280: 16, 1408: 16, 1664: 16}
"""Heads of the ViTs that were published, by embed_dim: a fused projection does not show how it is divided."""
STEM_STRIDE = 4
"""Of the root of a hybrid; each further stage of its ResNet halves the map again."""

POOL_SCALES = (1, 2, 3, 6)
"""Cells of pyramid pooling in every published UperNet: the branches do not show them."""
CASCADE_STAGES = 3
"""Stages of every published cascade: the weights do not show which overlap a stage asks for."""

Weights = Mapping[str, Tensor]


def vit_config(
    weights: Weights,
    *,
    num_heads: int | None,
    norm_eps: float = 1e-6,
    activation: Literal["gelu", "gelu_tanh"] = "gelu",
) -> ViTConfig:
    """The ViT that has such weights.

    Args:
        weights: by attnkit's names.
        num_heads: if it is known; else that of the published ViT of this width.
        norm_eps: of the source, since no weight shows it.
        activation: of the source, likewise.

    Raises:
        CheckpointError: the weights do not show an architecture, or not the number of heads.
    """
    patches = needed(weights, "patch_embed.proj.weight")
    embed_dim, patch_size = patches.shape[0], patches.shape[-1]
    hidden = needed(weights, "blocks.0.mlp.up.weight").shape[0]
    return ViTConfig(
        patch_size=patch_size,
        embed_dim=embed_dim,
        depth=count(weights, r"blocks\.(\d+)\."),
        num_heads=num_heads or _published_heads(embed_dim),
        mlp_ratio=_ratio(hidden, embed_dim),
        pooling="class_token" if "class_token" in weights else "average",
        representation="representation.weight" in weights,
        distillation="distillation_token" in weights,
        positions="learned" if "positions" in weights else "sincos",
        resnet_depths=_resnet_depths(weights),
        activation=activation,
        norm_eps=norm_eps,
    )


def vit_image_size(weights: Weights, config: ViTConfig, *, default: int = 224) -> int:
    """The image size that the rows of the position embedding are for; `default` where positions are computed.

    Raises:
        CheckpointError: the rows are those of no square grid.
    """
    if "positions" not in weights:
        return default
    special = int(config.pooling == "class_token") + int(config.distillation)
    cells = weights["positions"].shape[1] - special
    side = isqrt(max(cells, 0))
    if side * side != cells or not cells:
        raise CheckpointError(
            f"positions: {cells} rows for patches, which are no square grid; expected a square number of them; "
            "only models of square images can be imported"
        )
    return side * config.patch_size * _stem_stride(config)


def swin_config(weights: Weights) -> SwinConfig:
    """The Swin that has such weights; its drop path, which no weight shows, is left at 0.

    Raises:
        CheckpointError: the weights do not show an architecture.
    """
    patches = needed(weights, "patch_embed.proj.weight")
    depths = count_each(weights, r"stages\.", r"\.blocks\.(\d+)\.")
    tables = [needed(weights, f"stages.{stage}.blocks.0.attention.bias_table") for stage in range(len(depths))]
    hidden = needed(weights, "stages.0.blocks.0.mlp.up.weight").shape[0]
    return SwinConfig(
        name="swin",
        patch_size=patches.shape[-1],
        embed_dim=patches.shape[0],
        depths=depths,
        num_heads=tuple(table.shape[1] for table in tables),
        window_size=(isqrt(max(len(table) for table in tables)) + 1) // 2,
        mlp_ratio=_ratio(hidden, patches.shape[0]),
        drop_path_rate=0.0,
    )


def swin_image_size(config: SwinConfig) -> int:
    """The size that a Swin was most likely trained at, where the last stage is a single window."""
    stages = len(config.depths)
    return int(config.window_size * config.patch_size * 2 ** (stages - 1))


def upernet_config(
    weights: Weights, backbone: SwinConfig | ViTConfig | ResNetConfig, *, pool_scales: tuple[int, ...] | None = None
) -> UperNetConfig:
    """The UperNet that has such weights.

    Args:
        weights: by attnkit's names.
        backbone: what was read off its part of them.
        pool_scales: where the source says them.

    Raises:
        CheckpointError: the weights do not show an architecture, or another number of branches than scales.
    """
    channels = needed(weights, "fuse.conv.weight").shape[0]
    branches, scales = count(weights, r"pyramid\.branches\.(\d+)\."), pool_scales or POOL_SCALES
    if branches != len(scales):
        raise CheckpointError(
            f"pyramid: {branches} branches, and which scales they pool to no weight shows; expected {len(scales)}, "
            f"for {', '.join(map(str, scales))} cells; only such models can be imported"
        )
    auxiliary = weights.get("auxiliary.conv.conv.weight")
    neck = any(name.startswith("neck.") for name in weights)
    return UperNetConfig(
        backbone=backbone,
        channels=channels,
        pool_scales=scales,
        auxiliary_channels=0 if auxiliary is None else len(auxiliary),
        neck="none" if isinstance(backbone, ViTConfig) and not neck else "multi_level",
    )


def needed(weights: Weights, name: str) -> Tensor:
    """A weight that sizes are read off.

    Raises:
        CheckpointError: it is not there.
    """
    if name not in weights:
        raise CheckpointError(
            f"{name}: not in the file; expected it, since the sizes of the model are read off it; give a whole file"
        )
    return weights[name]


def _ratio(hidden: int, embed_dim: int) -> float:
    """The ratio that gives `hidden` again when the product is rounded down."""
    ratio = hidden / embed_dim
    return ratio if int(embed_dim * ratio) == hidden else nextafter(ratio, inf)


def _published_heads(embed_dim: int) -> int:
    if embed_dim not in PUBLISHED_HEADS:
        raise CheckpointError(
            f"num_heads: the weights do not show it and no published ViT is {embed_dim} wide; "
            "expected the number of attention heads; give it with --num-heads"
        )
    return PUBLISHED_HEADS[embed_dim]


def _resnet_depths(weights: Weights) -> tuple[int, ...] | None:
    if not any(name.startswith("patch_embed.stem.") for name in weights):
        return None
    return count_each(weights, r"patch_embed\.stem\.stages\.", r"\.(\d+)\.")


def _stem_stride(config: ViTConfig) -> int:
    if config.resnet_depths is None:
        return 1
    return int(STEM_STRIDE * 2 ** max(len(config.resnet_depths) - 1, 0))


def rcnn_config(
    weights: Weights,
    backbone: SwinConfig | ResNetConfig,
    *,
    rpn: RpnConfig,
    roi_align: RoiAlignConfig | None = None,
    frozen_norms: bool = False,
) -> MaskRcnnConfig | CascadeConfig | HtcConfig:
    """The detector that has such weights.

    Args:
        weights: by attnkit's names.
        backbone: what was read off its part of them.
        rpn: the anchors of the source, since no weight shows more of them than their number.
        roi_align: of the source; none is mmdetection's.
        frozen_norms: whether the source keeps the batch norms of its backbone.

    Raises:
        CheckpointError: the weights do not show an architecture, or another number of anchors or stages.
    """
    _check_anchors(weights, rpn)
    stages = count(weights, r"box_heads\.(\d+)\.")
    shared = {
        "backbone": backbone,
        "channels": needed(weights, "fpn.laterals.0.weight").shape[0],
        "rpn": rpn,
        "roi_align": roi_align or RoiAlignConfig(),
        "box_head": _box_head(weights),
        "mask_head": _mask_head(weights),
        "frozen_norms": frozen_norms,
    }
    if stages == 1:
        return MaskRcnnConfig.model_validate(shared)
    if stages != CASCADE_STAGES:
        raise CheckpointError(
            f"box_heads: {stages} stages, and which overlap each of them asks for no weight shows; expected 1, or "
            f"{CASCADE_STAGES} as every published cascade has; only such detectors can be imported"
        )
    if not any(name.startswith("semantic.") or ".flow." in name for name in weights):
        return CascadeConfig.model_validate(shared | {"name": "cascade_mask_rcnn"})
    semantic = "none" if detected_parts(weights).semantic_classes is None else "maps"
    return HtcConfig.model_validate(shared | {"name": "htc", "semantic": semantic})


def detected_parts(weights: Weights) -> DetectedParts:
    """Which parts a detector of such weights has."""
    semantic = weights.get("semantic.logits.weight")
    return DetectedParts(
        masks=any(name.startswith("mask_heads.") for name in weights),
        semantic_classes=None if semantic is None else len(semantic),
    )


def rcnn_heads(weights: Weights) -> tuple[str, ...]:
    """The layers that know the classes; that of pixels is not among them, whose classes are others."""
    stages = range(count(weights, r"box_heads\.(\d+)\."))
    names = [f"box_heads.{stage}.{part}" for stage in stages for part in ("classes", "deltas")]
    return (*names, *(f"mask_heads.{stage}.logits" for stage in stages if detected_parts(weights).masks))


def _check_anchors(weights: Weights, rpn: RpnConfig) -> None:
    anchors, ratios = len(needed(weights, "rpn.objectness.weight")), rpn.anchor_ratios
    if anchors != len(ratios):
        raise CheckpointError(
            f"rpn: {anchors} anchors per cell, and what they are no weight shows; expected {len(ratios)}, of the "
            f"ratios {', '.join(f'{ratio:g}' for ratio in ratios)}; only such detectors can be imported"
        )


def _box_head(weights: Weights) -> BoxHeadConfig:
    """Cascades with convolutions are trained by overlap, others by offsets, in all that was published."""
    convs = count(weights, r"box_heads\.0\.convs\.(\d+)\.")
    classes, deltas = (len(needed(weights, f"box_heads.0.{part}.weight")) for part in ("classes", "deltas"))
    return BoxHeadConfig(
        name="4conv1fc" if convs else "2fc",
        channels=needed(weights, "box_heads.0.fcs.0.weight").shape[0],
        class_specific=deltas == 4 * (classes - 1),
        loss="giou" if convs else "l1",
    )


def _mask_head(weights: Weights) -> MaskHeadConfig:
    if not detected_parts(weights).masks:
        return MaskHeadConfig()
    return MaskHeadConfig(
        convs=count(weights, r"mask_heads\.0\.convs\.(\d+)\."),
        channels=needed(weights, "mask_heads.0.logits.weight").shape[1],
    )

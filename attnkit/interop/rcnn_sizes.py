"""The configuration of a detector, read off the shapes of its weights (under attnkit's names)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from attnkit.errors import CheckpointError
from attnkit.interop.imported_weights import DetectedParts
from attnkit.interop.name_table import count
from attnkit.interop.sizes import needed
from attnkit.models.config import ResNetConfig, SwinConfig
from attnkit.models.rcnn.config import (
    BoxHeadConfig,
    CascadeConfig,
    HtcConfig,
    MaskHeadConfig,
    MaskRcnnConfig,
    RoiAlignConfig,
    RpnConfig,
)

Weights = Mapping[str, Tensor]

STAGES = 3
"""Of every published cascade: which overlap a stage asks for no weight shows."""


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
    if stages != STAGES:
        raise CheckpointError(
            f"box_heads: {stages} stages, and which overlap each of them asks for no weight shows; expected 1, or "
            f"{STAGES} as every published cascade has; only such detectors can be imported"
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

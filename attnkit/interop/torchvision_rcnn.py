"""Weights of torchvision's detectors (https://github.com/pytorch/vision): Mask R-CNN and Faster R-CNN on a ResNet with
a pyramid, in and out.

torchvision's background is the first class, attnkit's the last; and torchvision has offsets and masks for it too, which
nothing reads. Norms of published weights have an epsilon of 0; that is put into their weights here.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from attnkit.data.detection.config import DetectionImageConfig
from attnkit.interop.coco_classes import TORCHVISION, assumed_names, torchvision_classes
from attnkit.interop.foreign_file import ForeignFile
from attnkit.interop.imported_weights import ImportedWeights, size_note
from attnkit.interop.name_table import backbone_weights, count, to_foreign_names, to_own_names
from attnkit.interop.sizes import detected_parts, rcnn_config, rcnn_heads
from attnkit.interop.torchvision_weights import resnet_config
from attnkit.models.config import ResNetConfig
from attnkit.models.rcnn.config import CascadeConfig, HtcConfig, MaskRcnnConfig, RoiAlignConfig, RpnConfig

Weights = Mapping[str, Tensor]

ANCHORS = RpnConfig(rounded_anchors=True)
POOLING = RoiAlignConfig(aligned=False, sampling_ratio=2)
"""torchvision's."""
OLD_NAMES = (
    (r"^(backbone\.fpn\.(?:inner|layer)_blocks\.\d+)\.(weight|bias)$", r"\1.0.\2"),
    (r"^rpn\.head\.conv\.(weight|bias)$", r"rpn.head.conv.0.0.\1"),
)
"""Of published files, and those of today."""
OLD_MASK_LAYER = re.compile(r"^roi_heads\.mask_head\.mask_fcn(\d+)\.(weight|bias)$")
NORM_EPS = 1e-5
EPS_NOTE = (
    "epsilon of the norms: that of torchvision's frozen ones, which no weight shows; taken to be 0, as in all that it "
    "published and in what is trained on from these"
)
SIZE_NOTE = size_note("torchvision's 800 for the shorter side and at most 1333 for the longer one")
BOX_HEAD, MASK_HEAD = "box_heads.0", "mask_heads.0"
CLASSES = f"{BOX_HEAD}.classes"
BACKGROUND_ROWS = {f"{BOX_HEAD}.deltas": 4, f"{MASK_HEAD}.logits": 1}
"""Of the first class there."""


def matches(file: ForeignFile) -> bool:
    """Whether these are the names of torchvision's Faster or Mask R-CNN on a ResNet."""
    return {"backbone.body.layer1.0.conv1.weight", "roi_heads.box_predictor.cls_score.weight"} <= file.tensors.keys()


def import_rcnn(file: ForeignFile, _num_heads: int | None = None) -> ImportedWeights:
    """A detector of torchvision.

    Raises:
        CheckpointError: its ResNet has another number of blocks than those that attnkit has.
    """
    tensors = {_today(name): tensor for name, tensor in file.tensors.items()}
    weights, unknown = to_own_names(tensors, _names(_mask_convs(tensors), _body(tensors)))
    frozen = not any(name.endswith(".num_batches_tracked") for name in tensors)
    if frozen:
        weights |= _with_epsilon(weights)
    weights = _background_last(weights)
    config = rcnn_config(
        weights,
        resnet_config(backbone_weights(weights), file.path),
        rpn=ANCHORS,
        roi_align=POOLING,
        frozen_norms=frozen,
    )
    names, class_note = _class_names(len(weights[f"{CLASSES}.weight"]) - 1)
    return ImportedWeights(
        "torchvision",
        config,
        DetectionImageConfig(),
        weights,
        heads=rcnn_heads(weights),
        unknown=unknown,
        class_names=names,
        class_note=class_note,
        notes=(EPS_NOTE,) if frozen else (),
        size_note=SIZE_NOTE,
        parts=detected_parts(weights),
    )


def has(config: MaskRcnnConfig | CascadeConfig | HtcConfig) -> bool:
    """Whether torchvision has such a detector."""
    head = config.box_head
    return (
        isinstance(config, MaskRcnnConfig)
        and isinstance(config.backbone, ResNetConfig)
        and head.name == "2fc"
        and head.class_specific
    )


def export_rcnn(
    weights: Weights, config: MaskRcnnConfig | CascadeConfig | HtcConfig
) -> tuple[dict[str, Tensor], list[str]]:
    """Weights under torchvision's names, and attnkit's names of those that it has no place for.

    What torchvision has for the background, and nothing reads, is zeros.
    """
    body = [name.removeprefix("backbone.") for name in weights if name.startswith("backbone.")]
    return to_foreign_names(_background_first(weights), _names(config.mask_head.convs, body))


def differences(config: MaskRcnnConfig) -> tuple[str, ...]:
    """What torchvision's maskrcnn_resnet50_fpn does otherwise with the same weights, a line each."""
    lines = []
    if config.roi_align != POOLING:
        lines.append(
            "regions: torchvision reads them off half a cell aside, with 2 points per side of a bin; boxes and masks "
            "differ a little"
        )
    rpn = config.rpn
    if (rpn.anchor_scale, rpn.anchor_ratios) != (ANCHORS.anchor_scale, ANCHORS.anchor_ratios):
        sizes = tuple((round(rpn.anchor_scale * stride),) for stride in (4, 8, 16, 32, 64))
        lines.append(
            f"anchors: not torchvision's; build it with rpn_anchor_generator=AnchorGenerator({sizes}, "
            f"({rpn.anchor_ratios},) * 5)"
        )
    if not rpn.rounded_anchors:
        lines.append("anchors: torchvision rounds their corners to whole pixels; boxes differ a little")
    return tuple(lines)


def how_to_build(image: DetectionImageConfig, *, num_classes: int) -> str:
    """What torchvision's constructor is to be told, since the file does not say it."""
    return (
        "images: torchvision's file does not say how; build it with weights_backbone=None, "
        f"num_classes={num_classes + 1}, min_size={image.short_side}, max_size={image.long_side}, "
        f"image_mean={list(image.mean)}, image_std={list(image.std)}"
    )


def _today(name: str) -> str:
    for pattern, replacement in OLD_NAMES:
        name = re.sub(pattern, replacement, name)
    old = OLD_MASK_LAYER.match(name)
    return f"roi_heads.mask_head.{int(old[1]) - 1}.0.{old[2]}" if old else name


def _body(tensors: Weights) -> list[str]:
    prefix = "backbone.body."
    return [name.removeprefix(prefix) for name in tensors if name.startswith(prefix)]


def _mask_convs(tensors: Weights) -> int:
    return count(tensors, r"roi_heads\.mask_head\.(\d+)\.")


def _names(mask_convs: int, body: list[str]) -> dict[str, str]:
    """Names of attnkit to torchvision's.

    Args:
        mask_convs: of the mask head.
        body: names of the backbone's weights, in which the two agree.
    """
    names = {f"backbone.{name}": f"backbone.body.{name}" for name in body}
    for level in range(4):
        names[f"fpn.laterals.{level}"] = f"backbone.fpn.inner_blocks.{level}.0"
        names[f"fpn.outputs.{level}"] = f"backbone.fpn.layer_blocks.{level}.0"
    names |= {f"{MASK_HEAD}.convs.{i}": f"roi_heads.mask_head.{i}.0" for i in range(mask_convs)}
    return names | {
        "rpn.conv": "rpn.head.conv.0.0",
        "rpn.objectness": "rpn.head.cls_logits",
        "rpn.deltas": "rpn.head.bbox_pred",
        f"{BOX_HEAD}.fcs.0": "roi_heads.box_head.fc6",
        f"{BOX_HEAD}.fcs.1": "roi_heads.box_head.fc7",
        CLASSES: "roi_heads.box_predictor.cls_score",
        f"{BOX_HEAD}.deltas": "roi_heads.box_predictor.bbox_pred",
        f"{MASK_HEAD}.deconv": "roi_heads.mask_predictor.conv5_mask",
        f"{MASK_HEAD}.logits": "roi_heads.mask_predictor.mask_fcn_logits",
    }


def _background_last(weights: Weights) -> dict[str, Tensor]:
    """Its logit behind those of the classes, and nothing else of it."""
    turned = dict(weights)
    for name, rows in weights.items():
        layer = name.rpartition(".")[0]
        if layer == CLASSES:
            turned[name] = rows.roll(-1, dims=0)
        elif layer in BACKGROUND_ROWS:
            turned[name] = rows[BACKGROUND_ROWS[layer] :]
    return turned


def _background_first(weights: Weights) -> dict[str, Tensor]:
    turned = dict(weights)
    for name, rows in weights.items():
        layer = name.rpartition(".")[0]
        if layer == CLASSES:
            turned[name] = rows.roll(1, dims=0)
        elif layer in BACKGROUND_ROWS:
            turned[name] = torch.cat([rows.new_zeros(BACKGROUND_ROWS[layer], *rows.shape[1:]), rows])
    return turned


def _with_epsilon(weights: Weights) -> dict[str, Tensor]:
    """Norms that with an epsilon give what these give without one; and the counts that frozen norms do not keep."""
    norms = {}
    for name, variance in weights.items():
        norm, _, part = name.rpartition(".")
        if part == "running_var" and f"{norm}.weight" in weights:
            norms[f"{norm}.weight"] = weights[f"{norm}.weight"] * ((variance + NORM_EPS) / variance).sqrt()
            norms[f"{norm}.num_batches_tracked"] = torch.tensor(0)
    return norms


def _class_names(num_classes: int) -> tuple[tuple[str, ...] | None, str | None]:
    """The names, and what is assumed of them."""
    return (torchvision_classes(), None) if num_classes == TORCHVISION else assumed_names(num_classes)

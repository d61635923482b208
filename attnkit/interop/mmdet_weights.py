"""Weights of the detectors of mmdetection (https://github.com/open-mmlab/mmdetection), version 2 and 3: Mask R-CNN,
Cascade Mask R-CNN and HTC, and Faster R-CNN and cascades without masks, on Swin and ResNet; and of the official Swin
for detection (https://github.com/SwinTransformer/Swin-Transformer-Object-Detection), which is built on it: its heads
have the same names, its backbone those of the official classifier.

Beside the weights mmdetection writes its whole configuration, a Python program, which is parsed here and never run.

The background is the last class, and anchors, offsets, pooling of regions and the means over stages are those of
attnkit: only names differ.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from attnkit.data.detection.config import DetectionImageConfig
from attnkit.errors import CheckpointError
from attnkit.interop.coco_classes import assumed_names
from attnkit.interop.foreign_file import ForeignFile
from attnkit.interop.imported_weights import ImportedWeights, size_note
from attnkit.interop.name_table import STATISTICS, count, to_own_names
from attnkit.interop.openmmlab import OFFICIAL_BLOCK, RESNET_BLOCK, SWIN_BLOCK, backbone_of, class_names
from attnkit.interop.sizes import detected_parts, rcnn_config, rcnn_heads
from attnkit.models.config import ResNetConfig
from attnkit.models.rcnn.config import RpnConfig

LEVELS, SEMANTIC_LEVELS = 4, 5
"""Maps that the pyramid stands on, and levels of it that the semantic branch sees."""
BOX_HEAD, MASK_HEAD, SEMANTIC_HEAD = "roi_head.bbox_head", "roi_head.mask_head", "roi_head.semantic_head"
SIZE_NOTE = size_note("800 for the shorter side and at most 1333 for the longer one, as for COCO")
CONFIG_KEYS = ("cfg", "config")
"""Of the configuration in the file's `meta`, of version 3 and of version 2."""


def matches(file: ForeignFile) -> bool:
    """Whether these are the names of mmdetection, on a backbone that attnkit has."""
    return _is_rcnn(file) and (SWIN_BLOCK in file.tensors or RESNET_BLOCK in file.tensors)


def matches_official(file: ForeignFile) -> bool:
    """Whether these are the names of the official Swin for detection."""
    return _is_rcnn(file) and OFFICIAL_BLOCK in file.tensors


def import_official(file: ForeignFile, _num_heads: int | None = None) -> ImportedWeights:
    """A detector on an official Swin; the weights show its attention heads themselves."""
    return _imported(file, "the official Swin for detection")


def import_rcnn(file: ForeignFile, _num_heads: int | None = None) -> ImportedWeights:
    """A detector of mmdetection.

    Raises:
        CheckpointError: its ResNet is one that attnkit does not have.
    """
    return _imported(file, "mmdetection")


def rcnn_names(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Names of attnkit for all but the backbone to mmdetection's.

    Args:
        tensors: by mmdetection's names; they show how many stages and layers there are.
    """
    names = {"rpn.conv": "rpn_head.rpn_conv", "rpn.objectness": "rpn_head.rpn_cls", "rpn.deltas": "rpn_head.rpn_reg"}
    for level in range(LEVELS):
        names[f"fpn.laterals.{level}"] = f"neck.lateral_convs.{level}.conv"
        names[f"fpn.outputs.{level}"] = f"neck.fpn_convs.{level}.conv"
    for own, theirs in _stages(tensors, BOX_HEAD, own="box_heads").items():
        names |= _box_names(tensors, own, theirs)
    for own, theirs in _stages(tensors, MASK_HEAD, own="mask_heads").items():
        names |= _mask_names(tensors, own, theirs)
    return names | _semantic_names(tensors)


def _is_rcnn(file: ForeignFile) -> bool:
    return "rpn_head.rpn_cls.weight" in file.tensors and any(name.startswith(BOX_HEAD) for name in file.tensors)


def _imported(file: ForeignFile, source: str) -> ImportedWeights:
    settings = read_settings(file.meta)
    _refuse_others(file, settings)
    backbone = backbone_of(file)
    weights, unknown = to_own_names(backbone.tensors, backbone.names | rcnn_names(backbone.tensors))
    config = rcnn_config(
        weights,
        backbone.config,
        rpn=_rpn(settings, cascade="box_heads.1.classes.weight" in weights),
        frozen_norms=isinstance(backbone.config, ResNetConfig),
    )
    names, class_note = class_names(file.meta), None
    if names is None:
        names, class_note = assumed_names(len(weights["box_heads.0.classes.weight"]) - 1)
    return ImportedWeights(
        source,
        config,
        _image(settings),
        weights,
        heads=rcnn_heads(weights),
        unknown=unknown,
        left_out=backbone.left_out,
        class_names=names,
        class_note=class_note,
        size_note=None if settings.sides else SIZE_NOTE,
        parts=detected_parts(weights),
    )


def _refuse_others(file: ForeignFile, settings: "MmdetSettings") -> None:
    if settings.caffe:
        raise CheckpointError(
            f"{file.path}: a ResNet in Caffe's style by its configuration (style='caffe'), which halves maps in the "
            "first convolution of a block and takes blue, green, red; expected style='pytorch'; fetch such weights"
        )
    if settings.blue_first:
        raise CheckpointError(
            f"{file.path}: takes blue, green, red by its configuration (to_rgb=False); expected weights for red, "
            "green, blue; fetch such weights"
        )


def _rpn(settings: "MmdetSettings", *, cascade: bool) -> RpnConfig:
    """With the anchors of the file, to be trained as mmdetection trains that of a cascade, or of Mask R-CNN."""
    found = {"anchor_scale": settings.anchor_scale, "anchor_ratios": settings.anchor_ratios}
    trained = {"inner_anchors": True} if cascade else {"loss": "l1", "train_kept": 1000}
    return RpnConfig.model_validate({key: value for key, value in found.items() if value is not None} | trained)


def _image(settings: "MmdetSettings") -> DetectionImageConfig:
    found: dict[str, object] = {}
    if settings.sides is not None:
        found["short_side"], found["long_side"] = settings.sides
    if settings.mean is not None and settings.std is not None:
        found["mean"] = tuple(round(part / 255, 6) for part in settings.mean)
        found["std"] = tuple(round(part / 255, 6) for part in settings.std)
    return DetectionImageConfig.model_validate(found)


def _stages(tensors: Mapping[str, Tensor], theirs: str, *, own: str) -> dict[str, str]:
    """The heads of each stage; mmdetection numbers those of cascades alone."""
    stages = count(tensors, rf"{theirs}\.(\d+)\.")
    if stages:
        return {f"{own}.{stage}": f"{theirs}.{stage}" for stage in range(stages)}
    return {f"{own}.0": theirs}


def _box_names(tensors: Mapping[str, Tensor], own: str, theirs: str) -> dict[str, str]:
    names = {f"{own}.classes": f"{theirs}.fc_cls", f"{own}.deltas": f"{theirs}.fc_reg"}
    names |= {f"{own}.fcs.{i}": f"{theirs}.shared_fcs.{i}" for i in range(count(tensors, _layers(theirs, "fcs")))}
    for i in range(count(tensors, _layers(theirs, "convs"))):
        conv, norm = f"{own}.convs.{i}.conv", f"{own}.convs.{i}.norm"
        names |= {conv: f"{theirs}.shared_convs.{i}.conv", norm: f"{theirs}.shared_convs.{i}.bn"}
        names |= {f"{norm}.{kept}": f"{theirs}.shared_convs.{i}.bn.{kept}" for kept in STATISTICS}
    return names


def _layers(head: str, kind: str) -> str:
    return rf"{head}\.shared_{kind}\.(\d+)\."


def _mask_names(tensors: Mapping[str, Tensor], own: str, theirs: str) -> dict[str, str]:
    names = {
        f"{own}.flow": f"{theirs}.conv_res.conv",
        f"{own}.deconv": f"{theirs}.upsample",
        f"{own}.logits": f"{theirs}.conv_logits",
    }
    convs = count(tensors, rf"{theirs}\.convs\.(\d+)\.")
    return names | {f"{own}.convs.{i}": f"{theirs}.convs.{i}.conv" for i in range(convs)}


def _semantic_names(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    convs = count(tensors, rf"{SEMANTIC_HEAD}\.convs\.(\d+)\.")
    names = {
        "semantic.embedding": f"{SEMANTIC_HEAD}.conv_embedding.conv",
        "semantic.logits": f"{SEMANTIC_HEAD}.conv_logits",
    }
    names |= {f"semantic.laterals.{i}": f"{SEMANTIC_HEAD}.lateral_convs.{i}.conv" for i in range(SEMANTIC_LEVELS)}
    return names | {f"semantic.convs.{i}": f"{SEMANTIC_HEAD}.convs.{i}.conv" for i in range(convs)}


@dataclass(frozen=True)
class MmdetSettings:
    """What was found of it; None where nothing was.

    Attributes:
        sides: the shorter and the longer side of test images.
        mean: of red, green and blue, on 0..255.
        std: likewise.
        anchor_scale: side of the square anchor, in cells.
        anchor_ratios: height over width.
        blue_first: channels stay in the order in which OpenCV reads them.
        caffe: a ResNet whose bottlenecks halve the map in their first convolution.
    """

    sides: tuple[int, int] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    anchor_scale: float | None = None
    anchor_ratios: tuple[float, ...] | None = None
    blue_first: bool = False
    caffe: bool = False


def read_settings(meta: Mapping[str, Any]) -> MmdetSettings:
    """The settings in the `meta` of a file; whatever cannot be read is left out."""
    text = next((meta[key] for key in CONFIG_KEYS if isinstance(meta.get(key), str)), "")
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return MmdetSettings()
    everything = list(_dicts(tree))
    anchors = _of_type(everything, "AnchorGenerator")
    scales = _numbers(anchors.get("scales"))
    pixels = next((found for found in everything if {"mean", "std"} <= found.keys()), {})
    return MmdetSettings(
        sides=_sides(tree),
        mean=_numbers(pixels["mean"], count=3, least=0.0) if pixels else None,
        std=_numbers(pixels["std"], count=3) if pixels else None,
        anchor_scale=scales[0] if scales is not None and len(scales) == 1 else None,
        anchor_ratios=_numbers(anchors.get("ratios")),
        blue_first=any(pixels.get(key) is False for key in ("to_rgb", "bgr_to_rgb")),
        caffe=any(found.get("style") == "caffe" for found in everything),
    )


def _sides(tree: ast.Module) -> tuple[int, int] | None:
    """Of the resizing of test images, whichever way round it is written."""
    pipelines = [node for node in tree.body if isinstance(node, ast.Assign) and _assigned(node) == "test_pipeline"]
    for pipeline in pipelines:
        for found in _dicts(pipeline):
            scale = _numbers(found.get("img_scale", found.get("scale")), count=2)
            if scale is not None:
                return int(min(scale)), int(max(scale))
    return None


def _assigned(node: ast.Assign) -> str:
    (target, *_) = node.targets
    return target.id if isinstance(target, ast.Name) else ""


def _dicts(tree: ast.AST) -> Iterator[dict[str, Any]]:
    """Every `dict(...)` and `{...}`, with those of its values that are plain."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
            yield {keyword.arg: _plain(keyword.value) for keyword in node.keywords if keyword.arg is not None}
        elif isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            yield {str(key.value): _plain(value) for key, value in pairs if isinstance(key, ast.Constant)}


def _plain(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError):
        return None


def _of_type(dicts: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next((found for found in dicts if found.get("type") == name), {})


def _numbers(value: Any, *, count: int | None = None, least: float = 1e-9) -> tuple[float, ...] | None:
    if not isinstance(value, list | tuple) or (count is not None and len(value) != count):
        return None
    if not value or not all(isinstance(number, int | float) and number >= least for number in value):
        return None
    return tuple(value)

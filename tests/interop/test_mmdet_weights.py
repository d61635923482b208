"""Weights of mmdetection's detectors and of the official Swin for detection in: what they found is found."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from attnkit.errors import CheckpointError
from attnkit.interop.imported_weights import DetectedParts, ImportedWeights
from attnkit.interop.mmdet_weights import MmdetSettings, read_settings
from attnkit.models.rcnn.config import BoxHeadConfig, HtcConfig, RpnConfig
from attnkit.models.rcnn.rcnn import Rcnn
from tests.interop.foreign_weights import close, fit, read
from tests.interop.mmdet_names import MMDET, OFFICIAL, RESNET, as_mmdet
from tests.models.rcnn.nano import CONFIGS, K, S, build, images
from tests.models.rcnn.nano import RESNET as RESNET_18

RPN = RpnConfig(loss="l1", train_kept=1000)
CASCADE_RPN = RpnConfig(inner_anchors=True)
AGNOSTIC = BoxHeadConfig(channels=13, class_specific=False)
CASES: dict[str, tuple[str, dict[str, Any], Any, str]] = {
    "mask_rcnn": ("mask_rcnn", {}, OFFICIAL, "the official Swin for detection"),
    "mask_rcnn of mmdetection": ("mask_rcnn", {}, MMDET, "mmdetection"),
    "mask_rcnn on resnet": ("mask_rcnn", {"backbone": RESNET_18, "frozen_norms": True}, RESNET, "mmdetection"),
    "boxes alone": ("mask_rcnn", {"masks": False}, OFFICIAL, "the official Swin for detection"),
    "cascade": ("cascade", {}, MMDET, "mmdetection"),
    "cascade, one box for all classes": (
        "cascade",
        {"box_head": AGNOSTIC},
        OFFICIAL,
        "the official Swin for detection",
    ),
    "htc": ("htc", {"semantic": "maps"}, OFFICIAL, "the official Swin for detection"),
    "htc without semantics": ("htc", {"semantic": "none"}, MMDET, "mmdetection"),
}


def detector(name: str, **changes: Any) -> Rcnn:
    return build(name, rpn=RPN if name == "mask_rcnn" else CASCADE_RPN, **changes)


def saved(tensors: dict[str, Tensor], path: Path, **meta: Any) -> Path:
    torch.save({"meta": meta, "state_dict": tensors}, path)
    return path


def rebuilt(imported: ImportedWeights) -> Rcnn:
    fitted = fit(imported)
    assert fitted.parts is not None
    model = Rcnn(fitted.model, num_classes=fitted.num_classes, **asdict(fitted.parts))
    model.load_state_dict(fitted.weights, strict=True)
    return model.eval()


@torch.inference_mode()
def outputs(model: Rcnn) -> list[Tensor]:
    """What the stages say of given regions, and the semantic branch of the image."""
    maps = model.features(images(batch=1))
    boxes = torch.tensor([[3.0, 5, 40, 61], [20, 11, 90, 30], [7, 7, 13, 19]])
    ((moved, probs),) = model.classify(maps, [boxes], [(64, 96)])
    proposals = model.propose(maps, [(64, 96)])[0][0]
    found = [moved, probs, proposals]
    if model.has_masks:
        found += model.predict_masks(maps, [boxes], [torch.tensor([4, 0, 2])])
    return found if model.semantic is None else [*found, model.semantic.logits(maps.fused)]


@pytest.mark.parametrize("case", CASES)
def test_in(tmp_path: Path, case: str) -> None:
    name, changes, names, source = CASES[case]
    own = detector(name, **changes)
    imported = read(saved(as_mmdet(own, names), tmp_path / "w.pth"))
    assert (imported.source, imported.num_classes, imported.unknown) == (source, K, {})
    semantic_classes = S if changes.get("semantic") == "maps" else None
    assert imported.parts == DetectedParts(masks=own.has_masks, semantic_classes=semantic_classes)
    config, expected = imported.model, own.config
    assert (type(config), config.backbone, config.channels) == (type(expected), expected.backbone, expected.channels)
    assert (config.box_head.name, config.box_head.channels) == (expected.box_head.name, expected.box_head.channels)
    assert config.box_head.class_specific == expected.box_head.class_specific
    assert config.frozen_norms == expected.frozen_norms
    if own.has_masks:
        assert config.mask_head == expected.mask_head
    if isinstance(expected, HtcConfig):
        assert config.semantic == expected.semantic
    for mine, theirs in zip(outputs(rebuilt(imported)), outputs(own), strict=True):
        close(mine, theirs)


def test_what_is_assumed(tmp_path: Path) -> None:
    imported = read(saved(as_mmdet(detector("cascade"), OFFICIAL), tmp_path / "w.pth"))
    assert (imported.model.box_head.loss, imported.model.rpn.anchor_scale) == ("giou", 8.0)
    assert (imported.image.short_side, imported.image.long_side, imported.image_size) == (800, 1333, 800)
    assert imported.size_note is not None
    assert imported.size_note.startswith("size of the images: no weight shows it; taken to be 800 for the shorter")
    assert (imported.class_names, imported.class_note) == (None, None)
    assert len(imported.left_out) == 5
    assert imported.left_out[0] == "backbone.layers.0.blocks.0.attn.relative_position_index"


def test_what_the_file_says(tmp_path: Path) -> None:
    config = """
model = dict(rpn_head=dict(anchor_generator=dict(type='AnchorGenerator', scales=[4], ratios=[0.4, 1.0, 2.5])))
test_pipeline = [dict(type='Resize', scale=(1000, 600), keep_ratio=True)]
"""
    names = ["ant", "bee", "cat", "dog", "elk"]
    path = saved(as_mmdet(detector("htc", semantic="none"), MMDET), tmp_path / "w.pth", cfg=config, CLASSES=names)
    imported = read(path)
    assert imported.class_names == tuple(names)
    assert (imported.image.short_side, imported.image.long_side, imported.size_note) == (600, 1000, None)
    assert (imported.model.rpn.anchor_scale, imported.model.rpn.anchor_ratios) == (4.0, (0.4, 1.0, 2.5))


def test_the_heads_that_know_the_classes(tmp_path: Path) -> None:
    imported = read(saved(as_mmdet(detector("htc", semantic="maps"), OFFICIAL), tmp_path / "w.pth"))
    fitted = fit(imported, num_classes=3)
    own = Rcnn(fitted.model, num_classes=3, masks=True, semantic_classes=S)
    own.load_state_dict(fitted.weights, strict=True)
    assert fitted.fresh_heads == tuple(name for name in own.head_names if not name.startswith("semantic."))
    assert not fitted.weights["box_heads.2.classes.weight"].any()
    assert fitted.weights["semantic.logits.weight"].abs().max() > 0.1, "its classes are others"


def test_windows_below_a_detector(tmp_path: Path) -> None:
    imported = read(saved(as_mmdet(detector("mask_rcnn"), OFFICIAL), tmp_path / "w.pth"))
    fitted = fit(imported, window_size=5)
    assert (fitted.model.backbone.window_size, len(fitted.resized)) == (5, 5)


@pytest.mark.parametrize("change", ["missing", "unexpected", "misshapen"])
def test_weights_that_do_not_fit(tmp_path: Path, change: str) -> None:
    tensors = as_mmdet(detector("cascade"), OFFICIAL)
    name, line = {
        "missing": ("roi_head.mask_head.1.upsample.bias", "missing: mask_heads.1.deconv.bias 6"),
        "unexpected": ("roi_head.bbox_head.1.shared_fcs.1.bias", "unexpected: box_heads.1.fcs.1.bias 3"),
        "misshapen": ("neck.fpn_convs.3.conv.bias", "misshapen: fpn.outputs.3.bias is 3 in the file, 8 in the model"),
    }[change]
    if change == "missing":
        del tensors[name]
    else:
        tensors[name] = torch.zeros(3)
    with pytest.raises(
        CheckpointError,
        match=r"^the official Swin for detection: 1 weights do not fit the model swin \(.*\) below cascade_mask_rcnn "
        rf"\(channels 8\); expected all .*\n  {re.escape(line)}$",
    ):
        fit(read(saved(tensors, tmp_path / "w.pth")))


def test_weights_without_a_place(tmp_path: Path) -> None:
    tensors = as_mmdet(detector("mask_rcnn"), OFFICIAL) | {"roi_head.mask_iou_head.fc.weight": torch.zeros(2, 3)}
    with pytest.raises(CheckpointError, match=r"\n  unexpected: roi_head.mask_iou_head.fc.weight 2x3$"):
        fit(read(saved(tensors, tmp_path / "w.pth")))


def test_two_stages(tmp_path: Path) -> None:
    tensors = as_mmdet(detector("cascade"), OFFICIAL)
    tensors = {name: tensor for name, tensor in tensors.items() if "_head.2." not in name}
    with pytest.raises(
        CheckpointError,
        match=r"^box_heads: 2 stages, and which overlap each of them asks for no weight shows; expected 1, or 3 as",
    ):
        read(saved(tensors, tmp_path / "w.pth"))


def test_other_anchors(tmp_path: Path) -> None:
    tensors = as_mmdet(detector("mask_rcnn", masks=False), OFFICIAL)
    tensors["rpn_head.rpn_cls.weight"] = torch.zeros(9, 8, 1, 1)
    with pytest.raises(
        CheckpointError,
        match=r"^rpn: 9 anchors per cell, and what they are no weight shows; expected 3, of the ratios 0.5, 1, 2; only",
    ):
        read(saved(tensors, tmp_path / "w.pth"))


@pytest.mark.parametrize("key", ["to_rgb", "bgr_to_rgb"])
def test_blue_first(tmp_path: Path, key: str) -> None:
    tensors = as_mmdet(detector("mask_rcnn"), OFFICIAL)
    config = f"data = dict(mean=[0, 0, 0], std=[255.0, 255.0, 255.0], {key}=False)"
    path = saved(tensors, tmp_path / "w.pth", config=config)
    with pytest.raises(CheckpointError, match=r"w.pth: takes blue, green, red by its configuration \(to_rgb=False\);"):
        read(path)


def test_a_resnet_of_caffe(tmp_path: Path) -> None:
    tensors = as_mmdet(detector("mask_rcnn", backbone=RESNET_18), RESNET)
    path = saved(tensors, tmp_path / "w.pth", config="model = dict(backbone=dict(type='ResNet', style='caffe'))")
    with pytest.raises(
        CheckpointError, match=r"w.pth: a ResNet in Caffe's style by its configuration \(style='caffe'\), which halves"
    ):
        read(path)


def test_every_kind_is_tried() -> None:
    assert {case[0] for case in CASES.values()} == set(CONFIGS) - {"htcpp"}, "nobody has HTC++"


# Settings


VERSION_2 = """
model = dict(
    type='MaskRCNN',
    backbone=dict(type='SwinTransformer', embed_dim=96, depths=[2, 2, 6, 2], style='pytorch'),
    rpn_head=dict(
        anchor_generator=dict(type='AnchorGenerator', scales=[8], ratios=[0.5, 1.0, 2.0], strides=[4, 8, 16, 32, 64]),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_means=[0.0, 0.0, 0.0, 0.0])))
img_norm_cfg = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)
train_pipeline = [dict(type='Resize', img_scale=[(480, 1333), (512, 1333)], keep_ratio=True)]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='MultiScaleFlipAug', img_scale=(1333, 800), flip=False, transforms=[dict(type='Resize')])
]
"""
VERSION_3 = """
data_preprocessor = {'type': 'DetDataPreprocessor', 'mean': [10, 20, 30], 'std': (40, 50, 60)}
backbone = dict(type='ResNet', depth=50, style='caffe')
train_pipeline = [dict(type='Resize', scale=(999, 777))]
test_pipeline = [dict(type='Resize', scale=(600, 1000), keep_ratio=True)]
"""


def test_version_2() -> None:
    assert read_settings({"config": VERSION_2, "epoch": 36}) == MmdetSettings(
        sides=(800, 1333),
        mean=(123.675, 116.28, 103.53),
        std=(58.395, 57.12, 57.375),
        anchor_scale=8,
        anchor_ratios=(0.5, 1.0, 2.0),
    )


def test_version_3() -> None:
    assert read_settings({"cfg": VERSION_3}) == MmdetSettings(
        sides=(600, 1000), mean=(10, 20, 30), std=(40, 50, 60), caffe=True
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "model = dict(",
        "model = 3",
        "a.b = dict(type='AnchorGenerator', scales=octaves, ratios=['wide'])",
        "dict(type='AnchorGenerator', scales=[2, 4], ratios=[0.0])",
        "test_pipeline = [dict(img_scale=[(480, 1333), (512, 1333)]), dict(scale=0.5), dict(**more)]",
        "norm = dict(mean=[1, 2], std=[])",
        "\0",
    ],
)
def test_what_says_nothing(text: str) -> None:
    assert read_settings({"config": text}) == MmdetSettings()


def test_nothing_is_run(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    read_settings({"config": f"open({str(trace)!r}, 'w')\nmodel = dict(style=open({str(trace)!r}, 'w'))"})
    assert not trace.exists()


def test_other_values_than_text() -> None:
    assert read_settings({"cfg": {"style": "caffe"}, "config": None}) == MmdetSettings()

"""What mmdetection's configuration says, as versions 2 and 3 write it."""

from __future__ import annotations

from pathlib import Path

import pytest

from attnkit.interop.mmdet_settings import MmdetSettings, read_settings

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

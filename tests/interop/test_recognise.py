"""Which library and which model, from names alone; and what is none of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from attnkit.errors import CheckpointError
from attnkit.interop.foreign_file import ForeignFile
from attnkit.interop.recognise import SOURCES, UNSUPPORTED, recognise

MMSEG_HEADS = ("decode_head.fpn_bottleneck.bn.weight", "decode_head.psp_modules.0.1.bn.weight")
NAMES = {
    "Google's ViT (.npz)": ["embedding/kernel", "cls"],
    "torchvision's ViT": ["conv_proj.weight", "encoder.ln.weight"],
    "torchvision's Swin": ["features.0.0.weight", "features.1.0.attn.relative_position_bias_table"],
    "torchvision's ResNet": ["conv1.weight", "bn1.running_mean", "layer1.0.conv1.weight", "fc.weight"],
    "transformers' Swin": [
        "swin.embeddings.patch_embeddings.projection.weight",
        "swin.encoder.layers.0.blocks.0.attention.self.relative_position_bias_table",
    ],
    "transformers' ViT or DeiT": [
        "vit.embeddings.patch_embeddings.projection.weight",
        "vit.embeddings.cls_token",
    ],
    "the official Swin": [
        "layers.0.blocks.0.attn.relative_position_bias_table",
        "layers.0.downsample.norm.weight",
        "patch_embed.proj.weight",
    ],
    "timm's Swin": [
        "layers.0.blocks.0.attn.relative_position_bias_table",
        "layers.1.downsample.norm.weight",
        "patch_embed.proj.weight",
    ],
    "transformers' UperNet": [
        "backbone.embeddings.patch_embeddings.projection.weight",
        "backbone.encoder.layers.0.blocks.0.attention.self.relative_position_bias_table",
        "decode_head.psp_modules.0.1.batch_norm.weight",
    ],
    "the official Swin for segmentation": [
        "backbone.layers.0.blocks.0.attn.qkv.weight",
        "backbone.layers.0.blocks.0.attn.relative_position_bias_table",
        *MMSEG_HEADS,
    ],
    "mmsegmentation's UPerNet": ["backbone.stages.0.blocks.0.attn.w_msa.qkv.weight", *MMSEG_HEADS],
    "timm's ViT or DeiT": ["blocks.0.attn.qkv.weight", "patch_embed.proj.weight"],
}


def file_of(*names: str, wrapper: str | None = None) -> ForeignFile:
    return ForeignFile(Path("w.pth"), {name: torch.ones(1) for name in names}, wrapper)


@pytest.mark.parametrize("name", NAMES)
def test_one_source_matches_and_no_other(name: str) -> None:
    found = [source.name for source in SOURCES if source.matches(file_of(*NAMES[name]))]
    assert found == [name]


def test_the_official_deit_before_timm() -> None:
    found = [s.name for s in SOURCES if s.matches(file_of(*NAMES["timm's ViT or DeiT"], wrapper="model"))]
    assert found == ["the official DeiT", "timm's ViT or DeiT"]


@pytest.mark.parametrize(("ending", "model"), UNSUPPORTED)
def test_models_that_attnkit_has_not_are_named(ending: str, model: str) -> None:
    file = file_of("blocks.0.attn.qkv.weight", "patch_embed.proj.weight", f"blocks.0.{ending}")
    with pytest.raises(CheckpointError) as caught:
        recognise(file)
    assert str(caught.value) == (
        f"w.pth: {model}, by its weight blocks.0.{ending}; expected a model that attnkit has; "
        "see docs/import.md for the list"
    )


def test_unknown_weights() -> None:
    with pytest.raises(
        CheckpointError, match=r"^w.pth: unknown weights, a, b, c and 1 more; expected those of Google's"
    ):
        recognise(file_of("d", "c", "b", "a"))


@pytest.mark.parametrize(
    "block", ["backbone.layers.0.attn.attn.in_proj_weight", "backbone.layer1.0.conv1.weight"], ids=["vit", "resnet"]
)
def test_other_backbones_of_mmsegmentation(block: str) -> None:
    found = [source.name for source in SOURCES if source.matches(file_of(block, *MMSEG_HEADS))]
    assert found == ["mmsegmentation's UPerNet"]
    assert not any(source.matches(file_of(block, "decode_head.conv_seg.weight")) for source in SOURCES), "another head"


@pytest.mark.parametrize("name", ["blocks.0.attention.qkv.weight", "backbone.stages.0.blocks.0.attention.qkv.weight"])
def test_our_own_weights(name: str) -> None:
    with pytest.raises(CheckpointError, match=r"^w.pth: attnkit's own names already; .* by init: \{from: ...\} in a"):
        recognise(file_of(name))


def test_a_resnet_of_other_depth() -> None:
    names = ["conv1.weight", "bn1.running_mean", "layer1.0.conv1.weight", "fc.weight", "layer2.6.conv1.weight"]
    with pytest.raises(
        CheckpointError, match=r"w.pth: a ResNet with \[1, 7, 0, 0\] blocks per stage; expected one of 18"
    ):
        recognise(file_of(*names))


def test_heads_that_do_not_divide_the_width() -> None:
    file = file_of(*NAMES["timm's ViT or DeiT"])
    file.tensors["patch_embed.proj.weight"] = torch.ones(12, 3, 4, 4)
    file.tensors["blocks.0.mlp.fc1.weight"] = torch.ones(48, 12)
    with pytest.raises(
        CheckpointError, match=r"^w.pth: shapes that are no model: embed_dim 12 does not divide into num_h"
    ):
        recognise(file, num_heads=5)

"""The official Swin: its names, what is computed in its files, and how its images were prepared."""

from pathlib import Path

import pytest
import torch

from attnkit.interop.foreign_file import ForeignFile
from attnkit.interop.swin_official import image_config, matches, swin_depths, swin_names, without_computed

TABLE = "layers.0.blocks.0.attn.relative_position_bias_table"


@pytest.mark.parametrize(
    ("names", "official"),
    [
        ((TABLE, "layers.0.downsample.norm.weight"), True),
        ((TABLE, "head.weight"), True),
        ((TABLE, "layers.1.downsample.norm.weight"), False),
        (("layers.0.downsample.norm.weight", "head.weight"), False),
    ],
)
def test_they_are_known_by_the_merging_at_the_end_of_a_stage(names, official):
    """timm from 0.9 on has it at the beginning of the next one."""
    assert matches(ForeignFile(Path("a.pth"), dict.fromkeys(names, torch.zeros(1)))) is official


def test_tables_that_are_computed_are_left_out():
    names = [TABLE, "layers.0.blocks.1.attn_mask", "layers.0.blocks.0.attn.relative_position_index", "norm.weight"]
    tensors, left_out = without_computed({name: torch.full((1,), float(n)) for n, name in enumerate(names)})
    assert {name: tensor.item() for name, tensor in tensors.items()} == {TABLE: 0, "norm.weight": 3}
    assert sorted(left_out) == sorted(names[1:3])


def test_blocks_are_counted_in_each_stage():
    names = [
        f"layers.{stage}.blocks.{block}.norm1.weight" for stage, depth in enumerate((2, 1, 3)) for block in range(depth)
    ]
    assert swin_depths(dict.fromkeys(names, torch.zeros(1))) == (2, 1, 3)


def test_names_by_hand():
    names = swin_names((1, 2))
    assert names["stages.1.blocks.1.attention.out"] == "layers.1.blocks.1.attn.proj"
    assert names["stages.1.blocks.0.mlp.down"] == "layers.1.blocks.0.mlp.fc2"
    assert names["stages.0.downsample.reduction"] == "layers.0.downsample.reduction"
    assert len(set(names.values())) == len(names) == 2 + 3 * 7 + 2 * 2 + 2


@pytest.mark.parametrize(("size", "resize"), [(224, "crop"), (383, "crop"), (384, "squash")])
def test_large_images_are_squashed(size, resize):
    image = image_config(size)
    assert (image.size, image.resize) == (size, resize)

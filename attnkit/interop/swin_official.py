"""Weights of the official Swin Transformer (https://github.com/microsoft/Swin-Transformer), and of timm before 0.9."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from attnkit.data.config import ImageConfig
from attnkit.interop.foreign_file import ForeignFile
from attnkit.interop.imported_weights import ImportedWeights
from attnkit.interop.name_table import count, to_own_names
from attnkit.interop.sizes import swin_config, swin_image_size

COMPUTED = ("relative_position_index", "relative_coords_table", "attn_mask")
"""Tables that follow from the sizes; files of them are for one image size, so they are never loaded."""
SQUASHED_FROM = 384
"""From this image size on the official evaluation resizes the whole image, below it crops the centre."""


def matches(file: ForeignFile) -> bool:
    """Whether these are the official names: a merging at the end of its stage."""
    return "layers.0.blocks.0.attn.relative_position_bias_table" in file.tensors and any(
        name.startswith(("layers.0.downsample.", "head.weight")) for name in file.tensors
    )


def import_swin(file: ForeignFile, *, num_heads: int | None = None) -> ImportedWeights:
    """An official Swin; the weights show its heads themselves."""
    del num_heads
    tensors, left_out = without_computed(file.tensors)
    stages = range(count(tensors, r"layers\.(\d+)\."))
    depths = tuple(count(tensors, rf"layers\.{stage}\.blocks\.(\d+)\.") for stage in stages)
    weights, unknown = to_own_names(tensors, swin_names(depths))
    config = swin_config(weights)
    return ImportedWeights(
        "the official Swin", config, image_config(swin_image_size(config)), weights, unknown=unknown, left_out=left_out
    )


def swin_names(depths: tuple[int, ...]) -> dict[str, str]:
    """Names of attnkit for a Swin to the official ones."""
    names = {"patch_embed.proj": "patch_embed.proj", "patch_embed.norm": "patch_embed.norm"}
    for s, depth in enumerate(depths):
        for b in range(depth):
            own, theirs = f"stages.{s}.blocks.{b}", f"layers.{s}.blocks.{b}"
            names |= {
                f"{own}.norm1": f"{theirs}.norm1",
                f"{own}.attention.qkv": f"{theirs}.attn.qkv",
                f"{own}.attention.out": f"{theirs}.attn.proj",
                f"{own}.attention.bias_table": f"{theirs}.attn.relative_position_bias_table",
                f"{own}.norm2": f"{theirs}.norm2",
                f"{own}.mlp.up": f"{theirs}.mlp.fc1",
                f"{own}.mlp.down": f"{theirs}.mlp.fc2",
            }
        names[f"stages.{s}.downsample.norm"] = f"layers.{s}.downsample.norm"
        names[f"stages.{s}.downsample.reduction"] = f"layers.{s}.downsample.reduction"
    return names | {"norm": "norm", "head": "head"}


def without_computed(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The weights without the tables that are computed, and the names of these."""
    left_out = tuple(name for name in tensors if name.rpartition(".")[2] in COMPUTED)
    return {name: tensor for name, tensor in tensors.items() if name not in left_out}, left_out


def image_config(size: int) -> ImageConfig:
    """How the official evaluation prepares images."""
    return ImageConfig(size=size, resize="squash" if size >= SQUASHED_FROM else "crop")

"""Weights of the official Swin Transformer (https://github.com/microsoft/Swin-Transformer), and of timm before 0.9."""

from collections.abc import Mapping

from torch import Tensor

from attnkit.data.classification.config import ImageConfig
from attnkit.interop.foreign_file import ForeignFile
from attnkit.interop.imported_weights import ImportedWeights
from attnkit.interop.name_table import count_each, leave_out, to_own_names
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


def import_swin(file: ForeignFile, _num_heads: int | None = None) -> ImportedWeights:
    """An official Swin; the weights show its heads themselves."""
    tensors, left_out = without_computed(file.tensors)
    weights, unknown = to_own_names(tensors, swin_names(swin_depths(tensors)))
    config = swin_config(weights)
    return ImportedWeights(
        "the official Swin", config, image_config(swin_image_size(config)), weights, unknown=unknown, left_out=left_out
    )


def swin_depths(tensors: Mapping[str, Tensor]) -> tuple[int, ...]:
    """Blocks per stage."""
    return count_each(tensors, r"layers\.", r"\.blocks\.(\d+)\.")


def swin_names(depths: tuple[int, ...]) -> dict[str, str]:
    """Names of attnkit for a Swin to the official ones."""
    names = {"patch_embed.proj": "patch_embed.proj", "patch_embed.norm": "patch_embed.norm"}
    for s, depth in enumerate(depths):
        names |= stage_names(
            s, depth, blocks=f"layers.{s}.blocks", merging=f"layers.{s}.downsample", mlp=("fc1", "fc2")
        )
    return names | {"norm": "norm", "head": "head"}


def stage_names(stage: int, depth: int, *, blocks: str, merging: str, mlp: tuple[str, str]) -> dict[str, str]:
    """Names of attnkit for a stage of a Swin to those of others, who agree on what stands in a block.

    Args:
        stage: from 0.
        depth: blocks.
        blocks: theirs for the list of blocks.
        merging: theirs for what comes after them.
        mlp: theirs for the first and the second layer of a block's MLP.
    """
    names: dict[str, str] = {}
    for b in range(depth):
        own, theirs = f"stages.{stage}.blocks.{b}", f"{blocks}.{b}"
        names |= {
            f"{own}.norm1": f"{theirs}.norm1",
            f"{own}.attention.qkv": f"{theirs}.attn.qkv",
            f"{own}.attention.out": f"{theirs}.attn.proj",
            f"{own}.attention.bias_table": f"{theirs}.attn.relative_position_bias_table",
            f"{own}.norm2": f"{theirs}.norm2",
            f"{own}.mlp.up": f"{theirs}.mlp.{mlp[0]}",
            f"{own}.mlp.down": f"{theirs}.mlp.{mlp[1]}",
        }
    merged = f"stages.{stage}.downsample"
    return names | {f"{merged}.norm": f"{merging}.norm", f"{merged}.reduction": f"{merging}.reduction"}


def without_computed(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The weights without the tables that are computed, and the names of these."""
    return leave_out(tensors, lambda name: name.rpartition(".")[2] in COMPUTED)


def image_config(size: int) -> ImageConfig:
    """How the official evaluation prepares images."""
    return ImageConfig(size=size, resize="squash" if size >= SQUASHED_FROM else "crop")

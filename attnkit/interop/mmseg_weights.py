"""Weights of UPerNet in mmsegmentation (https://github.com/open-mmlab/mmsegmentation), on Swin, ViT and ResNet; and of
the official Swin for segmentation (https://github.com/SwinTransformer/Swin-Transformer-Semantic-Segmentation), which is
built on it: its heads have the same names, its backbone those of the official classifier.
"""

from collections.abc import Mapping
from typing import Any, cast

from torch import Tensor

from attnkit.data.segmentation.config import SegmentationImageConfig
from attnkit.interop.foreign_file import ForeignFile
from attnkit.interop.imported_weights import SCENE_SIZE, SCENE_SIZE_NOTE, ImportedWeights
from attnkit.interop.name_table import (
    STATISTICS,
    backbone_weights,
    below_backbone,
    count,
    to_own_names,
    with_qkv_biases,
)
from attnkit.interop.openmmlab import OFFICIAL_BLOCK, RESNET_BLOCK, SWIN_BLOCK, backbone_of, class_names, data_set_meta
from attnkit.interop.sizes import upernet_config, vit_config, vit_image_size
from attnkit.models.config import ResNetConfig, SwinConfig, ViTConfig

Weights = Mapping[str, Tensor]

HEADS = ("head", "auxiliary.head")
"""attnkit's names of the two layers that know the classes."""
VIT_BLOCK = "backbone.layers.0.attn.attn.in_proj_weight"
AUXILIARY_NOTE = (
    "the auxiliary head: mmsegmentation puts it on the last map of a ViT, this model on the last but one; it is not "
    "used but in training"
)
VIT_MAPS = 4
"""That a ViT is read at."""


def matches(file: ForeignFile) -> bool:
    """Whether these are the names of mmsegmentation's UPerNet, on a backbone that attnkit has."""
    return _is_upernet(file) and any(name in file.tensors for name in (SWIN_BLOCK, VIT_BLOCK, RESNET_BLOCK))


def matches_official(file: ForeignFile) -> bool:
    """Whether these are the names of the official Swin for segmentation."""
    return _is_upernet(file) and OFFICIAL_BLOCK in file.tensors


def import_official(file: ForeignFile, _num_heads: int | None = None) -> ImportedWeights:
    """UperNet on an official Swin; the weights show its heads themselves."""
    return _import_pyramid(file, "the official Swin for segmentation")


def import_upernet(file: ForeignFile, num_heads: int | None = None) -> ImportedWeights:
    """UPerNet of mmsegmentation.

    Raises:
        CheckpointError: its ResNet has another number of blocks than those that attnkit has.
    """
    return _import_vit(file, num_heads) if VIT_BLOCK in file.tensors else _import_pyramid(file, "mmsegmentation")


def _is_upernet(file: ForeignFile) -> bool:
    return {"decode_head.fpn_bottleneck.bn.weight", "decode_head.psp_modules.0.1.bn.weight"} <= file.tensors.keys()


def _import_pyramid(file: ForeignFile, source: str) -> ImportedWeights:
    backbone = backbone_of(file)
    return _imported(file, backbone.tensors, source, backbone.names, backbone.config, left_out=backbone.left_out)


def _import_vit(file: ForeignFile, num_heads: int | None) -> ImportedWeights:
    names = vit_names(count(file.tensors, r"backbone\.layers\.(\d+)\."))
    weights, _ = to_own_names(file.tensors, names)
    backbone = with_qkv_biases(backbone_weights(weights))
    config = vit_config(backbone, num_heads=num_heads)
    missing = {f"backbone.{name}": tensor for name, tensor in backbone.items() if f"backbone.{name}" not in weights}
    return _imported(
        file,
        file.tensors,
        "mmsegmentation",
        names,
        config,
        size=vit_image_size(backbone, config),
        added=missing,
        notes=(AUXILIARY_NOTE,),
    )


def vit_names(depth: int) -> dict[str, str]:
    """Names of attnkit for a ViT below UperNet, and of what is between the two, to mmsegmentation's."""
    names = {"class_token": "cls_token", "positions": "pos_embed", "patch_embed.proj": "patch_embed.projection"}
    for i in range(depth):
        own, theirs = f"blocks.{i}", f"layers.{i}"
        names |= {
            f"{own}.norm1": f"{theirs}.ln1",
            f"{own}.attention.qkv.weight": f"{theirs}.attn.attn.in_proj_weight",
            f"{own}.attention.qkv.bias": f"{theirs}.attn.attn.in_proj_bias",
            f"{own}.attention.out": f"{theirs}.attn.attn.out_proj",
            f"{own}.norm2": f"{theirs}.ln2",
            f"{own}.mlp.up": f"{theirs}.ffn.layers.0.0",
            f"{own}.mlp.down": f"{theirs}.ffn.layers.1",
        }
    neck = {f"neck.laterals.{i}": f"neck.lateral_convs.{i}.conv" for i in range(VIT_MAPS)}
    neck |= {f"neck.convs.{i}": f"neck.convs.{i}.conv" for i in range(VIT_MAPS)}
    return below_backbone(names) | neck


def head_names(laterals: int, branches: int, *, norm: str, classifier: str) -> dict[str, str]:
    """Names of attnkit for all but the backbone to those of others.

    Args:
        laterals: one less than the backbone has maps.
        branches: of pyramid pooling.
        norm: theirs for the norm behind a convolution.
        classifier: theirs for the layers that give the logits.
    """
    blocks = {
        "pyramid.fuse": "decode_head.bottleneck",
        "fuse": "decode_head.fpn_bottleneck",
        "auxiliary.conv": "auxiliary_head.convs.0",
    }
    blocks |= {f"pyramid.branches.{i}": f"decode_head.psp_modules.{i}.1" for i in range(branches)}
    for i in range(laterals):
        blocks |= {f"laterals.{i}": f"decode_head.lateral_convs.{i}", f"smooth.{i}": f"decode_head.fpn_convs.{i}"}
    names = {"head": f"decode_head.{classifier}", "auxiliary.head": f"auxiliary_head.{classifier}"}
    for own, theirs in blocks.items():
        names |= {f"{own}.conv": f"{theirs}.conv", f"{own}.norm": f"{theirs}.{norm}"}
        names |= {f"{own}.norm.{kept}": f"{theirs}.{norm}.{kept}" for kept in STATISTICS}
    return names


def _imported(
    file: ForeignFile,
    tensors: Weights,
    source: str,
    names: Mapping[str, str],
    backbone: SwinConfig | ViTConfig | ResNetConfig,
    *,
    size: int | None = None,
    left_out: tuple[str, ...] = (),
    added: Weights | None = None,
    notes: tuple[str, ...] = (),
) -> ImportedWeights:
    """What all backbones have in common: the heads, and what stands beside the weights."""
    laterals = count(tensors, r"decode_head\.lateral_convs\.(\d+)\.")
    branches = count(tensors, r"decode_head\.psp_modules\.(\d+)\.")
    table = {**names, **head_names(laterals, branches, norm="bn", classifier="conv_seg")}
    weights, unknown = to_own_names(tensors, table)
    weights |= added or {}
    config = upernet_config(weights, backbone)
    side = size or SCENE_SIZE
    if not config.auxiliary_channels:
        notes = ()
    return ImportedWeights(
        source,
        config,
        SegmentationImageConfig(crop=(side, side)),
        weights,
        heads=HEADS if config.auxiliary_channels else HEADS[:1],
        unknown=unknown,
        left_out=left_out,
        class_names=class_names(file.meta),
        colours=_colours(file.meta),
        notes=notes,
        size_note=None if size else SCENE_SIZE_NOTE,
    )


def _colours(meta: Mapping[str, Any]) -> tuple[tuple[int, ...], ...] | None:
    palette = data_set_meta(meta, "palette")
    if not isinstance(palette, list | tuple) or not all(isinstance(colour, list | tuple) for colour in palette):
        return None
    colours = tuple(tuple(int(part) for part in colour) for colour in cast("list[list[int]]", palette))
    return colours if colours and all(len(colour) == 3 for colour in colours) else None

"""Weights of UPerNet in mmsegmentation (https://github.com/open-mmlab/mmsegmentation), on Swin, ViT and ResNet; and of
the official Swin for segmentation (https://github.com/SwinTransformer/Swin-Transformer-Semantic-Segmentation), which is
built on it: its heads have the same names, its backbone those of the official classifier.

mmsegmentation merges patches by torch's Unfold, which puts a channel's four neighbours side by side, (0,0), (0,1),
(1,0), (1,1); the official code puts the channels of one neighbour side by side, in the order (0,0), (1,0), (0,1),
(1,1), and so does attnkit. The norm and the matrix of each merging are put into that order here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from torch import Tensor

from attnkit.data.config import SceneConfig
from attnkit.interop.foreign_file import ForeignFile
from attnkit.interop.imported_weights import SCENE_SIZE, SCENE_SIZE_NOTE, ImportedWeights
from attnkit.interop.name_table import count, to_own_names, with_qkv_biases
from attnkit.interop.sizes import swin_config, upernet_config, vit_config, vit_image_size
from attnkit.interop.swin_official import swin_names, without_computed
from attnkit.interop.torchvision_weights import resnet_config
from attnkit.interop.upernet_names import HEADS, backbone_weights, below_backbone, head_names
from attnkit.models.config import ResNetConfig, SwinConfig, ViTConfig

Weights = Mapping[str, Tensor]

SWIN_BLOCK = "backbone.stages.0.blocks.0.attn.w_msa.qkv.weight"
OFFICIAL_BLOCK = "backbone.layers.0.blocks.0.attn.qkv.weight"
VIT_BLOCK = "backbone.layers.0.attn.attn.in_proj_weight"
RESNET_BLOCK = "backbone.layer1.0.conv1.weight"
AUXILIARY_NOTE = (
    "the auxiliary head: mmsegmentation puts it on the last map of a ViT, this model on the last but one; it is not "
    "used but in training"
)
VIT_MAPS = 4
"""That a ViT is read at."""
OFFICIAL_NAMES = (
    (r"^backbone\.stages\.", "backbone.layers."),
    (r"\.attn\.w_msa\.", ".attn."),
    (r"\.ffn\.layers\.0\.0\.", ".mlp.fc1."),
    (r"\.ffn\.layers\.1\.", ".mlp.fc2."),
    (r"\.patch_embed\.projection\.", ".patch_embed.proj."),
)
"""mmsegmentation's names of a Swin, and the official ones."""


def matches(file: ForeignFile) -> bool:
    """Whether these are the names of mmsegmentation's UPerNet, on a backbone that attnkit has."""
    return _is_upernet(file) and any(name in file.tensors for name in (SWIN_BLOCK, VIT_BLOCK, RESNET_BLOCK))


def matches_official(file: ForeignFile) -> bool:
    """Whether these are the names of the official Swin for segmentation."""
    return _is_upernet(file) and OFFICIAL_BLOCK in file.tensors


def import_official(file: ForeignFile, *, num_heads: int | None = None) -> ImportedWeights:
    """UperNet on an official Swin; the weights show its heads themselves."""
    del num_heads
    return _import_swin(file, file.tensors, "the official Swin for segmentation")


def import_upernet(file: ForeignFile, *, num_heads: int | None = None) -> ImportedWeights:
    """UPerNet of mmsegmentation.

    Raises:
        CheckpointError: its ResNet has another number of blocks than those that attnkit has.
    """
    if SWIN_BLOCK in file.tensors:
        return _import_swin(file, _as_official(file.tensors), "mmsegmentation")
    if VIT_BLOCK in file.tensors:
        return _import_vit(file, num_heads)
    config = resnet_config(backbone_weights(file.tensors), file.path)
    names = {name: name for name in file.tensors if name.startswith("backbone.")}  # torchvision's, as ours are
    return _imported(file, file.tensors, "mmsegmentation", names, config)


def _is_upernet(file: ForeignFile) -> bool:
    return {"decode_head.fpn_bottleneck.bn.weight", "decode_head.psp_modules.0.1.bn.weight"} <= file.tensors.keys()


def _import_swin(file: ForeignFile, official: Weights, source: str) -> ImportedWeights:
    tensors, left_out = without_computed(official)
    stages = range(count(tensors, r"backbone\.layers\.(\d+)\."))
    depths = tuple(count(tensors, rf"backbone\.layers\.{stage}\.blocks\.(\d+)\.") for stage in stages)
    names = below_backbone(swin_names(depths), but=("norm", "head"))
    names |= {f"backbone.norms.{stage}": f"backbone.norm{stage}" for stage in stages}
    weights, _ = to_own_names(tensors, names)
    return _imported(file, tensors, source, names, swin_config(backbone_weights(weights)), left_out=left_out)


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
        SceneConfig(crop=(side, side)),
        weights,
        heads=HEADS if config.auxiliary_channels else HEADS[:1],
        unknown=unknown,
        left_out=left_out,
        class_names=_class_names(file.meta),
        colours=_colours(file.meta),
        notes=notes,
        size_note=None if size else SCENE_SIZE_NOTE,
    )


def _as_official(tensors: Weights) -> dict[str, Tensor]:
    """A Swin of mmsegmentation by the official names, its mergings in the official order."""
    renamed = {}
    for name, tensor in tensors.items():
        if name.startswith("backbone."):
            tensor = _in_official_order(tensor) if ".downsample." in name else tensor
            for pattern, replacement in OFFICIAL_NAMES:
                name = re.sub(pattern, replacement, name)
        renamed[name] = tensor
    return renamed


def _in_official_order(tensor: Tensor) -> Tensor:
    """A norm (4C) or a matrix (2C, 4C), from C channels of 4 neighbours each to 4 neighbours of C channels each."""
    neighbours = tensor.unflatten(-1, (-1, 4)).transpose(-1, -2)  # (..., 4, C), by rows: (0,0), (0,1), (1,0), (1,1)
    return neighbours[..., [0, 2, 1, 3], :].flatten(-2)


def _class_names(meta: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The names that the file says, by the key of version 0 or those of version 1."""
    names = _said(meta, "classes")
    return tuple(map(str, names)) if isinstance(names, list | tuple) and names else None


def _colours(meta: Mapping[str, Any]) -> tuple[tuple[int, ...], ...] | None:
    said = _said(meta, "palette")
    if not isinstance(said, list | tuple) or not all(isinstance(colour, list | tuple) for colour in said):
        return None
    colours = tuple(tuple(int(part) for part in colour) for colour in cast("list[list[int]]", said))
    return colours if colours and all(len(colour) == 3 for colour in colours) else None


def _said(meta: Mapping[str, Any], key: str) -> Any:
    inner = meta.get("dataset_meta")
    found = (place.get(word) for place in (inner, meta) if isinstance(place, Mapping) for word in (key, key.upper()))
    return next((value for value in found if value is not None), None)

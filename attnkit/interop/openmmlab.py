"""What the programs of OpenMMLab (https://github.com/open-mmlab) have in common, and with them the official code of
Swin for dense tasks, which is built on them: the names of backbones, and what stands beside the weights.

OpenMMLab's own Swin merges patches by torch's Unfold, which puts a channel's four neighbours side by side, (0,0),
(0,1), (1,0), (1,1); the official code puts the channels of one neighbour side by side, in the order (0,0), (1,0),
(0,1), (1,1), and so does attnkit. The norm and the matrix of each merging are put into that order here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from attnkit.interop.foreign_file import ForeignFile
from attnkit.interop.name_table import backbone_weights, below_backbone, count_each, to_own_names
from attnkit.interop.sizes import swin_config
from attnkit.interop.swin_official import swin_names, without_computed
from attnkit.interop.torchvision_weights import resnet_config
from attnkit.models.config import ResNetConfig, SwinConfig

Weights = Mapping[str, Tensor]

SWIN_BLOCK = "backbone.stages.0.blocks.0.attn.w_msa.qkv.weight"
OFFICIAL_BLOCK = "backbone.layers.0.blocks.0.attn.qkv.weight"
RESNET_BLOCK = "backbone.layer1.0.conv1.weight"
OFFICIAL_NAMES = (
    (r"^backbone\.stages\.", "backbone.layers."),
    (r"\.attn\.w_msa\.", ".attn."),
    (r"\.ffn\.layers\.0\.0\.", ".mlp.fc1."),
    (r"\.ffn\.layers\.1\.", ".mlp.fc2."),
    (r"\.patch_embed\.projection\.", ".patch_embed.proj."),
)
"""OpenMMLab's names of a Swin, and the official ones."""


@dataclass(frozen=True)
class ForeignBackbone:
    """The backbone of a file.

    Attributes:
        config: read off its weights.
        tensors: all weights of the file; those of the backbone by the names of the table, in attnkit's order.
        names: attnkit's names of the backbone to theirs.
        left_out: what is computed, and so not wanted.
    """

    config: SwinConfig | ResNetConfig
    tensors: Weights
    names: dict[str, str]
    left_out: tuple[str, ...] = ()


def backbone_of(file: ForeignFile) -> ForeignBackbone:
    """The Swin or ResNet of a file.

    Raises:
        CheckpointError: its ResNet has another number of blocks than those that attnkit has.
    """
    if SWIN_BLOCK in file.tensors:
        return _swin(_as_official(file.tensors))
    if OFFICIAL_BLOCK in file.tensors:
        return _swin(file.tensors)
    names = {name: name for name in file.tensors if name.startswith("backbone.")}  # torchvision's, as ours are
    return ForeignBackbone(resnet_config(backbone_weights(file.tensors), file.path), file.tensors, names)


def class_names(meta: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The names of the classes that the file has, by the key of version 0 or those of version 1."""
    names = data_set_meta(meta, "classes")
    return tuple(map(str, names)) if isinstance(names, list | tuple) and names else None


def data_set_meta(meta: Mapping[str, Any], key: str) -> Any:
    """What the file has of its data set under a key; None where it has nothing."""
    inner = meta.get("dataset_meta")
    found = (
        mapping.get(word) for mapping in (inner, meta) if isinstance(mapping, Mapping) for word in (key, key.upper())
    )
    return next((value for value in found if value is not None), None)


def _swin(official: Weights) -> ForeignBackbone:
    tensors, left_out = without_computed(official)
    depths = count_each(tensors, r"backbone\.layers\.", r"\.blocks\.(\d+)\.")
    names = below_backbone(swin_names(depths), but=("norm", "head"))
    names |= {f"backbone.norms.{stage}": f"backbone.norm{stage}" for stage in range(len(depths))}
    weights, _ = to_own_names(tensors, names)
    return ForeignBackbone(swin_config(backbone_weights(weights)), tensors, names, left_out)


def _as_official(tensors: Weights) -> dict[str, Tensor]:
    """A Swin of OpenMMLab by the official names, its mergings in the official order."""
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

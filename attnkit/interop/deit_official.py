"""Weights of the official DeiT (https://github.com/facebookresearch/deit): timm's names, under the key `model`."""

from __future__ import annotations

from attnkit.data.classification.config import ImageConfig
from attnkit.interop import timm_weights
from attnkit.interop.foreign_file import ForeignFile
from attnkit.interop.imported_weights import ImportedWeights
from attnkit.interop.name_table import to_own_names
from attnkit.interop.sizes import vit_config, vit_image_size


def matches(file: ForeignFile) -> bool:
    """Whether this is a file as DeiT's training writes it."""
    return file.wrapper == "model" and timm_weights.matches_vit(file)


def import_vit(file: ForeignFile, *, num_heads: int | None = None) -> ImportedWeights:
    """A DeiT, with or without its distillation token."""
    weights, unknown = to_own_names(file.tensors, timm_weights.vit_names_of(file.tensors))
    config = vit_config(weights, num_heads=num_heads)
    return ImportedWeights(
        "the official DeiT",
        config,
        ImageConfig(size=vit_image_size(weights, config)),
        weights,
        heads=timm_weights.vit_heads(config),
        unknown=unknown,
    )

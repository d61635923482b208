"""Weights of transformers (https://github.com/huggingface/transformers): ViT, DeiT and Swin, in and out.

Its version 5 gave the modules new names, but goes on to write files with those of version 4 and reads both; so does
this. It keeps queries, keys and values apart, and has the norms of ViT at an epsilon of 1e-12.
"""

from collections.abc import Mapping
from typing import Any, Literal, cast

from torch import Tensor

from attnkit.data.classification.config import ImageConfig
from attnkit.interop.foreign_file import ForeignFile
from attnkit.interop.imported_weights import GOOGLE_MEAN_STD, ImportedWeights
from attnkit.interop.name_table import count, count_each, join_qkv, leave_out, split_qkv, to_foreign_names, to_own_names
from attnkit.interop.sizes import swin_config, swin_image_size, vit_config, vit_image_size
from attnkit.interop.swin_official import without_computed
from attnkit.models.config import SwinConfig, ViTConfig

Weights = Mapping[str, Tensor]
Version = Literal[4, 5]

VIT_EPS = 1e-12
"""What transformers has for ViT and DeiT where config.json does not say."""
PATCHES = "embeddings.patch_embeddings.projection.weight"
"""What the weights of all three models have, behind the name of the model."""
TANH_GELU = ("gelu_new", "gelu_pytorch_tanh", "gelu_fast")
BILINEAR = 2
"""Pillow's number for it, which preprocessor_config.json gives; bicubic is 3."""


def matches_vit(file: ForeignFile) -> bool:
    """Whether these are the names of transformers' ViT or DeiT."""
    prefix = name_prefix(file.tensors)
    return prefix is not None and f"{prefix}embeddings.cls_token" in file.tensors


def matches_swin(file: ForeignFile) -> bool:
    """Whether these are the names of transformers' Swin, the first version, and not of one below a segmenter's head."""
    prefix = name_prefix(file.tensors)
    return (
        prefix is not None
        and not prefix.startswith("backbone.")
        and any(name.endswith("relative_position_bias_table") for name in file.tensors)
    )


def import_vit(file: ForeignFile, num_heads: int | None = None) -> ImportedWeights:
    """A ViT or DeiT of transformers."""
    tensors, left_out = _without_unused(file.tensors)
    prefix, version = name_prefix(tensors) or "", version_of(tensors)
    depth = max(count(tensors, rf"{prefix}{stack}(\d+)\.") for stack in ("layers.", "encoder.layer."))
    distillation = f"{prefix}embeddings.distillation_token" in tensors
    table = vit_names(depth, prefix=prefix, version=version, distillation=distillation)
    weights, unknown = to_own_names(tensors, table)
    weights = join_qkv(weights)
    settings = file.settings
    config = vit_config(
        weights,
        num_heads=num_heads or settings.get("num_attention_heads"),
        norm_eps=settings.get("layer_norm_eps", VIT_EPS),
        activation="gelu_tanh" if settings.get("hidden_act") in TANH_GELU else "gelu",
    )
    standard = _image_of("deit" if distillation else "vit", vit_image_size(weights, config))
    return ImportedWeights(
        "transformers",
        config,
        _image_config(file, standard),
        weights,
        heads=("head", "distillation_head") if distillation else ("head",),
        unknown=unknown,
        left_out=left_out,
        class_names=class_names(settings),
    )


def import_swin(file: ForeignFile, _num_heads: int | None = None) -> ImportedWeights:
    """A Swin of transformers; the weights show its heads themselves."""
    tensors, left_out = without_computed(file.tensors)
    tensors, unused = _without_unused(tensors)
    prefix, version = name_prefix(tensors) or "", version_of(tensors)
    weights, unknown = to_own_names(
        tensors, swin_names(swin_depths(tensors, prefix=prefix), prefix=prefix, version=version)
    )
    weights = join_qkv(weights)
    config = swin_config(weights)
    return ImportedWeights(
        "transformers",
        config,
        _image_config(file, _image_of("swin", file.settings.get("image_size", swin_image_size(config)))),
        weights,
        unknown=unknown,
        left_out=left_out + unused,
        class_names=class_names(file.settings),
    )


def export_vit(weights: Weights, config: ViTConfig, *, version: Version = 4) -> tuple[dict[str, Tensor], list[str]]:
    """Weights under the names of transformers, and attnkit's names of those that it has no place for."""
    prefix = "deit." if config.distillation else "vit."
    table = vit_names(config.depth, prefix=prefix, version=version, distillation=config.distillation)
    table = {own: foreign for own, foreign in table.items() if "pooler" not in foreign}
    return to_foreign_names(split_qkv(weights), table)


def export_swin(weights: Weights, config: SwinConfig, *, version: Version = 4) -> tuple[dict[str, Tensor], list[str]]:
    """Weights under the names of transformers."""
    return to_foreign_names(split_qkv(weights), swin_names(config.depths, prefix="swin.", version=version))


def vit_names(depth: int, *, prefix: str, version: Version, distillation: bool) -> dict[str, str]:
    """Names of attnkit for a ViT, with queries, keys and values apart, to those of transformers."""
    names = {
        "class_token": f"{prefix}embeddings.cls_token",
        "distillation_token": f"{prefix}embeddings.distillation_token",
        "positions": f"{prefix}embeddings.position_embeddings",
        "patch_embed.proj": f"{prefix}embeddings.patch_embeddings.projection",
        "norm": f"{prefix}layernorm",
        "representation": f"{prefix}pooler.dense",
        "head": "cls_classifier" if distillation else "classifier",
        "distillation_head": "distillation_classifier",
    }
    stack = f"{prefix}encoder.layer" if version == 4 else f"{prefix}layers"
    attention = "attention.attention" if version == 4 else "attention"
    for i in range(depth):
        names |= _layer_names(f"blocks.{i}", f"{stack}.{i}", attention, version)
    return names


def swin_names(depths: tuple[int, ...], *, prefix: str, version: Version) -> dict[str, str]:
    """Names of attnkit for a Swin, with queries, keys and values apart, to those of transformers."""
    names = {
        "patch_embed.proj": f"{prefix}embeddings.patch_embeddings.projection",
        "patch_embed.norm": f"{prefix}embeddings.norm",
        "norm": f"{prefix}layernorm",
        "head": "classifier",
    }
    attention = "attention.self" if version == 4 else "attention"
    table = f"{attention}." if version == 4 else "attention.relative_position_bias."
    for s, depth in enumerate(depths):
        theirs = f"{prefix}encoder.layers.{s}"
        names |= {
            f"stages.{s}.downsample.norm": f"{theirs}.downsample.norm",
            f"stages.{s}.downsample.reduction": f"{theirs}.downsample.reduction",
        }
        for b in range(depth):
            own, block = f"stages.{s}.blocks.{b}", f"{theirs}.blocks.{b}"
            names |= _layer_names(own, block, attention, version)
            names[f"{own}.attention.bias_table"] = f"{block}.{table}relative_position_bias_table"
    return names


def _layer_names(own: str, theirs: str, attention: str, version: Version) -> dict[str, str]:
    old = version == 4
    return {
        f"{own}.norm1": f"{theirs}.layernorm_before",
        f"{own}.attention.q": f"{theirs}.{attention}.{'query' if old else 'q_proj'}",
        f"{own}.attention.k": f"{theirs}.{attention}.{'key' if old else 'k_proj'}",
        f"{own}.attention.v": f"{theirs}.{attention}.{'value' if old else 'v_proj'}",
        f"{own}.attention.out": f"{theirs}.attention.{'output.dense' if old else 'o_proj'}",
        f"{own}.norm2": f"{theirs}.layernorm_after",
        f"{own}.mlp.up": f"{theirs}.{'intermediate.dense' if old else 'mlp.fc1'}",
        f"{own}.mlp.down": f"{theirs}.{'output.dense' if old else 'mlp.fc2'}",
    }


def swin_depths(tensors: Weights, *, prefix: str) -> tuple[int, ...]:
    """Blocks per stage."""
    return count_each(tensors, rf"{prefix}encoder\.layers\.", r"\.blocks\.(\d+)\.")


def name_prefix(tensors: Weights) -> str | None:
    """What stands in front of the names: vit., deit., swin., or nothing where the model was saved without its head."""
    return next((name.removesuffix(PATCHES) for name in tensors if name.endswith(PATCHES)), None)


def version_of(tensors: Weights) -> Version:
    """Whose names they are: those of version 4, which version 5 writes into files too, or those of 5 in memory."""
    return 4 if any(name.endswith("intermediate.dense.weight") for name in tensors) else 5


def _without_unused(tensors: Weights) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Leave out what classifying does not use: the mask token of pre-training, and a pooler beside a classifier."""
    has_head = any(name.endswith("classifier.weight") for name in tensors)
    return leave_out(
        tensors, lambda name: name.endswith("embeddings.mask_token") or (has_head and "pooler.dense" in name)
    )


def class_names(settings: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The names in config.json; not the placeholders that stand there where nobody gave any."""
    names = settings.get("id2label")
    if not isinstance(names, Mapping) or not all(str(number) in names for number in range(len(names))):
        return None
    ordered = tuple(str(names[str(number)]) for number in range(len(names)))
    return None if ordered[0] == "LABEL_0" else ordered


def _image_of(model: str, size: int) -> ImageConfig:
    """How transformers prepares images for a model where no preprocessor_config.json says it."""
    if model == "vit":
        return ImageConfig(
            size=size, resize="squash", interpolation="bilinear", mean=GOOGLE_MEAN_STD, std=GOOGLE_MEAN_STD
        )
    return ImageConfig(size=size, resize="squash" if model == "swin" else "crop")


def _image_config(file: ForeignFile, standard: ImageConfig) -> ImageConfig:
    settings = file.preprocessing
    if not settings:
        return standard
    cropped = bool(settings.get("do_center_crop"))
    changed: dict[str, Any] = {
        "resize": "crop" if cropped else "squash",
        "interpolation": "bilinear" if settings.get("resample") == BILINEAR else "bicubic",
        "crop_fraction": _crop_fraction(settings) if cropped else standard.crop_fraction,
    }
    return ImageConfig(**{**standard.model_dump(), **changed, **mean_and_std(file)})


def mean_and_std(file: ForeignFile) -> dict[str, tuple[float, ...]]:
    """Mean and standard deviation of the pixels, where preprocessor_config.json has them."""
    found = {own: file.preprocessing.get(f"image_{own}") for own in ("mean", "std")}
    return {own: tuple(map(float, values)) for own, values in found.items() if isinstance(values, list)}


def _crop_fraction(settings: Mapping[str, Any]) -> float:
    def pixels(size: Any) -> int:
        if isinstance(size, Mapping):
            size = size.get("shortest_edge") or size.get("height")
        return cast("int", size)

    return round(pixels(settings["crop_size"]) / pixels(settings["size"]), 4) if "crop_size" in settings else 0.875

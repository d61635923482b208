"""Weights of timm (https://github.com/huggingface/pytorch-image-models): its ViT, DeiT, hybrids and Swin, in and out.
The official DeiT (https://github.com/facebookresearch/deit) has the same names, under the key `model`.

From 0.9 on timm has Swin's merging at the beginning of the next stage, and its head one module deeper; before that the
names were those of the official Swin, which `swin_official` reads.
"""

import re
from collections.abc import Mapping
from typing import Any, cast

from torch import Tensor

from attnkit.data.classification.config import ImageConfig
from attnkit.interop.foreign_file import ForeignFile
from attnkit.interop.imported_weights import GOOGLE_MEAN_STD, ImportedWeights
from attnkit.interop.name_table import count, count_each, to_foreign_names, to_own_names, with_qkv_biases
from attnkit.interop.sizes import swin_config, swin_image_size, vit_config, vit_image_size
from attnkit.interop.swin_official import swin_depths, swin_names, without_computed
from attnkit.models.config import SwinConfig, ViTConfig

Weights = Mapping[str, Tensor]

STEM = "patch_embed.backbone."
"""Where timm keeps the ResNet of a hybrid; a root alone lies there without the word `stem`."""

STEM_LAYERS = ("conv1", "norm1", "conv2", "norm2", "conv3", "norm3")


def matches_vit(file: ForeignFile) -> bool:
    """Whether these are the names of timm's ViT."""
    return "blocks.0.attn.qkv.weight" in file.tensors and "patch_embed.proj.weight" in file.tensors


def matches_official_deit(file: ForeignFile) -> bool:
    """Whether this is a file as DeiT's training writes it."""
    return file.wrapper == "model" and matches_vit(file)


def matches_swin(file: ForeignFile) -> bool:
    """Whether these are the names that timm gives Swin since 0.9."""
    return "layers.0.blocks.0.attn.relative_position_bias_table" in file.tensors and not any(
        name.startswith(("layers.0.downsample.", "head.weight")) for name in file.tensors
    )


def import_vit(file: ForeignFile, num_heads: int | None = None) -> ImportedWeights:
    """A ViT, DeiT or hybrid of timm."""
    weights, unknown = to_own_names(file.tensors, vit_names_of(file.tensors))
    weights = with_qkv_biases(weights)
    settings: Mapping[str, Any] = file.settings.get("model_args") or {}
    config = vit_config(weights, num_heads=num_heads or settings.get("num_heads"))
    image, notes = image_config(
        file, vit_image_size(weights, config), imagenet=config.distillation, says_nothing=not config.distillation
    )
    return ImportedWeights(
        "timm",
        config,
        image,
        weights,
        heads=vit_heads(config),
        unknown=unknown,
        class_names=class_names(file),
        notes=notes,
    )


def import_official_deit(file: ForeignFile, num_heads: int | None = None) -> ImportedWeights:
    """A DeiT, with or without its distillation token."""
    weights, unknown = to_own_names(file.tensors, vit_names_of(file.tensors))
    config = vit_config(weights, num_heads=num_heads)
    image = ImageConfig(size=vit_image_size(weights, config))
    return ImportedWeights("the official DeiT", config, image, weights, heads=vit_heads(config), unknown=unknown)


def import_swin(file: ForeignFile, _num_heads: int | None = None) -> ImportedWeights:
    """A Swin of timm 0.9 or newer; the weights show its heads themselves."""
    tensors, left_out = without_computed(file.tensors)
    tensors = {_official_name(name): tensor for name, tensor in tensors.items()}
    weights, unknown = to_own_names(tensors, swin_names(swin_depths(tensors)))
    config = swin_config(weights)
    image, notes = image_config(file, swin_image_size(config), imagenet=True, says_nothing=False)
    return ImportedWeights(
        "timm",
        config,
        image,
        weights,
        unknown=unknown,
        left_out=left_out,
        class_names=class_names(file),
        notes=notes,
    )


def export_vit(weights: Weights, config: ViTConfig) -> tuple[dict[str, Tensor], list[str]]:
    """Weights under timm's names, and attnkit's names of those that timm has no place for."""
    return to_foreign_names(weights, vit_names(config.depth, resnet_depths=config.resnet_depths))


def export_swin(weights: Weights, config: SwinConfig) -> tuple[dict[str, Tensor], list[str]]:
    """Weights under the names of timm 0.9 and newer."""
    foreign, nameless = to_foreign_names(weights, swin_names(config.depths))
    return {_newer_name(name): tensor for name, tensor in foreign.items()}, nameless


def vit_heads(config: ViTConfig) -> tuple[str, ...]:
    """The classifiers of a ViT."""
    return ("head", "distillation_head") if config.distillation else ("head",)


def vit_names(depth: int, *, resnet_depths: tuple[int, ...] | None = None) -> dict[str, str]:
    """Names of attnkit for a ViT to timm's, which are the official DeiT's."""
    names = {
        "class_token": "cls_token",
        "distillation_token": "dist_token",
        "positions": "pos_embed",
        "patch_embed.proj": "patch_embed.proj",
        "norm": "norm",
        "representation": "pre_logits.fc",  # until timm 0.6
        "head": "head",
        "distillation_head": "head_dist",
    }
    for i in range(depth):
        names |= {
            f"blocks.{i}.norm1": f"blocks.{i}.norm1",
            f"blocks.{i}.attention.qkv": f"blocks.{i}.attn.qkv",
            f"blocks.{i}.attention.out": f"blocks.{i}.attn.proj",
            f"blocks.{i}.norm2": f"blocks.{i}.norm2",
            f"blocks.{i}.mlp.up": f"blocks.{i}.mlp.fc1",
            f"blocks.{i}.mlp.down": f"blocks.{i}.mlp.fc2",
        }
    return names if resnet_depths is None else names | _stem_names(resnet_depths)


def vit_names_of(tensors: Weights) -> dict[str, str]:
    """The table for a file: as many blocks as it has."""
    hybrid = any(name.startswith(STEM) for name in tensors)
    depths = count_each(tensors, rf"{re.escape(STEM)}stages\.", r"\.blocks\.(\d+)\.")
    return vit_names(count(tensors, r"blocks\.(\d+)\."), resnet_depths=depths if hybrid else None)


def _stem_names(depths: tuple[int, ...]) -> dict[str, str]:
    root = f"{STEM}stem." if depths else STEM
    names = {"patch_embed.stem.conv": f"{root}conv", "patch_embed.stem.norm": f"{root}norm"}
    for s, depth in enumerate(depths):
        for b in range(depth):
            own, theirs = f"patch_embed.stem.stages.{s}.{b}", f"{STEM}stages.{s}.blocks.{b}"
            names |= {f"{own}.{layer}": f"{theirs}.{layer}" for layer in STEM_LAYERS}
            names |= {
                f"{own}.projection.0": f"{theirs}.downsample.conv",
                f"{own}.projection.1": f"{theirs}.downsample.norm",
            }
    return names


def _official_name(name: str) -> str:
    """The official name of one that timm moved."""
    moved = re.fullmatch(r"layers\.(\d+)\.(downsample\..*)", name)
    if moved:
        return f"layers.{int(moved[1]) - 1}.{moved[2]}"
    return name.replace("head.fc.", "head.")


def _newer_name(name: str) -> str:
    """Where timm moved an official name to."""
    moved = re.fullmatch(r"layers\.(\d+)\.(downsample\..*)", name)
    if moved:
        return f"layers.{int(moved[1]) + 1}.{moved[2]}"
    return name.replace("head.", "head.fc.") if name.startswith("head.") else name


def class_names(file: ForeignFile) -> tuple[str, ...] | None:
    """The names that config.json gives, if it does."""
    known: Mapping[str, Any] = file.settings.get("pretrained_cfg") or {}
    names = file.settings.get("label_names") or known.get("label_names")
    return tuple(map(str, names)) if isinstance(names, list) else None


def image_config(
    file: ForeignFile, size: int, *, imagenet: bool, says_nothing: bool
) -> tuple[ImageConfig, tuple[str, ...]]:
    """How timm prepares images for these weights: as config.json says, else as it does for most of this kind."""
    known: Mapping[str, Any] = file.settings.get("pretrained_cfg") or {}
    crop = {"crop_fraction": known.get("crop_pct", 0.9 if size < 300 else 1.0)}
    if known.get("crop_mode") in ("squash", "border"):
        crop["resize"] = "squash" if known["crop_mode"] == "squash" else "pad"
    if known.get("interpolation") in ("bilinear", "bicubic"):
        crop["interpolation"] = known["interpolation"]
    if "mean" in known and "std" in known:
        return ImageConfig(size=size, mean=_three(known["mean"]), std=_three(known["std"]), **crop), ()
    if imagenet:
        return ImageConfig(size=size, **crop), ()
    note = (
        "mean and std of the images: the weights do not show them; taken to be 0.5, as of timm's ViT; where they are "
        "of DeiT, or were trained with ImageNet's, import with --normalize imagenet"
    )
    image = ImageConfig(size=size, mean=GOOGLE_MEAN_STD, std=GOOGLE_MEAN_STD, **crop)
    return image, (note,) if says_nothing else ()


def _three(values: Any) -> tuple[float, float, float]:
    return cast("tuple[float, float, float]", tuple(float(value) for value in values))

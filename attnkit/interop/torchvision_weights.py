"""Weights of torchvision (https://github.com/pytorch/vision): its ViT, Swin, ResNet and AlexNet, in and out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from torch import Tensor

from attnkit.data.classification.config import ImageConfig
from attnkit.errors import CheckpointError
from attnkit.interop.foreign_file import ForeignFile
from attnkit.interop.imported_weights import ImportedWeights
from attnkit.interop.name_table import count, to_foreign_names, to_own_names
from attnkit.interop.sizes import swin_config, swin_image_size, vit_config, vit_image_size
from attnkit.interop.swin_official import stage_names, without_computed
from attnkit.models.config import AlexNetConfig, ResNetConfig, SwinConfig, ViTConfig
from attnkit.models.layers.window_attention import relative_position_index

Weights = Mapping[str, Tensor]

SWIN_RESIZE = {(96, 12): 232, (96, 24): 246, (128, 24): 238}
"""Pixels of the shorter side before the centre of 224 is taken, by (embed_dim, depth), as its weights say."""
RESNET_DEPTHS: dict[tuple[tuple[int, ...], bool], Literal[18, 34, 50, 101, 152]] = {
    ((2, 2, 2, 2), False): 18,
    ((3, 4, 6, 3), False): 34,
    ((3, 4, 6, 3), True): 50,
    ((3, 4, 23, 3), True): 101,
    ((3, 8, 36, 3), True): 152,
}
"""Layers of a ResNet by the blocks of its stages, and whether these are bottlenecks."""


def matches_vit(file: ForeignFile) -> bool:
    """Whether these are the names of torchvision's ViT."""
    return {"conv_proj.weight", "encoder.ln.weight"} <= file.tensors.keys()


def matches_swin(file: ForeignFile) -> bool:
    """Whether these are the names of torchvision's Swin, the first version."""
    return {"features.0.0.weight", "features.1.0.attn.relative_position_bias_table"} <= file.tensors.keys()


def matches_resnet(file: ForeignFile) -> bool:
    """Whether these are the names of torchvision's ResNet, which are timm's too."""
    return {"conv1.weight", "bn1.running_mean", "layer1.0.conv1.weight", "fc.weight"} <= file.tensors.keys()


def matches_alexnet(file: ForeignFile) -> bool:
    """Whether these are the names of torchvision's AlexNet."""
    return {"features.0.weight", "features.10.weight", "classifier.6.weight"} <= file.tensors.keys() and (
        tuple(file.tensors["features.0.weight"].shape) == (64, 3, 11, 11)
    )


def import_vit(file: ForeignFile, num_heads: int | None = None) -> ImportedWeights:
    """A ViT of torchvision."""
    depth = count(file.tensors, r"encoder\.layers\.encoder_layer_(\d+)\.")
    weights, unknown = to_own_names(file.tensors, vit_names(depth, representation=_has_representation(file.tensors)))
    config = vit_config(weights, num_heads=num_heads)
    image = ImageConfig(size=vit_image_size(weights, config), interpolation="bilinear")
    return ImportedWeights("torchvision", config, image, weights, unknown=unknown)


def import_swin(file: ForeignFile, _num_heads: int | None = None) -> ImportedWeights:
    """A Swin of torchvision; the weights show its heads themselves."""
    tensors, left_out = without_computed(file.tensors)
    weights, unknown = to_own_names(tensors, swin_names(_swin_depths(tensors)))
    config = swin_config(weights)
    size = swin_image_size(config)
    resized = SWIN_RESIZE.get((config.embed_dim, sum(config.depths)), 256)
    image = ImageConfig(size=size, crop_fraction=round(224 / resized, 4))
    return ImportedWeights("torchvision", config, image, weights, unknown=unknown, left_out=left_out)


def import_resnet(file: ForeignFile, _num_heads: int | None = None) -> ImportedWeights:
    """A ResNet; attnkit's is torchvision's, names and all."""
    image = ImageConfig(size=224, interpolation="bilinear")
    return ImportedWeights(
        "torchvision", resnet_config(file.tensors, file.path), image, dict(file.tensors), heads=("fc",)
    )


def resnet_config(tensors: Weights, path: Path) -> ResNetConfig:
    """The ResNet that has such weights.

    Raises:
        CheckpointError: attnkit has no ResNet with these numbers of blocks.
    """
    blocks = tuple(count(tensors, rf"layer{stage}\.(\d+)\.") for stage in (1, 2, 3, 4))
    depth = RESNET_DEPTHS.get((blocks, "layer1.0.conv3.weight" in tensors))
    if depth is None:
        raise CheckpointError(
            f"{path}: a ResNet with {list(blocks)} blocks per stage; expected one of 18, 34, 50, 101 or 152 "
            "layers; for others use model: {name: timm}"
        )
    return ResNetConfig(name="resnet", depth=depth)


def import_alexnet(file: ForeignFile, _num_heads: int | None = None) -> ImportedWeights:
    """AlexNet; attnkit's is torchvision's, names and all."""
    image = ImageConfig(size=224, interpolation="bilinear")
    return ImportedWeights(
        "torchvision", AlexNetConfig(name="alexnet"), image, dict(file.tensors), heads=("classifier.6",)
    )


def export_vit(weights: Weights, config: ViTConfig) -> tuple[dict[str, Tensor], list[str]]:
    """Weights under torchvision's names, and attnkit's names of those that it has no place for."""
    return to_foreign_names(weights, vit_names(config.depth, representation=config.representation))


def export_swin(weights: Weights, config: SwinConfig) -> tuple[dict[str, Tensor], list[str]]:
    """Weights under torchvision's names, with the index of positions that it keeps beside them."""
    foreign, nameless = to_foreign_names(weights, swin_names(config.depths))
    index = relative_position_index(config.window_size).flatten()
    for stage, depth in enumerate(config.depths):
        for block in range(depth):
            foreign[f"features.{2 * stage + 1}.{block}.attn.relative_position_index"] = index.clone()
    return foreign, nameless


def vit_names(depth: int, *, representation: bool) -> dict[str, str]:
    """Names of attnkit for a ViT to torchvision's."""
    names = {
        "class_token": "class_token",
        "positions": "encoder.pos_embedding",
        "patch_embed.proj": "conv_proj",
        "norm": "encoder.ln",
        "head": "heads.head",
    }
    if representation:
        names["representation"] = "heads.pre_logits"
    for i in range(depth):
        theirs = f"encoder.layers.encoder_layer_{i}"
        names |= {
            f"blocks.{i}.norm1": f"{theirs}.ln_1",
            f"blocks.{i}.attention.qkv.weight": f"{theirs}.self_attention.in_proj_weight",
            f"blocks.{i}.attention.qkv.bias": f"{theirs}.self_attention.in_proj_bias",
            f"blocks.{i}.attention.out": f"{theirs}.self_attention.out_proj",
            f"blocks.{i}.norm2": f"{theirs}.ln_2",
            f"blocks.{i}.mlp.up": f"{theirs}.mlp.0",
            f"blocks.{i}.mlp.down": f"{theirs}.mlp.3",
        }
    return names


def swin_names(depths: tuple[int, ...]) -> dict[str, str]:
    """Names of attnkit for a Swin to torchvision's, which numbers stages and mergings in one row."""
    names = {"patch_embed.proj": "features.0.0", "patch_embed.norm": "features.0.2"}
    for s, depth in enumerate(depths):
        names |= stage_names(s, depth, blocks=f"features.{2 * s + 1}", merging=f"features.{2 * s + 2}", mlp=("0", "3"))
    return names | {"norm": "norm", "head": "head"}


def _has_representation(tensors: Weights) -> bool:
    return "heads.pre_logits.weight" in tensors


def _swin_depths(tensors: Weights) -> tuple[int, ...]:
    stages = (count(tensors, r"features\.(\d+)\.") + 1) // 2
    return tuple(count(tensors, rf"features\.{2 * stage + 1}\.(\d+)\.") for stage in range(stages))

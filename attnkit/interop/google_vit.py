"""Google's ViT in .npz: https://github.com/google-research/vision_transformer, hybrids too, and .../big_vision.

JAX has matrices as (inputs, outputs), heads apart, and convolutions as (height, width, inputs, outputs). Its GELU is
the approximation by tanh.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from attnkit.data.classification.config import ImageConfig
from attnkit.interop.foreign_file import ForeignFile
from attnkit.interop.imported_weights import GOOGLE_MEAN_STD, ImportedWeights
from attnkit.interop.name_table import count, join_qkv
from attnkit.interop.sizes import vit_config, vit_image_size

Weights = Mapping[str, Tensor]

PREFIXES = ("", "opt/target/", "params/img/", "params/")
"""What stands in front of the names: nothing, or where a training program kept them."""
LEAVES = {"kernel": "weight", "scale": "weight", "bias": "bias"}
SCANNED = "Transformer/encoderblock/"
"""Where all blocks lie in one array, the first dimension of which counts them."""


def matches(file: ForeignFile) -> bool:
    """Whether these are the names of Google's ViT."""
    return _prefix(file.tensors) is not None


def import_vit(file: ForeignFile, num_heads: int | None = None) -> ImportedWeights:
    """A ViT or hybrid of Google; the shapes of its projections show the heads."""
    tensors = _each_block(_without_prefix(file.tensors))
    table = vit_names(tensors)
    weights, unknown = {}, {}
    for name, tensor in tensors.items():
        module, _, leaf = name.rpartition("/")
        if name in table:
            weights[table[name]] = tensor
        elif module in table and leaf in LEAVES:
            weights[f"{table[module]}.{LEAVES[leaf]}"] = _in_torch_order(tensor, module, leaf)
        else:
            unknown[name] = tensor
    weights = _with_class_slot(join_qkv(weights))
    heads = next((t.shape[-2] for n, t in tensors.items() if n.endswith("query/kernel")), num_heads)
    config = vit_config(weights, num_heads=heads, activation="gelu_tanh")
    # Its evaluation resizes the whole image, without a crop.
    image = ImageConfig(
        size=vit_image_size(weights, config),
        resize="squash",
        interpolation="bilinear",
        mean=GOOGLE_MEAN_STD,
        std=GOOGLE_MEAN_STD,
    )
    prefix = _prefix(file.tensors) or ""
    left_out = tuple(name for name in file.tensors if not name.startswith(prefix))
    return ImportedWeights("Google's ViT", config, image, weights, unknown=unknown, left_out=left_out)


def vit_names(tensors: Weights) -> dict[str, str]:
    """Google's names, as modules or parameters, to attnkit's with queries, keys and values apart.

    This table goes the other way round than the others', since two generations of names lead to the same one.
    """
    names = {
        "cls": "class_token",
        "pos_embedding": "positions",
        "Transformer/pos_embedding": "positions",
        "Transformer/posembed_input/pos_embedding": "positions",
        "embedding": "patch_embed.proj",
        "Transformer/encoder_norm": "norm",
        "pre_logits": "representation",
        "head": "head",
        "conv_root": "patch_embed.stem.conv",
        "gn_root": "patch_embed.stem.norm",
    }
    for i in range(count(tensors, r"Transformer/encoderblock_(\d+)/")):
        names |= _block_names(f"Transformer/encoderblock_{i}", f"blocks.{i}")
    for stage in range(count(tensors, r"block(\d+)/unit")):
        for unit in range(count(tensors, rf"block{stage}/unit(\d+)/")):
            names |= _unit_names(f"block{stage}/unit{unit}", f"patch_embed.stem.stages.{stage - 1}.{unit - 1}")
    return names


def _block_names(theirs: str, own: str) -> dict[str, str]:
    names = {f"{theirs}/LayerNorm_0": f"{own}.norm1"}
    names |= {f"{theirs}/LayerNorm_{number}": f"{own}.norm2" for number in (1, 2)}
    for number in (0, 1):
        attention = f"{theirs}/MultiHeadDotProductAttention_{number}"
        names |= {f"{attention}/{word}": f"{own}.attention.{word[0]}" for word in ("query", "key", "value")}
        names[f"{attention}/out"] = f"{own}.attention.out"
    for number in (0, 3):
        names[f"{theirs}/MlpBlock_{number}/Dense_0"] = f"{own}.mlp.up"
        names[f"{theirs}/MlpBlock_{number}/Dense_1"] = f"{own}.mlp.down"
    return names


def _unit_names(theirs: str, own: str) -> dict[str, str]:
    names = {f"{theirs}/conv_proj": f"{own}.projection.0", f"{theirs}/gn_proj": f"{own}.projection.1"}
    for number in (1, 2, 3):
        names[f"{theirs}/conv{number}"] = f"{own}.conv{number}"
        names[f"{theirs}/gn{number}"] = f"{own}.norm{number}"
    return names


def _in_torch_order(tensor: Tensor, module: str, leaf: str) -> Tensor:
    """The array as torch has it: outputs first, heads side by side."""
    if leaf != "kernel":
        return tensor.flatten()
    if tensor.dim() == 4:
        return tensor.permute(3, 2, 0, 1)
    if tensor.dim() == 3:
        tensor = tensor.flatten(0, 1) if module.endswith("/out") else tensor.flatten(1)
    return tensor.t()


def _prefix(tensors: Weights) -> str | None:
    return next((prefix for prefix in PREFIXES if f"{prefix}embedding/kernel" in tensors), None)


def _without_prefix(tensors: Weights) -> dict[str, Tensor]:
    prefix = _prefix(tensors) or ""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _each_block(tensors: Weights) -> dict[str, Tensor]:
    """The arrays of all blocks as one for each."""
    apart: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name.startswith(SCANNED):
            rest = name.removeprefix(SCANNED)
            apart |= {f"Transformer/encoderblock_{i}/{rest}": block for i, block in enumerate(tensor)}
        else:
            apart[name] = tensor
    return apart


def _with_class_slot(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """big_vision adds no position to the class token; attnkit has a slot for it, which then is zero."""
    positions = weights.get("positions")
    if positions is None or "class_token" not in weights:
        return weights
    rows = positions.shape[1]
    if round(rows**0.5) ** 2 != rows:
        return weights
    slot = positions.new_zeros(1, 1, positions.shape[2])
    return weights | {"positions": torch.cat([slot, positions], dim=1)}

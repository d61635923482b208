"""ViT, DeiT and the hybrids against torchvision, timm and transformers, with the same random weights."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn

from attnkit.models.build import build_model
from attnkit.models.config import ViTConfig
from attnkit.models.layers.patches import resize_positions
from attnkit.models.resnet_v2 import ResNetV2, StdConv2d
from attnkit.models.vit import VisionTransformer

C, H, K, SIZE, PATCH = 24, 2, 7, 32, 8

# what a block of ours is called in theirs
TORCHVISION = {
    "norm1": "ln_1",
    "attention.out": "self_attention.out_proj",
    "norm2": "ln_2",
    "mlp.up": "mlp.0",
    "mlp.down": "mlp.3",
}
TIMM = {
    "norm1": "norm1",
    "attention.qkv": "attn.qkv",
    "attention.out": "attn.proj",
    "norm2": "norm2",
    "mlp.up": "mlp.fc1",
    "mlp.down": "mlp.fc2",
}


def small(**changes: Any) -> ViTConfig:
    sizes: dict[str, Any] = {"patch_size": PATCH, "embed_dim": C, "depth": 3, "num_heads": H, "mlp_ratio": 2.0}
    return ViTConfig(**(sizes | changes))


def build(config: ViTConfig) -> VisionTransformer:
    """A model none of whose weights has the value that it is born with; large, so that the eps of a norm is small."""
    torch.manual_seed(1)
    model = build_model(config, num_classes=K, image_size=SIZE).eval()
    for parameter in model.parameters():
        parameter.data += 0.3 * torch.randn(parameter.shape)
    return model


def images() -> Tensor:
    return torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(2))


def close(actual: Tensor, expected: Tensor, *, atol: float = 1e-5) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=atol)


def with_kinds(names: dict[str, str], *, own: str = "", theirs: str = "") -> dict[str, str]:
    """Both the weight and the bias."""
    return {f"{theirs}{b}.{kind}": f"{own}{a}.{kind}" for a, b in names.items() for kind in ("weight", "bias")}


def compare(own: VisionTransformer, theirs: nn.Module, names: dict[str, str], *, atol: float = 1e-5) -> None:
    """Logits, and the gradients of every weight; `names` says which weight of ours is which of theirs."""
    state = own.state_dict()
    missing, unexpected = theirs.load_state_dict({a: state[b] for a, b in names.items()})
    assert not missing
    assert not unexpected
    assert len(names) == len(state)
    direction = torch.randn(2, K, generator=torch.Generator().manual_seed(3))
    close(own(images()), theirs(images()), atol=atol)
    (own(images()) * direction).sum().backward()
    (theirs(images()) * direction).sum().backward()
    own_gradients = {name: parameter.grad for name, parameter in own.named_parameters()}
    for name, parameter in theirs.named_parameters():
        close(own_gradients[names[name]], parameter.grad, atol=20 * atol)


# torchvision: a core dependency, so always


@pytest.mark.parametrize("representation", [False, True])
def test_torchvision(representation: bool) -> None:
    own = build(small(representation=representation))
    theirs = torchvision.models.VisionTransformer(
        image_size=SIZE,
        patch_size=PATCH,
        num_layers=3,
        num_heads=H,
        hidden_dim=C,
        mlp_dim=2 * C,
        num_classes=K,
        representation_size=C if representation else None,
    ).eval()
    head = {"representation": "heads.pre_logits"} if representation else {}
    names = {"class_token": "class_token", "encoder.pos_embedding": "positions"} | with_kinds(
        {"patch_embed.proj": "conv_proj", "norm": "encoder.ln", "head": "heads.head"} | head
    )
    for block in range(3):
        own_name, their_name = f"blocks.{block}.", f"encoder.layers.encoder_layer_{block}."
        names |= with_kinds(TORCHVISION, own=own_name, theirs=their_name)
        for kind in ("weight", "bias"):
            names[f"{their_name}self_attention.in_proj_{kind}"] = f"{own_name}attention.qkv.{kind}"
    compare(own, theirs, names)


# timm


def timm_names() -> dict[str, str]:
    same = {name: name for name in ("patch_embed.proj", "norm", "head")}
    names = {"pos_embed": "positions"} | with_kinds(same)
    for block in range(3):
        names |= with_kinds(TIMM, own=f"blocks.{block}.", theirs=f"blocks.{block}.")
    return names


def timm_options() -> dict[str, Any]:
    return {
        "img_size": SIZE,
        "patch_size": PATCH,
        "embed_dim": C,
        "depth": 3,
        "num_heads": H,
        "mlp_ratio": 2.0,
        "num_classes": K,
    }


@pytest.mark.peers
@pytest.mark.parametrize("activation", ["gelu", "gelu_tanh"])
def test_timm(activation: str) -> None:
    models = pytest.importorskip("timm.models.vision_transformer")
    theirs = models.VisionTransformer(**timm_options(), act_layer=activation).eval()
    compare(build(small(activation=activation)), theirs, timm_names() | {"cls_token": "class_token"})


@pytest.mark.peers
def test_timm_distilled() -> None:
    models = pytest.importorskip("timm.models.deit")
    theirs = models.VisionTransformerDistilled(**timm_options()).eval()
    names = timm_names() | {"cls_token": "class_token", "dist_token": "distillation_token"}
    compare(build(small(distillation=True)), theirs, names | with_kinds({"distillation_head": "head_dist"}))


@pytest.mark.peers
def test_timm_average_pooling() -> None:
    """Ours has the norm before the mean, as Google's code; so has timm's with fc_norm off."""
    models = pytest.importorskip("timm.models.vision_transformer")
    theirs = models.VisionTransformer(**timm_options(), global_pool="avg", class_token=False, fc_norm=False).eval()
    compare(build(small(pooling="average")), theirs, timm_names())


@pytest.mark.peers
@pytest.mark.parametrize(("depths", "patch_size"), [((), 4), ((2, 1), 2), ((1, 2, 1), 1)])
@torch.no_grad()
def test_timm_hybrid(depths: tuple[int, ...], patch_size: int) -> None:
    """With weights so large that what timm adds to deviations in other places does not matter."""
    models = pytest.importorskip("timm.models.vision_transformer")
    hybrid = pytest.importorskip("timm.models.vision_transformer_hybrid")
    own = build(small(patch_size=patch_size, resnet_depths=depths))
    enlarge(own.patch_embed.stem)
    embed = partial(hybrid.HybridEmbed, backbone=hybrid._resnetv2(depths))
    theirs = models.VisionTransformer(**(timm_options() | {"patch_size": patch_size}), embed_layer=embed).eval()
    state = own.state_dict()
    names = timm_names() | {"cls_token": "class_token"} | stem_names(depths)
    assert len(names) == len(state)
    theirs.load_state_dict({a: state[b] for a, b in names.items()})
    close(own(images()), theirs(images()), atol=2e-4)


def enlarge(stem: ResNetV2) -> None:
    for module in stem.modules():
        if isinstance(module, StdConv2d):
            module.weight.data *= 100


def stem_names(depths: tuple[int, ...]) -> dict[str, str]:
    """timm's name for each weight of the stem, with ours."""
    own, theirs = "patch_embed.stem.", "patch_embed.backbone."
    root = f"{theirs}stem." if depths else theirs
    names = {f"{root}conv.weight": f"{own}conv.weight"} | with_kinds({f"{own}norm": f"{root}norm"})
    for stage, blocks in enumerate(depths):
        for block in range(blocks):
            here, there = f"{own}stages.{stage}.{block}.", f"{theirs}stages.{stage}.blocks.{block}."
            for layer in (1, 2, 3):
                names[f"{there}conv{layer}.weight"] = f"{here}conv{layer}.weight"
                names |= with_kinds({f"norm{layer}": f"norm{layer}"}, own=here, theirs=there)
            if block == 0:
                names[f"{there}downsample.conv.weight"] = f"{here}projection.0.weight"
                names |= with_kinds({"projection.1": "downsample.norm"}, own=here, theirs=there)
    return names


@pytest.mark.peers
@pytest.mark.parametrize(("old", "new"), [(3, 5), (7, 4)])
def test_positions_as_timm_resizes_them(old: int, new: int) -> None:
    layers = pytest.importorskip("timm.layers")
    positions = torch.randn(1, 1 + old**2, 5)
    expected = layers.resample_abs_pos_embed(positions, (new, new), num_prefix_tokens=1)
    own = resize_positions(positions, grid_size=(new, new), special_tokens=1, interpolation="timm")
    close(own, expected, atol=1e-6)


def test_positions_as_torchvision_resizes_them() -> None:
    positions = torch.randn(1, 1 + 16, C)
    state = {"encoder.pos_embedding": positions}
    expected = torchvision.models.vision_transformer.interpolate_embeddings(
        image_size=6 * PATCH, patch_size=PATCH, model_state=state
    )["encoder.pos_embedding"]
    close(resize_positions(positions, grid_size=(6, 6), special_tokens=1, interpolation="torchvision"), expected)


# transformers

TRANSFORMERS = {
    "norm1": "layernorm_before",
    "attention.out": "attention.o_proj",
    "norm2": "layernorm_after",
    "mlp.up": "mlp.fc1",
    "mlp.down": "mlp.fc2",
}


def transformers_weights(own: VisionTransformer, trunk: str, heads: dict[str, str]) -> dict[str, Tensor]:
    """Our weights by the names of transformers 5, which keeps queries, keys and values apart."""
    state = own.state_dict()
    names = with_kinds({"patch_embed.proj": f"{trunk}embeddings.patch_embeddings.projection"} | heads)
    names |= with_kinds({"norm": f"{trunk}layernorm"}) | {f"{trunk}embeddings.position_embeddings": "positions"}
    names |= {f"{trunk}embeddings.cls_token": "class_token"}
    if "distillation_token" in state:
        names[f"{trunk}embeddings.distillation_token"] = "distillation_token"
    for block in range(3):
        names |= with_kinds(TRANSFORMERS, own=f"blocks.{block}.", theirs=f"{trunk}layers.{block}.")
    weights = {theirs: state[name] for theirs, name in names.items()}
    for block in range(3):
        for kind in ("weight", "bias"):
            fused = state[f"blocks.{block}.attention.qkv.{kind}"]
            for letter, matrix in zip("qkv", fused.chunk(3), strict=True):
                weights[f"{trunk}layers.{block}.attention.{letter}_proj.{kind}"] = matrix
    return weights


def transformers_options() -> dict[str, Any]:
    """The default eps, 1e-12, is not that of the weights that most people have."""
    return {
        "hidden_size": C,
        "num_hidden_layers": 3,
        "num_attention_heads": H,
        "intermediate_size": 2 * C,
        "image_size": SIZE,
        "patch_size": PATCH,
        "num_labels": K,
        "layer_norm_eps": 1e-6,
    }


@pytest.mark.peers
@torch.no_grad()
def test_transformers() -> None:
    transformers = pytest.importorskip("transformers", minversion="5")
    theirs = transformers.ViTForImageClassification(transformers.ViTConfig(**transformers_options())).eval()
    own = build(small())
    theirs.load_state_dict(transformers_weights(own, "vit.", {"head": "classifier"}))
    close(own(images()), theirs(images()).logits)


@pytest.mark.peers
@torch.no_grad()
def test_transformers_distilled() -> None:
    transformers = pytest.importorskip("transformers", minversion="5")
    config = transformers.DeiTConfig(**transformers_options())
    theirs = transformers.DeiTForImageClassificationWithTeacher(config).eval()
    own = build(small(distillation=True))
    heads = {"head": "cls_classifier", "distillation_head": "distillation_classifier"}
    theirs.load_state_dict(transformers_weights(own, "deit.", heads))
    expected = theirs(images())
    close(own(images()), expected.logits)
    logits, distilled = own.forward_heads(images())
    close(logits, expected.cls_logits)
    assert distilled is not None
    close(distilled, expected.distillation_logits)


@pytest.mark.peers
def test_positions_as_transformers_resizes_them() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(hidden_size=C, image_size=SIZE, patch_size=PATCH)
    embeddings = transformers.models.vit.modeling_vit.ViTEmbeddings(config)
    positions = embeddings.position_embeddings.data.normal_()
    expected = embeddings.interpolate_pos_encoding(torch.zeros(1, 1 + 35, C), 5 * PATCH, 7 * PATCH)
    close(resize_positions(positions, grid_size=(5, 7), special_tokens=1, interpolation="deit"), expected)

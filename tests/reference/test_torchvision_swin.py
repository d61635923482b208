"""Swin against torchvision's, and, where they are installed, timm's and transformers', with the same random weights."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.swin_transformer import SwinTransformer as TorchvisionSwin

from attnkit.models.build import build_model
from attnkit.models.config import SwinConfig
from attnkit.models.layers.window_attention import resize_bias_table
from attnkit.models.swin import SwinTransformer

CONFIG = SwinConfig(name="swin", embed_dim=12, depths=(2, 2, 3, 2), num_heads=(1, 2, 3, 4), drop_path_rate=0.0)
K = 11
SIZES = [(224, 224), (232, 232), (256, 320), (448, 448), (200, 296)]
"""All divide, none does, two whose last stages are wider or higher than a window, and one that differs per axis."""


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


def images(height: int, width: int, *, batch: int = 1) -> Tensor:
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(height + width))


@pytest.fixture(scope="module")
def own() -> SwinTransformer:
    """A model none of whose weights has the value that it is born with, and whose logits are of the size of 1."""
    torch.manual_seed(1)
    model = build_model(CONFIG, num_classes=K, image_size=224).eval()
    for parameter in model.parameters():
        parameter.data += 0.2 * torch.randn(parameter.shape)
    return model.requires_grad_(False)


def torchvision_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    renamed = {}
    for name, tensor in weights.items():
        parts = name.split(".")
        if parts[0] == "stages":
            place = 2 * int(parts[1]) + (1 if parts[2] == "blocks" else 2)
            parts = ["features", str(place), *parts[3:]]
        name = ".".join(parts)
        for ours, theirs in (
            ("patch_embed.proj", "features.0.0"),
            ("patch_embed.norm", "features.0.2"),
            ("attention.qkv", "attn.qkv"),
            ("attention.out", "attn.proj"),
            ("attention.bias_table", "attn.relative_position_bias_table"),
            ("mlp.up", "mlp.0"),
            ("mlp.down", "mlp.3"),
        ):
            name = name.replace(ours, theirs)
        renamed[name] = tensor
    return renamed


@pytest.fixture(scope="module")
def torchvision_model(own: SwinTransformer) -> nn.Module:
    theirs = TorchvisionSwin(
        patch_size=[4, 4],
        embed_dim=CONFIG.embed_dim,
        depths=list(CONFIG.depths),
        num_heads=list(CONFIG.num_heads),
        window_size=[7, 7],
        stochastic_depth_prob=0.0,
        num_classes=K,
    ).eval()
    found = theirs.load_state_dict(torchvision_names(own.state_dict()), strict=False)
    assert not found.unexpected_keys
    assert all(name.endswith("relative_position_index") for name in found.missing_keys)
    return theirs.requires_grad_(False)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_logits_at_any_size(own: SwinTransformer, torchvision_model: nn.Module, size: tuple[int, int]) -> None:
    x = images(*size)
    expected = torchvision_model(x)
    assert expected.std() > 0.1  # or equality would be easy
    close(own(x), expected)


def test_maps_of_the_stages(own: SwinTransformer, torchvision_model: nn.Module) -> None:
    x = expected = images(104, 136)
    maps = own.stage_outputs(x, dense=False)
    for place, feature in enumerate(torchvision_model.features):
        expected = feature(expected)
        if place % 2:
            close(maps[place // 2], expected.permute(0, 3, 1, 2))


def test_gradients(own: SwinTransformer, torchvision_model: nn.Module) -> None:
    """Of the images, and of every weight."""
    x = images(72, 104, batch=2).requires_grad_()
    gradients = []
    for model in (own, torchvision_model):
        model.requires_grad_(True)
        model.zero_grad()
        loss = model(x).square().sum() / 100
        loss.backward()
        named = {name: parameter.grad for name, parameter in model.named_parameters()}
        gradients.append((torchvision_names(named) if model is own else named) | {"images": x.grad})
        x.grad = None
        model.requires_grad_(False)
    assert gradients[0].keys() == gradients[1].keys()
    for name, expected in gradients[1].items():
        torch.testing.assert_close(gradients[0][name], expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.peers
def test_timm_at_its_own_size(own: SwinTransformer) -> None:
    """At other sizes timm rolls before it pads, which is another function."""
    timm = pytest.importorskip("timm")
    theirs = timm.create_model(
        "swin_tiny_patch4_window7_224",
        embed_dim=CONFIG.embed_dim,
        depths=CONFIG.depths,
        num_heads=CONFIG.num_heads,
        num_classes=K,
    ).eval()
    theirs.load_state_dict(timm_names(own.state_dict()))
    x = images(224, 224, batch=2)
    close(own(x), theirs(x))


def timm_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    renamed = {}
    for name, tensor in weights.items():
        parts = name.split(".")
        if parts[0] == "stages":
            stage = int(parts[1]) + (parts[2] == "downsample")  # timm has it at the start of the next stage
            parts = ["layers", str(stage), *parts[2:]]
        name = ".".join(parts)
        for ours, theirs in (
            ("attention.qkv", "attn.qkv"),
            ("attention.out", "attn.proj"),
            ("attention.bias_table", "attn.relative_position_bias_table"),
            ("mlp.up", "mlp.fc1"),
            ("mlp.down", "mlp.fc2"),
            ("head.", "head.fc."),
        ):
            name = name.replace(ours, theirs)
        renamed[name] = tensor
    return renamed


@pytest.mark.peers
@pytest.mark.parametrize("size", [(224, 224), (232, 232), (256, 320), (448, 448)])
def test_transformers_at_any_size(own: SwinTransformer, size: tuple[int, int]) -> None:
    """A fresh model each time: theirs changes its windows to fit the first image that it sees."""
    transformers = pytest.importorskip("transformers")
    theirs = transformers.SwinForImageClassification(
        transformers.SwinConfig(
            embed_dim=CONFIG.embed_dim,
            depths=list(CONFIG.depths),
            num_heads=list(CONFIG.num_heads),
            num_labels=K,
            hidden_dropout_prob=0.0,
            drop_path_rate=0.0,
        )
    ).eval()
    found = theirs.load_state_dict(transformers_names(own.state_dict()), strict=False)
    assert not found.unexpected_keys
    assert all(name.endswith("relative_position_index") for name in found.missing_keys)
    x = images(*size)
    close(own(x), theirs(pixel_values=x, interpolate_pos_encoding=True).logits)


def transformers_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    renamed = {}
    for name, tensor in weights.items():
        for ours, theirs in (
            ("patch_embed.proj", "swin.embeddings.patch_embeddings.projection"),
            ("patch_embed.norm", "swin.embeddings.norm"),
            ("stages.", "swin.encoder.layers."),
            ("norm1", "layernorm_before"),
            ("norm2", "layernorm_after"),
            ("attention.out", "attention.o_proj"),
            ("attention.bias_table", "attention.relative_position_bias.relative_position_bias_table"),
            ("mlp.up", "mlp.fc1"),
            ("mlp.down", "mlp.fc2"),
            ("head.", "classifier."),
        ):
            name = name.replace(ours, theirs)
        if name.startswith("norm."):
            name = f"swin.layernorm.{name.removeprefix('norm.')}"
        if "attention.qkv" in name:
            for part, matrix in zip("qkv", tensor.chunk(3), strict=True):
                renamed[name.replace("attention.qkv", f"attention.{part}_proj")] = matrix
        else:
            renamed[name] = tensor
    return renamed


def test_a_bias_table_is_resized_as_the_official_code_does() -> None:
    """Written as there: (1, heads, side, side), bicubic, and back."""
    table = torch.randn(13 * 13, 5, generator=torch.Generator().manual_seed(3))
    grid = table.permute(1, 0).view(1, 5, 13, 13)
    expected = nn.functional.interpolate(grid, size=(23, 23), mode="bicubic").view(5, 23 * 23).permute(1, 0)
    close(resize_bias_table(table, 12), expected)

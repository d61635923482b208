"""Configurations read off shapes."""

from __future__ import annotations

import pytest
import torch

from attnkit.errors import CheckpointError
from attnkit.interop.sizes import swin_config, swin_image_size, vit_config, vit_image_size
from attnkit.models.build import build_model
from attnkit.models.config import ClassifierConfig, SwinConfig, ViTConfig

SIZES = {"embed_dim": 20, "depth": 3, "num_heads": 5, "patch_size": 4, "mlp_ratio": 1.5}


def shapes(config: ClassifierConfig, *, image_size: int) -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        return dict(build_model(config, num_classes=7, image_size=image_size).state_dict())


@pytest.mark.parametrize(
    ("config", "size"),
    [
        (ViTConfig(**SIZES), 12),
        (ViTConfig(**SIZES, distillation=True), 20),
        (ViTConfig(**SIZES, pooling="average", representation=True), 12),
        (ViTConfig(**SIZES | {"mlp_ratio": 4.0}, norm_eps=1e-12, activation="gelu_tanh"), 12),
        (ViTConfig(**SIZES | {"patch_size": 2}, resnet_depths=()), 24),
        (ViTConfig(**SIZES | {"patch_size": 1}, resnet_depths=(1, 2, 1)), 64),
    ],
    ids=["plain", "distilled", "average, pre-logits", "told", "hybrid, root", "hybrid, stages"],
)
def test_vit(config: ViTConfig, size: int) -> None:
    weights = shapes(config, image_size=size)
    found = vit_config(weights, num_heads=5, norm_eps=config.norm_eps, activation=config.activation)
    assert found == config
    assert vit_image_size(weights, found) == size


def test_computed_positions_show_no_size() -> None:
    config = ViTConfig(**SIZES, positions="sincos", pooling="average")
    weights = shapes(config, image_size=12)
    assert vit_config(weights, num_heads=5) == config
    assert vit_image_size(weights, config) == 224


@pytest.mark.parametrize(("embed_dim", "hidden"), [(1152, 4304), (12, 41), (28, 61), (1408, 6144)])
def test_odd_ratios_give_the_hidden_width_again(embed_dim: int, hidden: int) -> None:
    weights = {
        "patch_embed.proj.weight": torch.empty(embed_dim, 3, 4, 4, device="meta"),
        "blocks.0.mlp.up.weight": torch.empty(hidden, embed_dim, device="meta"),
    }
    config = vit_config(weights, num_heads=1)
    assert int(embed_dim * config.mlp_ratio) == hidden


@pytest.mark.parametrize(("embed_dim", "heads"), [(192, 3), (384, 6), (768, 12), (1024, 16), (1280, 16)])
def test_heads_of_published_widths(embed_dim: int, heads: int) -> None:
    weights = shapes(ViTConfig(embed_dim=embed_dim, depth=1, num_heads=heads), image_size=32)
    assert vit_config(weights, num_heads=None).num_heads == heads


def test_heads_of_no_published_width() -> None:
    weights = shapes(ViTConfig(**SIZES), image_size=12)
    with pytest.raises(
        CheckpointError, match=r"^num_heads: .* no published ViT is 20 wide; .* give it with --num-heads"
    ):
        vit_config(weights, num_heads=None)


def test_positions_of_no_square() -> None:
    config = ViTConfig(**SIZES)
    weights = shapes(config, image_size=12) | {"positions": torch.empty(1, 12, 20, device="meta")}
    with pytest.raises(CheckpointError, match=r"^positions: 11 rows for patches, which are no square grid; expected"):
        vit_image_size(weights, config)


def test_swin() -> None:
    config = SwinConfig(
        name="swin", patch_size=2, embed_dim=12, depths=(1, 3, 2), num_heads=(2, 3, 4), window_size=5, mlp_ratio=1.5,
        drop_path_rate=0.0,
    )  # fmt: skip
    assert swin_config(shapes(config, image_size=40)) == config
    assert swin_image_size(config) == 5 * 2 * 4


@pytest.mark.parametrize(("window", "size"), [(7, 224), (12, 384)])
def test_image_sizes_of_the_published_swins(window: int, size: int) -> None:
    assert swin_image_size(SwinConfig(name="swin", window_size=window)) == size


def test_no_patches_no_model() -> None:
    with pytest.raises(
        CheckpointError, match=r"^patch_embed.proj.weight: not in the file; expected it, since the sizes"
    ):
        swin_config({})

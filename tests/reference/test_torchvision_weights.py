"""Weights of torchvision in, and out again: the same logits on both sides."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn
from torchvision.models.swin_transformer import SwinTransformer
from torchvision.models.vision_transformer import VisionTransformer

from attnkit.interop.export_weights import export_weights
from attnkit.interop.foreign_file import ForeignFile, read_foreign_file
from attnkit.interop.recognise import recognise
from attnkit.models.build import build_model
from attnkit.models.config import AlexNetConfig, ClassifierConfig, ResNetConfig, SwinConfig, ViTConfig
from tests.interop.foreign_weights import HEADS, K, classifier, close, images, imported_logits, read, shaken

VIT = ViTConfig(embed_dim=20, depth=3, num_heads=HEADS, patch_size=8, mlp_ratio=1.5)
SWIN = SwinConfig(name="swin", embed_dim=12, depths=(2, 1, 3), num_heads=(2, 3, 4), window_size=3, drop_path_rate=0.0)


def vit(image_size: int, **options: int) -> nn.Module:
    return VisionTransformer(image_size, 8, 3, HEADS, 20, 30, num_classes=K, **options)


def swin() -> nn.Module:
    return SwinTransformer([4, 4], 12, [2, 1, 3], [2, 3, 4], [3, 3], num_classes=K, stochastic_depth_prob=0.0)


@pytest.mark.parametrize("representation", [None, 20])
def test_vit_in(tmp_path: Path, representation: int | None) -> None:
    theirs = shaken(vit(40, representation_size=representation))
    x = images(40)
    close(imported_logits(theirs.state_dict(), tmp_path / "w.pth", x), theirs(x))
    assert read(tmp_path / "w.pth").model == VIT.model_copy(update={"representation": representation is not None})
    assert read(tmp_path / "w.pth").image.size == 40


@pytest.mark.parametrize("size", [48, 60, 92])
def test_swin_in(tmp_path: Path, size: int) -> None:
    theirs, x = shaken(swin()), images(size)
    close(imported_logits(theirs.state_dict(), tmp_path / "w.pth", x), theirs(x))
    imported = read(tmp_path / "w.pth")
    assert imported.model == SWIN
    assert len(imported.left_out) == 6
    assert all(name.endswith("relative_position_index") for name in imported.left_out)


def test_resnet_in_and_out(tmp_path: Path) -> None:
    torch.manual_seed(1)
    theirs = torchvision.models.resnet18(num_classes=K).eval().requires_grad_(False)
    x = images(64)
    close(imported_logits(theirs.state_dict(), tmp_path / "w.pth", x), theirs(x))
    own = classifier(ResNetConfig(name="resnet", depth=18), image_size=64)
    export_weights(own, "torchvision", tmp_path / "out.pth")
    theirs.load_state_dict(torch.load(tmp_path / "out.pth"), strict=True)
    torch.testing.assert_close(theirs(x), own.model(x))


@pytest.mark.parametrize(
    ("name", "config"),
    [
        *((f"resnet{depth}", ResNetConfig(name="resnet", depth=depth)) for depth in (18, 34, 50, 101, 152)),
        ("alexnet", AlexNetConfig(name="alexnet")),
        ("vit_b_32", ViTConfig(patch_size=32)),
        ("vit_h_14", ViTConfig(patch_size=14, embed_dim=1280, depth=32, num_heads=16)),
        ("swin_s", SwinConfig(name="swin", depths=(2, 2, 18, 2), drop_path_rate=0.0)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_published_networks_are_recognised_by_shapes_alone(name: str, config: ClassifierConfig) -> None:
    with torch.device("meta"):
        theirs = getattr(torchvision.models, name)()
    imported = recognise(ForeignFile(Path("w.pth"), dict(theirs.state_dict())))
    assert imported.model == config
    assert (imported.image.size, imported.num_classes, imported.source) == (224, 1000, "torchvision")
    with torch.device("meta"):
        own = build_model(config, num_classes=1000, image_size=224)
    assert {key: tensor.shape for key, tensor in imported.weights.items()} == {
        key: tensor.shape for key, tensor in own.state_dict().items()
    }


@pytest.mark.parametrize("file", ["w.pth", "w.safetensors"])
def test_vit_out(tmp_path: Path, file: str) -> None:
    own, theirs, x = classifier(VIT, image_size=40), vit(40), images(40)
    lines = export_weights(own, "torchvision", tmp_path / file)
    theirs.load_state_dict(read_foreign_file(tmp_path / file).tensors, strict=True)
    close(theirs.eval()(x), own.model(x))
    assert lines == (
        "images: 40x40 pixels on 0..1, mean [0.485, 0.456, 0.406], std [0.229, 0.224, 0.225]; "
        "torchvision's file does not say so",
    )


@pytest.mark.parametrize("size", [48, 60])
def test_swin_out(tmp_path: Path, size: int) -> None:
    own, theirs, x = classifier(SWIN, image_size=size), swin(), images(size)
    export_weights(own, "torchvision", tmp_path / "w.pth")
    theirs.load_state_dict(torch.load(tmp_path / "w.pth"), strict=True)
    close(theirs.eval()(x), own.model(x))

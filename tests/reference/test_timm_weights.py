"""Weights of timm in, and out again: the same logits on both sides."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from attnkit.errors import CheckpointError
from attnkit.interop.export_weights import export_weights
from attnkit.interop.foreign_file import read_foreign_file
from attnkit.interop.recognise import recognise
from attnkit.models.config import ResNetConfig, SwinConfig, ViTConfig
from tests.interop.foreign_weights import (
    HEADS,
    K,
    classifier,
    close,
    fit,
    images,
    imported_logits,
    network,
    read,
    shaken,
)

pytestmark = pytest.mark.peers
timm = pytest.importorskip("timm")

SIZES = {"embed_dim": 20, "depth": 3, "num_heads": HEADS, "mlp_ratio": 1.5}
SWIN = SwinConfig(name="swin", embed_dim=12, depths=(2, 1, 3), num_heads=(2, 3, 4), window_size=3, drop_path_rate=0.0)


def vit(**options: Any) -> Any:
    return timm.create_model("vit_base_patch16_224", img_size=40, patch_size=8, num_classes=K, **SIZES | options)


def deit() -> Any:
    return timm.create_model("deit_base_distilled_patch16_224", img_size=40, patch_size=8, num_classes=K, **SIZES)


def swin(size: int = 48) -> Any:
    return timm.create_model(
        "swin_tiny_patch4_window7_224", img_size=size, num_classes=K, embed_dim=12, depths=(2, 1, 3),
        num_heads=(2, 3, 4), window_size=3,
    )  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [{}, {"global_pool": "avg", "class_token": False, "fc_norm": False}, {"qkv_bias": False}],
    ids=["class token", "average", "no biases of queries, keys and values"],
)
def test_vit_in(tmp_path: Path, options: dict[str, Any]) -> None:
    theirs, x = shaken(vit(**options)), images(40)
    close(imported_logits(theirs.state_dict(), tmp_path / "w.pth", x), theirs(x))
    imported = read(tmp_path / "w.pth")
    assert (imported.source, imported.image.size, imported.image.mean) == ("timm", 40, (0.5, 0.5, 0.5))
    assert imported.notes[0].startswith("mean and std of the images: the weights do not show them; taken to be 0.5")


def test_distilled_deit_in(tmp_path: Path) -> None:
    theirs, x = shaken(deit()), images(40)
    close(imported_logits(theirs.state_dict(), tmp_path / "w.pth", x), theirs(x))
    assert read(tmp_path / "w.pth").image.mean == (0.485, 0.456, 0.406)
    close(imported_logits({"model": theirs.state_dict()}, tmp_path / "official.pth", x), theirs(x))
    assert read(tmp_path / "official.pth").source == "the official DeiT"


def test_swin_in(tmp_path: Path) -> None:
    theirs, x = shaken(swin()), images(48)
    close(imported_logits(theirs.state_dict(), tmp_path / "w.pth", x), theirs(x))
    imported = read(tmp_path / "w.pth")
    assert imported.model == SWIN
    assert imported.image.size == 48


def test_swin_in_by_its_official_names(tmp_path: Path) -> None:
    """A merging at the end of its stage, and tables that are computed beside the weights."""
    theirs, x = shaken(swin()), images(48)
    official = {}
    for name, tensor in theirs.state_dict().items():
        for stage in (1, 2):
            name = name.replace(f"layers.{stage}.downsample", f"layers.{stage - 1}.downsample")
        official[name.replace("head.fc", "head")] = tensor
        if name.endswith("bias_table"):
            official[name.replace("bias_table", "index")] = torch.full((81,), -1)
    official["layers.0.blocks.1.attn_mask"] = torch.full((16, 9, 9), torch.nan)
    close(imported_logits({"model": official}, tmp_path / "w.pth", x), theirs(x))
    imported = read(tmp_path / "w.pth")
    assert imported.source == "the official Swin"
    assert len(imported.left_out) == 7


@pytest.mark.parametrize(
    ("name", "tolerance"), [("vit_tiny_r_s16_p8_224", 2e-4), ("vit_small_r26_s32_224", 2e-3)], ids=["root", "stages"]
)
def test_hybrids_in(tmp_path: Path, name: str, tolerance: float) -> None:
    """They differ by where the little number stands that keeps a division by zero away."""
    theirs, x = shaken(timm.create_model(name, img_size=64, depth=2, num_classes=K)), images(64)
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    imported = recognise(read_foreign_file(tmp_path / "w.pth"))
    assert imported.image.size == 64
    close(network(fit(imported), image_size=64)(x), theirs(x), tolerance)


def test_settings_of_its_folder(tmp_path: Path) -> None:
    theirs = shaken(vit(num_heads=5))
    save_file(theirs.state_dict(), tmp_path / "model.safetensors")
    pretrained = {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6], "crop_pct": 0.95, "interpolation": "bilinear"}
    settings = {"model_args": {"num_heads": 5}, "label_names": list("abcde"), "pretrained_cfg": pretrained}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    imported = recognise(read_foreign_file(tmp_path))
    close(network(fit(imported), image_size=40)(images(40)), theirs(images(40)))
    assert imported.class_names == ("a", "b", "c", "d", "e")
    assert (imported.image.mean, imported.image.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert (imported.image.crop_fraction, imported.image.interpolation, imported.notes) == (0.95, "bilinear", ())


@pytest.mark.parametrize(
    "config",
    [
        ViTConfig(patch_size=8, **SIZES),
        ViTConfig(patch_size=8, distillation=True, **SIZES),
        ViTConfig(patch_size=8, pooling="average", positions="sincos", **SIZES),
        ViTConfig(patch_size=8, activation="gelu_tanh", **SIZES),
    ],
    ids=["class token", "distilled", "average, sincos", "tanh"],
)
def test_vit_out(tmp_path: Path, config: ViTConfig) -> None:
    own, x = classifier(config, image_size=40), images(40)
    assert export_weights(own, "timm", tmp_path / "out") == ()
    theirs = timm.create_model(f"local-dir:{tmp_path}/out", pretrained=True).eval()
    close(theirs(x), own.model(x))
    assert theirs.pretrained_cfg["label_names"] == own.class_names
    assert theirs.pretrained_cfg["input_size"] == [3, 40, 40]
    assert theirs.load_state_dict(read_foreign_file(tmp_path / "out").tensors, strict=True)


def test_swin_out(tmp_path: Path) -> None:
    own, x = classifier(SWIN, image_size=48), images(48)
    assert export_weights(own, "timm", tmp_path / "out") == ()
    theirs = swin()
    theirs.load_state_dict(read_foreign_file(tmp_path / "out").tensors, strict=True)
    close(theirs.eval()(x), own.model(x))
    close(timm.create_model(f"local-dir:{tmp_path}/out", pretrained=True).eval()(x), own.model(x))


def test_swin_out_where_timm_computes_something_else(tmp_path: Path) -> None:
    own = classifier(SWIN, image_size=56)
    [line] = export_weights(own, "timm", tmp_path / "out")
    assert line == "windows: they do not cover the maps of 56 pixels, where timm rolls before it pads; logits differ"
    with pytest.raises(CheckpointError, match=r"^timm: cuts the windows of its Swin to the map, 2x2 in the last stage"):
        export_weights(classifier(SWIN, image_size=32), "timm", tmp_path / "small")


def test_resnet_out(tmp_path: Path) -> None:
    own, x = classifier(ResNetConfig(name="resnet", depth=18), image_size=64), images(64)
    export_weights(own, "timm", tmp_path / "out")
    theirs = timm.create_model(f"local-dir:{tmp_path}/out", pretrained=True).eval()
    torch.testing.assert_close(theirs(x), own.model(x))


def test_a_layer_scale_is_named(tmp_path: Path) -> None:
    theirs = timm.create_model("deit3_small_patch16_224", depth=1)
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"w.pth: a ViT with layer scale .*, by its weight blocks.0.ls1.gamma"):
        recognise(read_foreign_file(tmp_path / "w.pth"))

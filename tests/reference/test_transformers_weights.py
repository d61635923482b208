"""Weights of transformers in, by the names of version 4 and 5, and out again: the same logits on both sides."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from attnkit.interop import transformers_weights
from attnkit.interop.export_weights import export_weights
from attnkit.interop.foreign_file import read_foreign_file
from attnkit.interop.recognise import recognise
from attnkit.models.config import SwinConfig, ViTConfig
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
transformers = pytest.importorskip("transformers")

VIT = ViTConfig(embed_dim=20, depth=3, num_heads=HEADS, patch_size=8, mlp_ratio=1.5, norm_eps=1e-12)
SWIN = SwinConfig(name="swin", embed_dim=12, depths=(2, 1, 3), num_heads=(2, 3, 4), window_size=3, drop_path_rate=0.0)
SIZES = {
    "hidden_size": 20, "num_hidden_layers": 3, "num_attention_heads": HEADS, "intermediate_size": 30,
    "image_size": 40, "patch_size": 8, "num_labels": K,
}  # fmt: skip


def vit(**options: Any) -> Any:
    return transformers.ViTForImageClassification(transformers.ViTConfig(**SIZES | options))


def deit() -> Any:
    return transformers.DeiTForImageClassificationWithTeacher(transformers.DeiTConfig(**SIZES))


def swin(size: int = 48) -> Any:
    config = transformers.SwinConfig(
        image_size=size, embed_dim=12, depths=[2, 1, 3], num_heads=[2, 3, 4], window_size=3, num_labels=K
    )
    return transformers.SwinForImageClassification(config)


V4 = (
    (r"^(vit|deit)\.layers\.", r"\1.encoder.layer."),
    (r"^(.*encoder\.layer\.\d+\.)attention\.q_proj", r"\1attention.attention.query"),
    (r"^(.*encoder\.layer\.\d+\.)attention\.k_proj", r"\1attention.attention.key"),
    (r"^(.*encoder\.layer\.\d+\.)attention\.v_proj", r"\1attention.attention.value"),
    (r"^(.*blocks\.\d+\.)attention\.q_proj", r"\1attention.self.query"),
    (r"^(.*blocks\.\d+\.)attention\.k_proj", r"\1attention.self.key"),
    (r"^(.*blocks\.\d+\.)attention\.v_proj", r"\1attention.self.value"),
    (r"attention\.relative_position_bias\.", "attention.self."),
    (r"attention\.o_proj", "attention.output.dense"),
    (r"mlp\.fc1", "intermediate.dense"),
    (r"mlp\.fc2", "output.dense"),
)
"""Names of version 5 to those of version 4, written down from files of it."""


def as_version_4(weights: dict[str, Any]) -> dict[str, Any]:
    renamed = {}
    for name, tensor in weights.items():
        for pattern, replacement in V4:
            name = re.sub(pattern, replacement, name)
        renamed[name] = tensor
    return renamed


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize(("make", "size"), [(vit, 40), (deit, 40), (swin, 48)])
def test_in(tmp_path: Path, make: Any, size: int, version: int) -> None:
    theirs, x = shaken(make()), images(size)
    names = theirs.state_dict() if version == 5 else as_version_4(theirs.state_dict())
    close(imported_logits(names, tmp_path / "w.bin", x), theirs(x).logits)
    imported = read(tmp_path / "w.bin")
    assert imported.source == "transformers"
    assert imported.image.size == size
    assert imported.model == {vit: VIT, deit: VIT.model_copy(update={"distillation": True}), swin: SWIN}[make]


@pytest.mark.parametrize(("make", "size"), [(vit, 40), (deit, 40), (swin, 48)])
def test_in_from_a_folder_that_it_saved(tmp_path: Path, make: Any, size: int) -> None:
    theirs, x = shaken(make()), images(size)
    theirs.config.id2label = {i: f"animal {i}" for i in range(K)}
    theirs.save_pretrained(tmp_path)
    imported = recognise(read_foreign_file(tmp_path))  # heads and epsilon are in config.json
    close(network(fit(imported), image_size=size)(x), theirs(x).logits)
    assert imported.class_names == tuple(f"animal {i}" for i in range(K))


def test_settings_of_its_folder(tmp_path: Path) -> None:
    theirs = shaken(vit(layer_norm_eps=1e-3, hidden_act="gelu_new"))
    theirs.save_pretrained(tmp_path)
    prepared = {
        "image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6], "resample": 3, "do_center_crop": True,
        "crop_size": {"height": 40, "width": 40}, "size": {"shortest_edge": 50},
    }  # fmt: skip
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(prepared))
    imported = recognise(read_foreign_file(tmp_path))
    assert imported.model == VIT.model_copy(update={"norm_eps": 1e-3, "activation": "gelu_tanh"})
    assert imported.class_names is None, "LABEL_0 is no name"
    assert (imported.image.mean, imported.image.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert (imported.image.resize, imported.image.crop_fraction, imported.image.interpolation) == (
        "crop",
        0.8,
        "bicubic",
    )
    close(network(fit(imported), image_size=40)(images(40)), theirs(images(40)).logits)


def test_projections_without_biases(tmp_path: Path) -> None:
    theirs, x = shaken(vit(qkv_bias=False)), images(40)
    close(imported_logits(theirs.state_dict(), tmp_path / "w.bin", x), theirs(x).logits)


def test_a_model_without_its_classifier(tmp_path: Path) -> None:
    """Saved from ViTModel: no prefix, a pooler, no head."""
    theirs = shaken(transformers.ViTModel(transformers.ViTConfig(**SIZES)))
    torch.save(theirs.state_dict(), tmp_path / "w.bin")
    imported = read(tmp_path / "w.bin")
    assert imported.num_classes is None
    fitted = fit(imported, num_classes=3)
    assert fitted.fresh_heads == ("head",)
    model, seen = network(fitted, image_size=40), []
    model.head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    assert model(images(40)).abs().max() == 0.0
    close(seen[0], theirs(images(40)).pooler_output)


@pytest.mark.parametrize(
    ("config", "size"),
    [(VIT, 40), (VIT.model_copy(update={"distillation": True, "activation": "gelu_tanh"}), 40), (SWIN, 48), (SWIN, 60)],
    ids=["vit", "deit, tanh", "swin", "swin at a size that windows do not cover"],
)
def test_out(tmp_path: Path, config: Any, size: int) -> None:
    own, x = classifier(config, image_size=size), images(size)
    assert export_weights(own, "transformers", tmp_path / "out") == ()
    theirs, report = transformers.AutoModelForImageClassification.from_pretrained(
        tmp_path / "out", output_loading_info=True
    )
    assert not any(report.values())
    close(theirs.eval()(x).logits, own.model(x))
    assert theirs.config.id2label[3] == "class 3"
    export = transformers_weights.export_swin if config is SWIN else transformers_weights.export_vit
    weights, homeless = export(own.model.state_dict(), config, version=5)
    assert homeless == []
    theirs.load_state_dict(weights, strict=True)
    close(theirs(x).logits, own.model(x))


def test_its_image_processor_prepares_the_same(tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    from PIL import Image

    own = classifier(SWIN, image_size=48)
    export_weights(own, "transformers", tmp_path / "out")
    processor = transformers.AutoImageProcessor.from_pretrained(tmp_path / "out")
    picture = Image.new("RGB", (80, 60), (255, 0, 51))
    pixels = processor(picture, return_tensors="pt")["pixel_values"]
    assert pixels.shape == (1, 3, 48, 48)
    expected = (torch.tensor([1.0, 0.0, 0.2]) - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor(
        [0.229, 0.224, 0.225]
    )
    torch.testing.assert_close(pixels[0, :, 24, 24], expected, atol=1e-3, rtol=0)

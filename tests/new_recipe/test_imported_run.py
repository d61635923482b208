"""A file of weights becomes a run: its recipe, its facts, and what is said about it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from attnkit import recipe_file
from attnkit.engine.checkpoint import load_weights, save_tensors
from attnkit.errors import CheckpointError, DataError
from attnkit.interop import timm_weights, torchvision_weights, transformers_weights
from attnkit.models.build import build_model
from attnkit.models.config import ResNetConfig, SwinConfig, ViTConfig
from attnkit.new_recipe.imported_recipe import classifier_tuning
from attnkit.new_recipe.imported_run import class_names, import_weights
from attnkit.recipes.classification.architectures import ARCHITECTURES, published_name
from tests.interop.foreign_weights import K, close, images, shaken

VIT = ViTConfig(embed_dim=12, depth=2, num_heads=3, patch_size=4)
SWIN = SwinConfig(name="swin", embed_dim=6, depths=(1, 2), num_heads=(2, 3), window_size=3, drop_path_rate=0.0)


def vit(**options: Any) -> nn.Module:
    torch.manual_seed(1)
    return shaken(build_model(VIT.model_copy(update=options), num_classes=K, image_size=12))


def timm_file(folder: Path, model: nn.Module, name: str = "my vit.pth") -> Path:
    weights, homeless = timm_weights.export_vit(model.state_dict(), model.config)
    assert homeless == []
    torch.save(weights, folder / name)
    return folder / name


def swin_file(folder: Path) -> Path:
    torch.manual_seed(1)
    model = shaken(build_model(SWIN, num_classes=K, image_size=24))
    torch.save(torchvision_weights.export_swin(model.state_dict(), SWIN)[0], folder / "swin.pth")
    return folder / "swin.pth"


def test_the_run_computes_what_the_source_computed(tmp_path: Path) -> None:
    own, path = vit(), timm_file(tmp_path, vit())
    imported = import_weights(path, num_heads=3)
    save_tensors(tmp_path / "model.safetensors", imported.weights, imported.facts)
    (tmp_path / "recipe.yaml").write_text(recipe_file.dump(imported.recipe))
    recipe = recipe_file.load(tmp_path / "recipe.yaml")
    assert recipe == imported.recipe
    model = build_model(recipe.model, num_classes=K, image_size=recipe.image.size)
    facts = load_weights(tmp_path / "model.safetensors", model)
    close(model.eval()(images(12)), own(images(12)))
    assert facts == {
        "classes": ["0", "1", "2", "3", "4"],
        "imported": {
            "source": "timm",
            "file": str(path),
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "resized": [],
            "position_interpolation": None,
        },
    }


def test_the_recipe(tmp_path: Path) -> None:
    recipe = import_weights(timm_file(tmp_path, vit()), num_heads=3).recipe
    assert recipe.name == "my_vit"
    assert (recipe.data.format, recipe.data.path, recipe.image.size) == ("image_folder", "imagenet", 12)
    assert recipe.image.mean == recipe.image.std == (0.5, 0.5, 0.5)
    assert (recipe.train.optimizer.name, recipe.train.schedule.lr, recipe.train.steps) == ("sgd", 0.03, 20_000)
    assert recipe.batch.images * recipe.train.accumulate == 512


def test_what_is_said(tmp_path: Path) -> None:
    report = import_weights(timm_file(tmp_path, vit()), num_heads=3, image_size=20, classes=None).report
    parameters = sum(p.numel() for p in vit().parameters()) + (25 - 9) * 12
    assert report == (
        f"recognised: vit by its names from timm, {parameters:,} parameters, 20x20 pixels, 5 classes "
        "(patch_size 4, embed_dim 12, depth 2, num_heads 3, mlp_ratio 4)",
        "images: crop, bicubic, mean 0.5/0.5/0.5, std 0.5/0.5/0.5",
        "training values: Dosovitskiy et al. 2020, table 4",
        "resized: positions: 3x3 to 5x5 patches, as timm interpolates",
        "assumed: mean and std of the images: the weights do not show them; taken to be 0.5, as of timm's ViT; where "
        "they are of DeiT, or were trained with ImageNet's, import with --normalize imagenet",
        "classes: the file does not name them; they are called 0 to 4",
    )


@pytest.mark.parametrize(("asked", "used"), [(None, "timm"), ("google", "google"), ("torchvision", "torchvision")])
def test_position_interpolation_is_recorded(tmp_path: Path, asked: Any, used: str) -> None:
    path = timm_file(tmp_path, vit())
    imported = import_weights(path, num_heads=3, image_size=20, position_interpolation=asked)
    assert imported.facts["imported"]["position_interpolation"] == used
    assert imported.facts["imported"]["resized"] == [f"positions: 3x3 to 5x5 patches, as {used} interpolates"]
    assert imported.recipe.image.size == 20


def test_window_size(tmp_path: Path) -> None:
    imported = import_weights(swin_file(tmp_path), window_size=4, image_size=32)
    assert imported.recipe.model == SWIN.model_copy(update={"window_size": 4, "drop_path_rate": 0.2})
    assert imported.recipe.image.size == 32
    assert len(imported.facts["imported"]["resized"]) == 3
    assert imported.facts["imported"]["position_interpolation"] is None
    assert "left out: features.1.0.attn.relative_position_index and 2 more, which are not needed" in imported.report


def test_normalization(tmp_path: Path) -> None:
    path = timm_file(tmp_path, vit())
    image = import_weights(path, num_heads=3, normalization="imagenet").recipe.image
    assert (image.mean, image.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert import_weights(swin_file(tmp_path), normalization="half").recipe.image.std == (0.5, 0.5, 0.5)


def test_class_names_of_a_file(tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("ant\n bee \ncat\ndog\nelk\n", encoding="utf-8")
    imported = import_weights(timm_file(tmp_path, vit()), num_heads=3, classes=str(names))
    assert imported.facts["classes"] == ["ant", "bee", "cat", "dog", "elk"]
    assert not any(line.startswith(("classes", "fresh")) for line in imported.report)


def test_other_classes_get_a_fresh_head(tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("ant\nbee\n")
    imported = import_weights(timm_file(tmp_path, vit()), num_heads=3, classes=str(names))
    assert imported.weights["head.weight"].shape == (2, 12)
    assert "fresh: head begins from zero for 2 classes" in imported.report


def test_class_names_beside_the_weights(tmp_path: Path) -> None:
    weights, _ = transformers_weights.export_vit(vit().state_dict(), VIT)
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, tmp_path / "model.safetensors")
    settings = {"num_attention_heads": 3, "id2label": {str(i): f"bird {i}" for i in range(K)}}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    imported = import_weights(tmp_path)
    assert imported.facts["classes"] == [f"bird {i}" for i in range(K)]
    assert imported.recipe.name == tmp_path.name


def test_no_classifier_and_nobody_says_which_classes(tmp_path: Path) -> None:
    model = vit()
    path = timm_file(tmp_path, model)
    weights = {name: t for name, t in torch.load(path).items() if not name.startswith("head")}
    torch.save(weights, path)
    with pytest.raises(CheckpointError, match=r"my vit.pth: no classifier in it, and no class names are given; .*--cl"):
        import_weights(path, num_heads=3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ant\n\nbee\n", r":2: an empty line; expected one class name per line, each once; fix the file"),
        ("ant\nbee\nant\n", r":3: 'ant' occurs twice; expected one class name per line, each once"),
        ("", r": empty; expected class names, one per line; fix the file"),
    ],
)
def test_wrong_class_names(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "names.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        class_names(str(tmp_path / "names.txt"))


def test_no_class_names() -> None:
    with pytest.raises(
        DataError, match=r"^nowhere.txt: no readable text file; expected class names, one per line; name another with"
    ):
        class_names("nowhere.txt")


def test_class_names_of_imagenet() -> None:
    names = class_names("imagenet")
    assert len(set(names)) == len(names) == 1000
    assert (names[0], names[134], names[517], names[999]) == ("tench", "crane bird", "crane", "toilet tissue")


def test_published_architectures_by_name() -> None:
    for name, architecture in ARCHITECTURES.items():
        model = architecture.model
        if not name.startswith("deit") or "distilled" in name:  # the others are the ViTs of their size
            assert published_name(model, architecture.gmacs_size[0]) == name
    assert published_name(ViTConfig(norm_eps=1e-12, activation="gelu_tanh"), 224) == "vit_b16"
    assert published_name(ViTConfig(), 256) is None
    assert published_name(VIT, 224) is None


@pytest.mark.parametrize(
    ("model", "batch", "steps", "lr", "optimizer", "drop_path"),
    [
        (ViTConfig(), 512, 20_000, 0.03, "sgd", 0.0),
        (ViTConfig(distillation=True), 512, 75_068, 5e-6, "adamw", 0.1),
        (SwinConfig(name="swin"), 1024, 37_530, 4e-5, "adamw", 0.2),
        (ResNetConfig(name="resnet"), 512, 20_000, 0.003, "sgd", 0.0),
    ],
    ids=["vit", "deit", "swin", "resnet"],
)
def test_published_fine_tuning(model: Any, batch: int, steps: int, lr: float, optimizer: str, drop_path: float) -> None:
    tuning = classifier_tuning(model)
    assert tuning.drop_path_rate == drop_path
    assert tuning.recipe.batch.images * tuning.recipe.train.accumulate == batch
    assert (tuning.recipe.train.steps, tuning.recipe.train.schedule.lr, tuning.recipe.train.optimizer.name) == (
        steps,
        lr,
        optimizer,
    )
    assert tuning.recipe.train.optimizer.weight_decay == (1e-8 if optimizer == "adamw" else 0.0)

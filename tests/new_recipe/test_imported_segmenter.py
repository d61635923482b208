"""A file of a segmenter's weights becomes a run: its recipe, its facts, and what is said about it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from attnkit import recipe_file
from attnkit.data.formats.mask_png import palette
from attnkit.data.segmentation.config import SegmentationImageConfig
from attnkit.engine.checkpoint import load_weights, save_tensors
from attnkit.errors import AttnkitError
from attnkit.models.build import build_model
from attnkit.models.config import ResNetConfig, SwinConfig, UperNetConfig, ViTConfig
from attnkit.new_recipe.imported_recipe import describe_segmenter, segmenter_tuning
from attnkit.new_recipe.imported_run import import_weights
from attnkit.recipes.segmentation.architectures import SEGMENTATION_ARCHITECTURES
from tests.interop.foreign_weights import close
from tests.reference import mmseg_network as mmseg
from tests.reference.test_mmseg_weights import images, random

NAMES = ["wall", "sky", "tree", "road", "car", "person"]
COLOURS = [[10 * i, 20, 200 - i] for i in range(mmseg.K)]


def swin_file(folder: Path, *, meta: dict[str, Any] | None = None) -> tuple[Path, dict[str, Tensor]]:
    w = mmseg.swin_weights(mmseg.MMSEG, random())
    torch.save({"meta": meta or {}, "state_dict": w}, folder / "my upernet.pth")
    return folder / "my upernet.pth", w


def test_the_run_computes_what_the_source_computed(tmp_path: Path) -> None:
    path, w = swin_file(tmp_path, meta={"CLASSES": NAMES, "PALETTE": COLOURS})
    imported = import_weights(path)
    save_tensors(tmp_path / "model.safetensors", imported.weights, imported.facts)
    (tmp_path / "recipe.yaml").write_text(recipe_file.dump(imported.recipe))
    recipe = recipe_file.load(tmp_path / "recipe.yaml")
    assert recipe == imported.recipe
    model = build_model(recipe.model, num_classes=mmseg.K, image_size=recipe.image.crop[0])
    facts = load_weights(tmp_path / "model.safetensors", model)
    x = images(37, 22)
    close(model.eval()(x), mmseg.segment(w, mmseg.swin_maps(w, x, mmseg.MMSEG), (37, 22)), 1e-4)
    assert facts == {
        "classes": NAMES,
        "colours": COLOURS,
        "imported": {
            "source": "mmsegmentation",
            "file": str(path),
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "resized": [],
            "position_interpolation": None,
        },
    }


def test_the_recipe(tmp_path: Path) -> None:
    recipe = import_weights(swin_file(tmp_path)[0]).recipe
    assert (recipe.task, recipe.name) == ("segmentation", "my_upernet")
    assert (recipe.data.format, recipe.data.path, recipe.data.reduce_zero_label) == ("mask_files", "masks", False)
    image = recipe.image
    assert (image.crop, image.short_side, image.long_side) == ((512, 512), 512, 2048)
    assert recipe.model.backbone.drop_path_rate == 0.3
    assert (recipe.batch.images, recipe.train.steps, recipe.train.schedule.lr) == (16, 160_000, 6e-5)


def test_what_is_said(tmp_path: Path) -> None:
    imported = import_weights(swin_file(tmp_path)[0])
    model = build_model(imported.recipe.model, num_classes=mmseg.K, image_size=512)
    parameters = sum(p.numel() for p in model.parameters())
    assert imported.report == (
        f"recognised: upernet on swin by its names from mmsegmentation, {parameters:,} parameters, 512x512 pixels, "
        "6 classes (channels 7, auxiliary_channels 5, backbone: patch_size 4, embed_dim 12, depths 2/1/2, "
        "num_heads 2/3/4, window_size 3, mlp_ratio 4)",
        "images: shorter side 512, longer at most 2048, mean 0.485/0.456/0.406, std 0.229/0.224/0.225",
        "training values: the official Swin for segmentation",
        "assumed: size of the images: no weight shows it; taken to be 512 for the crop and the shorter side, as for "
        "ADE20K; where it was another, import with --image-size, or fix image in recipe.yaml",
        "left out: backbone.layers.0.blocks.0.attn.relative_position_index and 4 more, which are not needed",
        "classes: the file does not name them; they are called 0 to 5",
    )
    assert imported.facts["classes"] == ["0", "1", "2", "3", "4", "5"]
    assert imported.facts["colours"] == palette(6).tolist()


def test_sizes_that_are_asked_for(tmp_path: Path) -> None:
    imported = import_weights(swin_file(tmp_path)[0], image_size=640, window_size=5, normalization="half")
    recipe = imported.recipe
    assert (recipe.image.crop, recipe.image.short_side, recipe.image.long_side) == ((640, 640), 640, 2560)
    assert (recipe.image.mean, recipe.model.backbone.window_size) == ((0.5, 0.5, 0.5), 5)
    assert imported.facts["imported"]["resized"][0] == (
        "backbone.stages.0.blocks.0.attention.bias_table: 25 to 81 rows for a window of 5, bicubic"
    )
    assert not any(line.startswith("assumed: size") for line in imported.report), "it was said"


def test_positions_below_a_segmenter(tmp_path: Path) -> None:
    torch.save({"state_dict": mmseg.vit_weights(random(), neck=True)}, tmp_path / "w.pth")
    imported = import_weights(tmp_path / "w.pth", num_heads=3, image_size=56, position_interpolation="timm")
    assert imported.weights["backbone.positions"].shape == (1, 1 + 49, 12)
    assert imported.facts["imported"]["resized"] == ["backbone.positions: 5x5 to 7x7 patches, as timm interpolates"]
    assert imported.facts["imported"]["position_interpolation"] == "timm"
    with pytest.raises(AttnkitError, match=r"^image.size: 50 is no multiple of model.patch_size 8; expected whole"):
        import_weights(tmp_path / "w.pth", num_heads=3, image_size=50)


def test_other_classes_get_fresh_heads(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("ant\nbee\n")
    path, _ = swin_file(tmp_path, meta={"CLASSES": NAMES, "PALETTE": COLOURS})
    imported = import_weights(path, classes=str(tmp_path / "names.txt"))
    assert (imported.facts["classes"], imported.facts["colours"]) == (["ant", "bee"], palette(2).tolist())
    assert not imported.weights["head.weight"].any()
    assert imported.weights["auxiliary.head.weight"].shape == (2, mmseg.AUXILIARY, 1, 1)
    assert "fresh: head begins from zero for 2 classes" in imported.report
    assert "fresh: auxiliary.head begins from zero for 2 classes" in imported.report


def test_published_networks_by_name() -> None:
    for name, expected in [
        ("upernet_swin_t", "upernet on swin_t"),
        ("upernet_swin_l_w12", "upernet on swin_l_w12_384"),
        ("upernet_deit_s", "upernet on vit_s16"),
        ("upernet_r101", "upernet on resnet"),
    ]:
        model = SEGMENTATION_ARCHITECTURES[name].model
        made = describe_segmenter("x", model, SegmentationImageConfig(), size=512, num_classes=150)
        assert made.network == expected
        assert (made.recipe.data.path, made.recipe.data.reduce_zero_label) == ("ADEChallengeData2016", True)
        assert json.loads(made.recipe.model_dump_json())["model"]["name"] == "upernet"


@pytest.mark.parametrize(
    ("backbone", "optimizer", "lr", "power", "drop_path"),
    [
        (SwinConfig(name="swin"), "adamw", 6e-5, 1.0, 0.3),
        (ViTConfig(), "adamw", 6e-5, 1.0, 0.1),
        (ResNetConfig(name="resnet"), "sgd", 0.01, 0.9, 0.0),
    ],
    ids=["swin", "vit", "resnet"],
)
def test_published_training(backbone: Any, optimizer: str, lr: float, power: float, drop_path: float) -> None:
    tuning = segmenter_tuning(UperNetConfig(backbone=backbone))
    assert (tuning.recipe.train.steps, tuning.recipe.batch.images, tuning.drop_path_rate) == (160_000, 16, drop_path)
    assert (
        tuning.recipe.train.optimizer.name,
        tuning.recipe.train.schedule.lr,
        tuning.recipe.train.schedule.power,
    ) == (
        optimizer,
        lr,
        power,
    )

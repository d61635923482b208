"""A file of a detector's weights becomes a run: its recipe, its facts, and what is said about it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch

from attnkit import recipe_file
from attnkit.data.detection.config import DetectionImageConfig
from attnkit.engine.checkpoint import load_weights, save_tensors
from attnkit.errors import DataError
from attnkit.interop.coco_classes import coco_classes
from attnkit.interop.imported_weights import DetectedParts
from attnkit.models.rcnn.config import RpnConfig
from attnkit.models.rcnn.rcnn import Rcnn
from attnkit.new_recipe.imported_recipe import describe_detector
from attnkit.new_recipe.imported_run import import_weights
from attnkit.recipes.detection.architectures import DETECTION_ARCHITECTURES, semantic_classes
from tests.interop.foreign_weights import close
from tests.interop.mmdet_names import MMDET, OFFICIAL, as_mmdet
from tests.interop.test_mmdet_weights import outputs
from tests.models.rcnn.nano import CONFIGS, K, S, build

NAMES = ["ant", "bee", "cat", "dog", "elk"]


def saved(folder: Path, name: str = "mask_rcnn", *, meta: dict[str, Any] | None = None, **changes: Any) -> Path:
    tensors = as_mmdet(build(name, rpn=RpnConfig(), **changes), OFFICIAL)
    torch.save({"meta": meta or {}, "state_dict": tensors}, folder / "my detector.pth")
    return folder / "my detector.pth"


def test_the_run_finds_what_the_source_found(tmp_path: Path) -> None:
    own = build("htc", rpn=RpnConfig(), semantic="maps")
    path = tmp_path / "w.pth"
    torch.save({"meta": {"CLASSES": NAMES}, "state_dict": as_mmdet(own, MMDET)}, path)
    imported = import_weights(path)
    save_tensors(tmp_path / "model.safetensors", imported.weights, imported.facts)
    (tmp_path / "recipe.yaml").write_text(recipe_file.dump(imported.recipe))
    recipe = recipe_file.load(tmp_path / "recipe.yaml")
    assert recipe == imported.recipe
    model = Rcnn(recipe.model, num_classes=K, masks=True, semantic_classes=S)
    facts = load_weights(tmp_path / "model.safetensors", model)
    for mine, theirs in zip(outputs(model.eval()), outputs(own), strict=True):
        close(mine, theirs)
    assert facts == {
        "classes": NAMES,
        "category_ids": [1, 2, 3, 4, 5],
        "masks": True,
        "semantic_classes": S,
        "imported": {
            "source": "mmdetection",
            "file": str(path),
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "resized": [],
            "position_interpolation": None,
        },
    }


def test_the_recipe(tmp_path: Path) -> None:
    recipe = import_weights(saved(tmp_path, "htc", semantic="maps"), image_size=400).recipe
    assert (recipe.task, recipe.name) == ("detection", "my_detector")
    data = recipe.data
    assert (data.format, data.path, data.train.semantic, data.semantic_classes) == ("coco", "objects", "semantic", S)
    assert (recipe.image.short_side, recipe.image.long_side, recipe.image.mean[0]) == (400, 666, 0.485)
    assert recipe.model.backbone.drop_path_rate == 0.2
    assert (recipe.inference.score_threshold, recipe.inference.max_detections) == (0.001, 100)
    assert recipe.augment.short_sides[::5] == (480, 640, 800)
    assert recipe.train.schedule.lr == 1e-4


def test_what_is_said(tmp_path: Path) -> None:
    imported = import_weights(saved(tmp_path))
    model = Rcnn(imported.recipe.model, num_classes=K, masks=True)
    parameters = sum(p.numel() for p in model.parameters())
    assert imported.report == (
        f"recognised: mask_rcnn on swin by its names from the official Swin for detection, {parameters:,} parameters, "
        "800x1333 pixels, 5 classes (channels 8, box head 2fc, masks; backbone: patch_size 4, embed_dim 6, "
        "depths 1/1/2/1, num_heads 1/1/2/3, window_size 3, mlp_ratio 4)",
        "images: shorter side 800, longer at most 1333, mean 0.485/0.456/0.406, std 0.229/0.224/0.225",
        "training values: the official Swin for object detection",
        "assumed: size of the images: no weight shows it; taken to be 800 for the shorter side and at most 1333 for "
        "the longer one, as for COCO; where it was another, import with --image-size, or fix image in recipe.yaml",
        "left out: backbone.layers.0.blocks.0.attn.relative_position_index and 4 more, which are not needed",
        "classes: the file does not name them; they are called 0 to 4",
    )
    assert imported.recipe.inference.score_threshold == 0.05


def test_no_masks(tmp_path: Path) -> None:
    imported = import_weights(saved(tmp_path, masks=False))
    assert (imported.facts["masks"], imported.facts["semantic_classes"]) == (False, None)
    assert imported.recipe.data.masks is False
    assert "box head 2fc, no masks; backbone" in imported.report[0]


def test_cocos_names(tmp_path: Path) -> None:
    config = CONFIGS["mask_rcnn"].model_copy(update={"rpn": RpnConfig()})
    model = Rcnn(config, num_classes=80, masks=False)
    torch.save(as_mmdet(model, OFFICIAL), tmp_path / "w.pth")
    imported = import_weights(tmp_path / "w.pth")
    assert imported.facts["classes"] == list(coco_classes())
    assert imported.facts["category_ids"] == list(coco_classes().values())
    assert any(
        line.startswith("assumed: names of the classes: the file has none; taken to") for line in imported.report
    )
    data = imported.recipe.data
    assert (data.train.images, data.valid.annotations) == ("train2017", "annotations/instances_val2017.json")
    assert (data.train.semantic, data.semantic_classes, data.masks) == (None, None, False)
    (tmp_path / "names.txt").write_text("\n".join(f"thing {number}" for number in range(80)))
    imported = import_weights(tmp_path / "w.pth", classes=str(tmp_path / "names.txt"))
    assert imported.facts["category_ids"] == list(range(1, 81))
    assert not any("names of the classes" in line for line in imported.report), "they were given"


def test_other_classes_get_fresh_heads(tmp_path: Path) -> None:
    path = saved(tmp_path, "cascade", meta={"CLASSES": NAMES})
    imported = import_weights(path, classes="coco")
    assert imported.facts["classes"] == list(coco_classes())
    assert imported.weights["box_heads.1.classes.weight"].shape == (81, 11)
    assert not imported.weights["mask_heads.2.logits.weight"].any()
    assert "fresh: box_heads.0.classes begins from zero for 80 classes" in imported.report


def test_no_such_file_of_names(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"^none.txt: no readable .*, one per line; name another with --classes, or imagenet or coco"
    ):
        import_weights(saved(tmp_path), classes="none.txt")


def test_published_networks_by_name() -> None:
    for name, expected in [
        ("mask_rcnn_swin_t", "mask_rcnn on swin_t"),
        ("cascade_mask_rcnn_swin_s", "cascade_mask_rcnn on swin_s"),
        ("htc_swin_b", "htc on swin_b"),
    ]:
        architecture = DETECTION_ARCHITECTURES[name]
        parts = DetectedParts(masks=True, semantic_classes=semantic_classes(architecture.model))
        made = describe_detector("x", architecture.model, DetectionImageConfig(), size=800, num_classes=80, parts=parts)
        assert made.network == expected
        has_maps = semantic_classes(architecture.model) is not None
        assert made.recipe.data.train.semantic == ("stuffthingmaps/train2017" if has_maps else None)
        assert recipe_file.dump(made.recipe).startswith("task: detection\nname: x\n")

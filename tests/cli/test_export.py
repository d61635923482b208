"""`attnkit export` of classifiers, segmenters and detectors, through the real entry point, and of which run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from attnkit.engine.checkpoint import load_tensors, save_tensors
from attnkit.interop.foreign_file import read_foreign_file
from attnkit.models.build import build_model
from attnkit.recipes.segmentation.recipe import SegmentationRecipe
from attnkit.run_dir import RunDir
from tests.command import attnkit
from tests.interop.foreign_weights import shapes_unchecked
from tests.new_recipe.new_run import new_run
from tests.recipes.object_runs import CATEGORY_IDS, CLASSES, object_recipe, object_run
from tests.recipes.tiny_images import recipe_with

SEGMENTER_CLASSES = ["background", "circle", "square", "triangle"]
TINY_SWIN = {"name": "swin", "embed_dim": 6, "depths": [1, 1], "num_heads": [1, 2], "window_size": 3}
RESNET = {"backbone": {"name": "resnet", "depth": 18}, "channels": 5, "mask_head": {"convs": 1, "channels": 3}}
AS_TORCHVISION = {
    **RESNET,
    "rpn": {"rounded_anchors": True},
    "roi_align": {"aligned": False, "sampling_ratio": 2},
    "box_head": {"channels": 7},
}


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def untrained_run(folder: Path, model: dict[str, Any]) -> None:
    from attnkit.engine.checkpoint import save_weights

    recipe = recipe_with(model=model)
    run = new_run(folder / "run", recipe)
    network = build_model(recipe.model, num_classes=3, image_size=recipe.image.size)
    save_weights(run.model, network, {"classes": ["circle", "square", "triangle"]})


def segmentation_run(
    folder: Path, *, classes: list[str] | None = SEGMENTER_CLASSES, backbone: dict[str, Any] = TINY_SWIN
) -> None:
    from attnkit.engine.checkpoint import save_weights

    recipe = SegmentationRecipe.model_validate(
        {
            "task": "segmentation",
            "name": "tiny",
            "data": {"format": "shapes"},
            "image": {"crop": [64, 64]},
            "model": {"backbone": backbone, "channels": 4, "pool_scales": [1]},
            "train": {"steps": 3},
        }
    )
    run = new_run(folder / "run", recipe)
    facts = {} if classes is None else {"classes": classes}
    save_weights(run.model, build_model(recipe.model, num_classes=4, image_size=64), facts)


def detector_run(folder: Path, model: dict[str, Any]) -> RunDir:
    return object_run(folder, object_recipe(model={"name": "mask_rcnn", **model}))


@pytest.mark.parametrize(
    ("model", "file_format", "message"),
    [
        ({"name": "lenet5"}, "timm", "timm: no names for the model lenet5; expected vit or swin, resnet for torch"),
        ({"name": "vit", "embed_dim": 8, "depth": 1, "num_heads": 2, "patch_size": 4, "pooling": "average"},
         "torchvision", "torchvision: its ViT has a class token, this one takes the mean of the patches; expected mod"),
        ({"name": "vit", "embed_dim": 8, "depth": 1, "num_heads": 2, "patch_size": 4, "distillation": True},
         "torchvision", "torchvision: has no place for distillation_token and 2 more weights; expected a model that t"),
        ({"name": "vit", "embed_dim": 8, "depth": 1, "num_heads": 2, "patch_size": 4, "representation": True},
         "transformers", "transformers: has no place for representation.weight and 1 more weights; expected a model"),
    ],
)  # fmt: skip
def test_what_a_library_does_not_have(tmp_path: Path, model: Any, file_format: str, message: str) -> None:
    untrained_run(tmp_path, model)
    done = attnkit("export", "--format", file_format, "--run", tmp_path / "run", tmp_path / "out")
    assert done.exit_code == 2
    assert done.stderr.startswith(message)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_an_export_that_is_there(tmp_path: Path) -> None:
    untrained_run(tmp_path, {"name": "vit", "embed_dim": 8, "depth": 1, "num_heads": 2, "patch_size": 4})
    for file_format in ("torchvision", "timm", "transformers"):
        done = attnkit("export", "--format", file_format, "--run", tmp_path / "run", tmp_path)
        assert done.exit_code == 2
        assert done.stderr == f"{tmp_path}: exists already; expected the name of a new file or folder; name another\n"


def test_formats_are_for_their_task(tmp_path: Path) -> None:
    untrained_run(tmp_path, {"name": "lenet5"})
    done = attnkit("export", "--format", "ct2", "--run", tmp_path / "run", tmp_path / "out")
    assert done.exit_code == 2
    assert "a classification run; expected a translation run" in done.stderr


@pytest.mark.parametrize(
    ("file_format", "backbone"), [("timm", "swin"), ("torchvision", "swin"), ("transformers", "resnet")]
)
def test_libraries_without_such_a_segmenter(tmp_path: Path, file_format: str, backbone: str) -> None:
    segmentation_run(tmp_path, backbone={"name": "resnet", "depth": 18} if backbone == "resnet" else TINY_SWIN)
    done = attnkit("export", "--format", file_format, "--run", tmp_path / "run", tmp_path / "out")
    assert (done.exit_code, sorted(path.name for path in tmp_path.iterdir())) == (2, ["run"])
    assert done.stderr == (
        f"{file_format}: no names for the model upernet on {backbone}; expected upernet on swin, for transformers; "
        "export it as onnx instead\n"
    )


@pytest.mark.parametrize("size", ["0x64", "64x64x3", "big", "64x"])
def test_sizes_that_are_none(tmp_path: Path, size: str) -> None:
    done = attnkit("export", "--format", "onnx", "--image-size", size, tmp_path / "out")
    assert (done.exit_code, done.stderr) == (
        2,
        f"--image-size {size}: no size; expected height x width in pixels, 8 or more; write 512x1024\n",
    )


@pytest.mark.parametrize(
    ("file_format", "what"), [("transformers", "segmentation as transformers"), ("ct2", "a transl")]
)
def test_exports_without_a_choice_of_the_size(tmp_path: Path, file_format: str, what: str) -> None:
    segmentation_run(tmp_path)
    done = attnkit(
        "export", "--format", file_format, "--run", tmp_path / "run", "--image-size", "64x96", tmp_path / "o"
    )
    assert done.exit_code == 2
    assert done.stderr.startswith(f"--image-size 64x96: {what}")
    assert done.stderr.endswith(
        " has no choice of it; expected it for the onnx of a segmentation or detection run; leave it out\n"
    )


@pytest.mark.parametrize("classes", [None, []])
def test_a_segmenter_whose_weights_do_not_name_their_classes(tmp_path: Path, classes: list[str] | None) -> None:
    segmentation_run(tmp_path, classes=classes)
    done = attnkit("export", "--format", "transformers", "--run", tmp_path / "run", tmp_path / "out")
    assert done.exit_code == 2
    assert "does not name its classes; expected weights of a segmentation run; use its model.safetensors" in done.stderr


def test_out_and_in_by_torchvisions_names() -> None:
    run = detector_run(Path("run"), AS_TORCHVISION)
    out = attnkit("export", "--format", "torchvision", "--run", "run", "out.pth")
    assert (out.exit_code, out.stdout) == (0, "out.pth\n"), out.stderr
    assert out.stderr == (
        "images: torchvision's file does not say how; build it with weights_backbone=None, num_classes=4, min_size=64, "
        "max_size=128, image_mean=[0.5, 0.5, 0.5], image_std=[0.5, 0.5, 0.5]\n"
    )
    back = attnkit("import", "out.pth", "--run", "again", "--normalize", "half")
    assert back.exit_code == 0, back.stderr
    before, after = load_tensors(run.model), load_tensors(Path("again/model.safetensors"))
    assert before[0].keys() == after[0].keys()
    assert all(torch.equal(after[0][name], tensor) for name, tensor in before[0].items())
    assert after[1]["classes"] == ["0", "1", "2"], "torchvision's file does not name them"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--format", "timm"],
            "timm: no names for the model mask_rcnn on resnet with 2fc; expected mask_rcnn on resnet",
        ),
        (
            ["--format", "torchvision", "--image-size", "64"],
            "--image-size 64x64: detection as torchvision has no choice",
        ),
        (
            ["--format", "onnx", "--image-size", "64x90"],
            "--image-size 64x90: sides that are no multiples of 32; expected",
        ),
        (
            ["--format", "ct2"],
            "run: a detection run; expected a translation run; name one with --run, or leave it out fo",
        ),
    ],
)
def test_what_cannot_be_had(arguments: list[str], message: str) -> None:
    detector_run(Path("run"), AS_TORCHVISION)
    done = attnkit("export", "--run", "run", *arguments, "out")
    assert (done.exit_code, done.stderr[: len(message)]) == (2, message)
    assert [path.name for path in Path().iterdir()] == ["run"]


def test_a_detector_whose_weights_do_not_name_their_classes() -> None:
    run = detector_run(Path("run"), AS_TORCHVISION)
    tensors, facts = load_tensors(run.model)
    save_tensors(run.model, tensors, facts | {"classes": []})
    done = attnkit("export", "--format", "torchvision", "--run", "run", "out")
    assert done.exit_code == 2
    assert "does not name its classes; expected weights of a detection run; use its model.safetensors" in done.stderr


@pytest.mark.peers
@pytest.mark.slow
def test_onnx_with_the_rules_of_the_recipe() -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    rules = {"score_threshold": 0.0, "max_detections": 7, "soft_nms": True, "flip": True}
    object_run(Path("run"), object_recipe(inference=rules))
    with shapes_unchecked():
        done = attnkit("export", "--run", "run", "--image-size", "64x96", "out.onnx")
    assert (done.exit_code, done.stdout) == (0, "out.onnx\n"), done.stderr
    first, second, third = done.stderr.splitlines()
    assert first.startswith("checked at 64x96 on 3 images: 21 findings; ")
    assert second.startswith("checked at 96x160 on 3 images: ")
    assert third == "left out: inference.soft_nms, inference.flip; the graph looks once, and keeps the best"
    session = onnxruntime.InferenceSession("out.onnx", providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == ["boxes", "scores", "labels", "masks"]
    metadata = session.get_modelmeta().custom_metadata_map
    assert metadata["category_ids"] == str(list(CATEGORY_IDS))
    assert CLASSES[0] in metadata["classes"]


def test_the_newest_run_of_images_whatever_its_task() -> None:
    for when, (name, task) in enumerate(
        [("a", "classification"), ("b", "detection"), ("c", "translation"), ("d", "text")], start=1000
    ):
        run = detector_run(Path("runs") / name, AS_TORCHVISION)
        run.recipe.write_text(run.recipe.read_text().replace("task: detection", f"task: {task}"))
        os.utime(run.model, (when, when))
    done = attnkit("export", "--format", "torchvision", "out.pth")
    assert done.exit_code == 0, done.stderr
    assert done.stderr.startswith("using the newest run, runs/b\n")
    assert "roi_heads.box_predictor.cls_score.weight" in read_foreign_file(Path("out.pth")).tensors
    wrong = attnkit("export", "--format", "onnx", "--run", "runs/c", "out")
    assert (wrong.exit_code, wrong.stderr) == (
        2,
        "runs/c: a translation run; expected a classification, segmentation or detection run; name one with --run, or "
        "leave it out for the newest\n",
    )


def test_no_run_of_images() -> None:
    done = attnkit("export", "--format", "onnx", "out")
    assert done.stderr.startswith("runs: no finished classification, segmentation or detection run here; expected one")

"""`attnkit import` and `attnkit export` of detectors, through the real entry point; and which run is exported."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from attnkit.engine.checkpoint import load_tensors, save_tensors
from attnkit.interop.foreign_file import read_foreign_file
from attnkit.models.rcnn.config import RpnConfig
from attnkit.run_dir import RunDir
from tests.command import attnkit
from tests.interop.foreign_weights import shapes_unchecked
from tests.interop.mmdet_names import OFFICIAL, as_mmdet
from tests.models.rcnn.nano import K, build
from tests.recipes.object_runs import CATEGORY_IDS, CLASSES, object_recipe, object_run

RESNET = {"backbone": {"name": "resnet", "depth": 18}, "channels": 5, "mask_head": {"convs": 1, "channels": 3}}
AS_TORCHVISION = {
    **RESNET,
    "rpn": {"rounded_anchors": True},
    "roi_align": {"aligned": False, "sampling_ratio": 2},
    "box_head": {"channels": 7},
}


def detector_run(folder: Path, model: dict[str, Any]) -> RunDir:
    return object_run(folder, object_recipe(model={"name": "mask_rcnn", **model}))


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_detector_in() -> None:
    torch.save({"state_dict": as_mmdet(build("cascade", rpn=RpnConfig()), OFFICIAL)}, "mine.pth")
    Path("names.txt").write_text("ant\nbee\ncat\ndog\nelk\n")
    done = attnkit("import", "mine.pth", "--classes", "names.txt", "--image-size", 96)
    assert (done.exit_code, done.stdout) == (0, "runs/mine\n"), done.stderr
    assert done.stderr.startswith(
        "recognised: cascade_mask_rcnn on swin by its names from the official Swin for detect"
    )
    assert done.stderr.splitlines()[-1] == "imported; use it: attnkit detect --run runs/mine photo.jpg --save found"
    weights, facts = load_tensors(Path("runs/mine/model.safetensors"))
    assert weights["box_heads.2.classes.weight"].shape == (K + 1, 11)
    assert (facts["classes"], facts["category_ids"]) == (["ant", "bee", "cat", "dog", "elk"], [1, 2, 3, 4, 5])
    assert (facts["masks"], facts["semantic_classes"]) == (True, None)
    assert "short_side: 96" in Path("runs/mine/recipe.yaml").read_text()


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


def test_weights_that_do_not_fit() -> None:
    tensors = as_mmdet(build("mask_rcnn", rpn=RpnConfig()), OFFICIAL)
    del tensors["rpn_head.rpn_conv.bias"]
    torch.save(tensors, "w.pth")
    done = attnkit("import", "w.pth")
    assert (done.exit_code, done.stderr.splitlines()[1]) == (2, "  missing: rpn.conv.bias 8")
    assert not Path("runs").exists()


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

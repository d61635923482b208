"""`attnkit import` and `attnkit export` of classifiers and segmenters, through the real entry point."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from attnkit.engine.checkpoint import load_tensors
from attnkit.interop import torchvision_weights
from attnkit.interop.foreign_file import read_foreign_file
from attnkit.models.build import build_model
from attnkit.models.config import ViTConfig
from attnkit.recipes.segmentation.recipe import SegmentationRecipe
from tests.command import attnkit
from tests.interop.foreign_weights import K, shaken
from tests.interop.test_google_vit import arrays
from tests.new_recipe.new_run import new_run
from tests.recipes.tiny_images import recipe_with
from tests.reference import mmseg_network as mmseg
from tests.reference.test_mmseg_weights import random

CLASSES = ["background", "circle", "square", "triangle"]
VIT = ViTConfig(embed_dim=12, depth=2, num_heads=3, patch_size=4)


@pytest.fixture
def vit_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(1)
    model = shaken(build_model(VIT, num_classes=K, image_size=12))
    torch.save(torchvision_weights.export_vit(model.state_dict(), VIT)[0], tmp_path / "tiny.pth")
    return tmp_path / "tiny.pth"


def test_there_and_back(vit_file: Path) -> None:
    done = attnkit("import", vit_file, "--num-heads", 3)
    assert done.exit_code == 0, done.stderr
    assert done.stdout == f"{Path('runs/tiny')}\n"
    assert done.stderr.splitlines()[0].startswith("recognised: vit by its names from torchvision, ")
    assert done.stderr.splitlines()[-1] == "imported; use it: attnkit classify --run runs/tiny photo.jpg"
    out = attnkit("export", "--format", "torchvision", "--run", "runs/tiny", "back.pth")
    assert (out.exit_code, out.stdout) == (0, "back.pth\n"), out.stderr
    original, back = read_foreign_file(vit_file).tensors, read_foreign_file(Path("back.pth")).tensors
    assert original.keys() == back.keys()
    assert all(torch.equal(back[name], tensor) for name, tensor in original.items())


def test_options(vit_file: Path) -> None:
    Path("names.txt").write_text("ant\nbee\ncat\ndog\nelk\n")
    done = attnkit(
        "import", vit_file, "--num-heads", 3, "--run", "here", "--image-size", 20, "--classes", "names.txt",
        "--position-interpolation", "google", "--normalize", "half",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert "resized: positions: 3x3 to 5x5 patches, as google interpolates" in done.stderr
    _, facts = load_tensors(Path("here/model.safetensors"))
    assert facts["classes"] == ["ant", "bee", "cat", "dog", "elk"]
    assert facts["imported"]["position_interpolation"] == "google"
    recipe = Path("here/recipe.yaml").read_text()
    assert recipe.startswith("task: classification\nname: tiny\n")


def test_npz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("ViT-X_4.npz", **arrays())
    done = attnkit("import", "ViT-X_4.npz")
    assert done.exit_code == 0, done.stderr
    assert "by its names from Google's ViT" in done.stderr
    assert "mean 0.5/0.5/0.5" in done.stderr


@pytest.mark.parametrize("change", ["missing", "unexpected", "misshapen"])
def test_weights_that_do_not_fit(vit_file: Path, change: str) -> None:
    weights = torch.load(vit_file)
    if change == "missing":
        del weights["encoder.ln.bias"]
    else:
        weights["extra.gamma" if change == "unexpected" else "encoder.ln.bias"] = torch.ones(2, 3)
    torch.save(weights, vit_file)
    done = attnkit("import", vit_file, "--num-heads", 3)
    assert done.exit_code == 2
    assert (
        done.stderr.splitlines()[1]
        == {
            "missing": "  missing: norm.bias 12",
            "unexpected": "  unexpected: extra.gamma 2x3",
            "misshapen": "  misshapen: norm.bias is 2x3 in the file, 12 in the model",
        }[change]
    )
    assert not Path("runs").exists()


def test_a_file_that_would_run_code(tmp_path: Path) -> None:
    class Code:
        def __reduce__(self) -> Any:
            return os.system, (f"touch {tmp_path / 'trace'}",)

    torch.save({"model": Code()}, tmp_path / "w.pth")
    done = attnkit("import", tmp_path / "w.pth", "--run", tmp_path / "run")
    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 1
    assert "w.pth: refused, reading it would run code (posix.system); expected tensors and plain values" in done.stderr
    assert not (tmp_path / "trace").exists()
    assert not (tmp_path / "run").exists()


def test_a_run_that_is_there(vit_file: Path) -> None:
    assert attnkit("import", vit_file, "--num-heads", 3).exit_code == 0
    again = attnkit("import", vit_file, "--num-heads", 3)
    assert again.exit_code == 2
    assert "runs/tiny: holds a run already; expected a new folder" in again.stderr


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


def untrained_run(folder: Path, model: dict[str, Any]) -> None:
    from attnkit.engine.checkpoint import save_weights

    recipe = recipe_with(model=model)
    run = new_run(folder / "run", recipe)
    network = build_model(recipe.model, num_classes=3, image_size=recipe.image.size)
    save_weights(run.model, network, {"classes": ["circle", "square", "triangle"]})


def test_a_segmenter_in_and_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    w = mmseg.swin_weights(mmseg.MMSEG, random())
    torch.save({"meta": {"CLASSES": ["sky", "sea", "sand", "rock", "ship", "bird"]}, "state_dict": w}, "beach.pth")
    done = attnkit("import", "beach.pth", "--image-size", 64)
    assert done.exit_code == 0, done.stderr
    assert done.stderr.startswith("recognised: upernet on swin by its names from mmsegmentation, ")
    assert done.stderr.splitlines()[-1].startswith("imported; use it: attnkit segment --run runs/beach photo.jpg")
    _, facts = load_tensors(Path("runs/beach/model.safetensors"))
    assert facts["classes"][3] == "rock"
    out = attnkit("export", "--format", "transformers", "--run", "runs/beach", "beach_hf")
    assert (out.exit_code, out.stdout) == (0, "beach_hf\n"), out.stderr
    assert "images: transformers' processor squashes them to 64x64, here they keep their form; masks" in out.stderr
    back = attnkit("import", "beach_hf", "--run", "again", "--image-size", 64)
    assert back.exit_code == 0, back.stderr
    before, after = (load_tensors(Path(run) / "model.safetensors") for run in ("runs/beach", "again"))
    # its auxiliary head is on the third map always, so that of three stages is left out
    assert {name for name in before[0] if name not in after[0]} == {n for n in before[0] if n.startswith("auxiliary.")}
    assert all(torch.equal(before[0][name], tensor) for name, tensor in after[0].items())
    assert after[1]["classes"] == facts["classes"]


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


TINY_SWIN = {"name": "swin", "embed_dim": 6, "depths": [1, 1], "num_heads": [1, 2], "window_size": 3}


def segmentation_run(
    folder: Path, *, classes: list[str] | None = CLASSES, backbone: dict[str, Any] = TINY_SWIN
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

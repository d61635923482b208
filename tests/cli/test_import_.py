"""`attnkit import` of classifiers, segmenters and detectors, and back, through the real entry point."""

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
from attnkit.models.rcnn.config import RpnConfig
from tests.command import attnkit
from tests.interop.foreign_weights import K, shaken
from tests.interop.mmdet_names import OFFICIAL, as_mmdet
from tests.interop.test_google_vit import arrays
from tests.models.rcnn import nano
from tests.reference import mmseg_network as mmseg
from tests.reference.test_mmseg_weights import random

VIT = ViTConfig(embed_dim=12, depth=2, num_heads=3, patch_size=4)


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


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


def test_a_detector_in() -> None:
    torch.save({"state_dict": as_mmdet(nano.build("cascade", rpn=RpnConfig()), OFFICIAL)}, "mine.pth")
    Path("names.txt").write_text("ant\nbee\ncat\ndog\nelk\n")
    done = attnkit("import", "mine.pth", "--classes", "names.txt", "--image-size", 96)
    assert (done.exit_code, done.stdout) == (0, "runs/mine\n"), done.stderr
    assert done.stderr.startswith(
        "recognised: cascade_mask_rcnn on swin by its names from the official Swin for detect"
    )
    assert done.stderr.splitlines()[-1] == "imported; use it: attnkit detect --run runs/mine photo.jpg --save found"
    weights, facts = load_tensors(Path("runs/mine/model.safetensors"))
    assert weights["box_heads.2.classes.weight"].shape == (nano.K + 1, 11)
    assert (facts["classes"], facts["category_ids"]) == (["ant", "bee", "cat", "dog", "elk"], [1, 2, 3, 4, 5])
    assert (facts["masks"], facts["semantic_classes"]) == (True, None)
    assert "short_side: 96" in Path("runs/mine/recipe.yaml").read_text()


def test_weights_that_do_not_fit_a_detector() -> None:
    tensors = as_mmdet(nano.build("mask_rcnn", rpn=RpnConfig()), OFFICIAL)
    del tensors["rpn_head.rpn_conv.bias"]
    torch.save(tensors, "w.pth")
    done = attnkit("import", "w.pth")
    assert (done.exit_code, done.stderr.splitlines()[1]) == (2, "  missing: rpn.conv.bias 8")
    assert not Path("runs").exists()

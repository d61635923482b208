"""`attnkit import` and `attnkit export` of classifiers, through the real entry point."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

from attnkit.cli import app
from attnkit.engine.checkpoint import load_tensors
from attnkit.interop import torchvision_weights
from attnkit.interop.foreign_file import read_foreign_file
from attnkit.models.config import ViTConfig
from tests.interop.foreign_weights import K, shaken
from tests.interop.test_google_vit import arrays
from tests.recipes.tiny_images import new_run, recipe_with

VIT = ViTConfig(embed_dim=12, depth=2, num_heads=3, patch_size=4)


def attnkit(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def vit_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(1)
    model = shaken(VIT.build(num_classes=K, image_size=12))
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
    network = recipe.model.build(num_classes=3, image_size=recipe.image.size)
    save_weights(run.model, network, {"classes": ["circle", "square", "triangle"]})

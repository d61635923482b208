"""attnkit summary of networks for images: counts, the published row, and the command line."""

import json

import pytest
from typer.testing import CliRunner

from attnkit import recipe_file
from attnkit.cli import app
from attnkit.engine.checkpoint import save_weights
from attnkit.models.build import build_model
from attnkit.recipes.classification.summary import classes_of
from attnkit.recipes.network_costs import GMACS_FOR_SPEED


def run(*arguments):
    return CliRunner().invoke(app, ["summary", *arguments])


def facts(*arguments):
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ATTNKIT_DATA", raising=False)
    return tmp_path


def test_an_architecture_by_its_name(folder):
    found = facts("swin_t", "--no-speed")
    assert list(found) == [
        "architecture",
        "model",
        "classes",
        "image_size",
        "params",
        "gmacs",
        "convention",
        "training_megabytes_per_image",
        "published",
    ]
    assert (found["params"], found["gmacs"], found["convention"]) == (28_288_354, 4.4906, "paper")
    assert (found["image_size"], found["classes"]) == (224, 1000)
    assert (found["published"]["params"], found["published"]["gmacs"]) == (28_288_354, 4.4906)
    row = found["published"]["in table 1 of the Swin paper"]
    assert (row["images_per_second"], row["top1"]) == (755.2, 81.3)


def test_conventions_and_image_sizes(folder):
    assert facts("vit_ti16", "--no-speed", "--image-size", "384")["gmacs"] == 4.6822
    found = facts("vit_ti16", "--no-speed", "--convention", "fvcore")
    assert found["convention"] == "fvcore"
    assert found["gmacs"] > found["published"]["gmacs"]
    assert facts("vit_ti16", "--no-speed", "--convention", "mmcv")["gmacs"] < found["gmacs"]


def test_as_a_table(folder):
    lines = run("swin_t", "--no-speed").stdout.splitlines()
    assert lines[4].split() == ["params", "28,288,354"]
    assert lines[5].split() == ["gmacs", "4.4906"]
    assert "published" in lines


def test_a_recipe_counts_the_classes_of_its_data(folder):
    found = facts("classification/toy", "--no-speed")
    assert (found["recipe"], found["classes"], found["image_size"]) == ("toy", 3, 32)
    assert "published" not in found
    assert facts("classification/toy", "--no-speed", "--set", "image.size=64")["gmacs"] > 3 * found["gmacs"]
    found = facts("classification/vit_ti16_imagenet1k", "--no-speed")
    assert found["classes"] == "1000, assumed; the data is not here"
    assert found["params"] == found["published"]["params"] == 5_717_416


def test_a_run_knows_its_classes(folder):
    recipe = recipe_file.load("classification/lenet5_cifar10")
    (folder / "a").mkdir()
    (folder / "a" / "recipe.yaml").write_text(recipe_file.dump(recipe))
    assert facts("a", "--no-speed")["classes"] == "1000, assumed; the data is not here"
    model = build_model(recipe.model, num_classes=7, image_size=32)
    save_weights(folder / "a" / "model.safetensors", model, {"classes": list("abcdefg")})
    found = facts("a", "--no-speed")
    assert (found["classes"], found["params"]) == (7, sum(p.numel() for p in model.parameters()))


def test_classes_of_data():
    recipe = recipe_file.load("classification/vit_b16_384_cifar100")
    assert classes_of(recipe.data) == 100


def test_speed_is_measured_where_that_is_quick(folder):
    found = facts("classification/lenet5_cifar10")
    assert found["images_per_second"] > 0
    assert found["measured"].startswith("batches of ")
    large = ("swin_s", "--image-size", "384")
    assert facts(*large)["gmacs"] > GMACS_FOR_SPEED
    assert "images_per_second" not in facts(*large)
    assert "images_per_second" in facts(*large, "--speed")

"""attnkit summary of detection: a name, a recipe, a run."""

import json

import pytest
from typer.testing import CliRunner

from attnkit.cli import app
from attnkit.recipe_file import load
from attnkit.recipes.detection.architectures import DETECTION_ARCHITECTURES
from attnkit.recipes.tasks import summarize
from tests.recipes.object_runs import object_recipe, object_run


def facts(*arguments):
    result = CliRunner().invoke(app, ["summary", *arguments, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ATTNKIT_DATA", raising=False)


def test_an_architecture_by_its_name():
    found = facts("mask_rcnn_swin_t", "--no-speed")
    assert (found["params"], found["gmacs"]) == (47_794_602, 266.5533)
    assert (found["image_size"], found["classes"], found["masks"]) == ("800x1280", 80, True)
    assert (found["model"], found["backbone"]) == ("mask_rcnn", "swin")
    assert found["published"] == {
        "architecture": "mask_rcnn_swin_t",
        "params": 47_794_602,
        "gmacs": 266.5533,
        "gmacs_size": "800x1280",
        "box_ap": 46.0,
        "mask_ap": 41.6,
        "source": "github.com/SwinTransformer/Swin-Transformer-Object-Detection",
    }


def test_an_architecture_at_another_size():
    found = facts("htcpp_swin_l", "--image-size", "64", "--no-speed")
    assert (found["image_size"], found["params"]) == ("64x64", 284_741_117)
    assert found["gmacs"] < found["published"]["gmacs"]
    assert found["published"]["box_ap, test-dev, several sizes"] == 58.7


QUICK = ("mask_rcnn_swin_t", "cascade_mask_rcnn_swin_t", "htcpp_swin_b")


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in DETECTION_ARCHITECTURES]
)
def test_recipes_of_published_detectors(name):
    """At a small size: parameters are the same at any. The data is not here."""
    recipe = load(f"detection/{name}_coco", ["image.short_side=64", "image.long_side=107"])
    found = summarize(recipe, speed=False)
    assert found["classes"] == "80, with masks, assumed; the data is not here"
    assert found["image_size"] == "64x128"  # 102 pixels in whole cells
    assert found["published"]["architecture"] == name
    assert found["params"] == found["published"]["params"]


def test_a_recipe_counts_what_its_data_has():
    found = summarize(object_recipe(), speed=False)
    assert (found["classes"], found["masks"], found["image_size"]) == (3, True, "64x128")
    assert "published" not in found


def test_instances_are_classes_of_pixels_with_the_background():
    model = object_recipe().model.model_dump(exclude={"name", "box_head"}) | {"name": "htc", "semantic": "none"}
    without = summarize(object_recipe(model=model), speed=False)["params"]
    found = summarize(object_recipe(model=model | {"semantic": "instances"}), speed=False)["params"]
    channels = 5
    branch = 6 * (channels**2 + channels) + 4 * (9 * channels**2 + channels)
    assert found - without == branch + (channels + 1) * 4


def test_a_run_has_the_classes_that_it_learned(tmp_path):
    made = object_run(tmp_path / "run", object_recipe(), classes=("a", "b"))
    assert facts(str(made.path), "--no-speed")["classes"] == 2


def test_what_a_small_one_costs_in_time_is_measured():
    found = facts("detection/toy", "--speed")
    assert found["images_per_second"] > 0
    assert found["training_megabytes_per_image"] > 0


def test_a_name_that_is_nearly_one():
    result = CliRunner().invoke(app, ["summary", "htcpp_swin_x"])
    assert result.exit_code == 2
    assert "did you mean htcpp_swin_" in result.stderr

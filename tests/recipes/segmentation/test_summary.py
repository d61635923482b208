"""attnkit summary of segmentation: a name, a recipe, a run."""

import json

import pytest
from typer.testing import CliRunner

from attnkit.cli import app
from tests.recipes.scene_runs import scene_recipe, scene_run


def run(*arguments):
    return CliRunner().invoke(app, [*arguments])


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ATTNKIT_DATA", raising=False)


def facts(*arguments):
    result = run("summary", *arguments, "--no-speed", "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_an_architecture_by_its_name():
    found = facts("upernet_swin_t")
    assert (found["params"], found["gmacs"]) == (59_941_862, 944.3851)
    assert (found["image_size"], found["classes"], found["backbone"]) == ("512x2048", 150, "swin")
    assert found["published"]["params"] == found["params"]
    assert found["published"]["miou"] == 44.51


def test_an_architecture_at_another_size_by_another_convention():
    found = facts("upernet_swin_t", "--image-size", "512", "--convention", "mmcv")
    assert (found["gmacs"], found["image_size"]) == (236.1455, "512x512")


def test_a_recipe_of_a_published_network_whose_data_is_not_here():
    found = facts("segmentation/upernet_swin_s_ade20k")
    assert found["classes"] == "150, assumed; the data is not here"
    assert found["published"]["architecture"] == "upernet_swin_s"
    assert found["image_size"] == "512x512"


def test_a_recipe_counts_the_classes_of_its_data():
    found = facts("segmentation/toy")
    assert (found["classes"], found["image_size"]) == (4, "64x64")
    assert "published" not in found


def test_a_run_has_the_classes_that_it_learned(tmp_path):
    made = scene_run(tmp_path / "run", scene_recipe(), classes=("a", "b", "c", "d", "e"))
    assert facts(str(made.path))["classes"] == 5


def test_a_name_that_is_nearly_one():
    result = run("summary", "upernet_swin_x")
    assert result.exit_code == 2
    assert "did you mean upernet_swin_" in result.stderr

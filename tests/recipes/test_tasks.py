"""The table of tasks: each recipe reaches the functions of its own task, which are imported when they are called."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from attnkit.data.open import OpenedData
from attnkit.engine.checkpoint import load_tensors, save_tensors
from attnkit.errors import CheckpointError
from attnkit.recipe_file import load
from attnkit.recipes.tasks import check, fit, how_to_use, summarize, summarize_architecture, trained_network
from attnkit.run_dir import RunDir
from tests.recipes.image_runs import colour_recipe, colour_run
from tests.recipes.object_runs import CATEGORY_IDS, object_recipe, object_run
from tests.recipes.scene_runs import scene_recipe, scene_run

VERBS = {"translation": "translate", "classification": "classify", "segmentation": "segment", "detection": "detect"}


@pytest.fixture(params=VERBS)
def recipe(request):
    return load(f"{request.param}/toy")


def test_each_recipe_is_trained_by_its_task(recipe, monkeypatch):
    asked = []
    for task in VERBS:
        monkeypatch.setattr(f"attnkit.recipes.{task}.train.train", lambda *given, task=task, **more: asked.append(task))
    fit(recipe, RunDir(Path("run")), OpenedData(recipe.data), resume=False, device="cpu")
    assert asked == [recipe.task]


@pytest.mark.parametrize("deep", [True, False])
def test_each_recipe_is_checked_by_its_task(recipe, monkeypatch, deep):
    asked = []
    for task in VERBS:
        monkeypatch.setattr(
            f"attnkit.recipes.{task}.check.check", lambda *given, task=task, **more: asked.append((task, more))
        )
    check(recipe, OpenedData(recipe.data), deep=deep, say=print)
    what = "tokens" if recipe.task == "translation" else "decode"
    assert asked == [(recipe.task, {what: deep, "say": print})]


def test_each_trained_model_has_a_command(recipe):
    command = how_to_use(recipe, Path("runs/mine"))
    assert command.startswith(f"attnkit {VERBS[recipe.task]} --run runs/mine ")


def test_each_recipe_is_summed_up(recipe):
    facts = summarize(recipe) if recipe.task == "translation" else summarize(recipe, speed=False)
    assert facts["recipe"] == "toy"
    assert ("parameters" in facts) == (recipe.task == "translation")


@pytest.mark.parametrize(("name", "kind"), [("vit_ti16", "vit"), ("upernet_swin_t", "upernet")])
def test_an_architecture_of_any_task(name, kind):
    facts = summarize_architecture(name, image_size=64, speed=False)
    assert (facts["architecture"], facts["model"]) == (name, kind)
    assert facts["published"]["architecture"] == name


def test_a_trained_classifier(tmp_path):
    recipe, run = colour_recipe(), colour_run(tmp_path / "run")
    network = trained_network(recipe, run.model)
    assert (network.class_names, network.category_ids, network.model.training) == (("red", "green", "blue"), (), False)
    assert (network.config, network.image) == (recipe.model, recipe.image)
    red = torch.tensor([1.0, -1.0, -1.0])[None, :, None, None].expand(1, 3, 8, 8)
    assert network.model(red).argmax().item() == 0


def test_a_trained_segmenter(tmp_path):
    network = trained_network(scene_recipe(), scene_run(tmp_path / "run").model)
    blue = torch.tensor([-1.0, -1.0, 1.0])[None, :, None, None].expand(1, 3, 16, 24)
    assert (network.model(blue).argmax(1) == 2).all()


@pytest.mark.parametrize("masks", [True, False])
def test_a_trained_detector_has_the_parts_that_its_weights_have(tmp_path, masks):
    run = object_run(tmp_path / "run", masks=masks)
    network = trained_network(object_recipe(), run.model)
    assert network.category_ids == CATEGORY_IDS
    assert network.model.state_dict().keys() == load_tensors(run.model)[0].keys()


def test_weights_without_classes_are_not_exported(tmp_path):
    run = colour_run(tmp_path / "run")
    save_tensors(run.model, load_tensors(run.model)[0], {"step": 3})
    message = "does not name its classes; expected weights of a classification run; use its model.safetensors$"
    with pytest.raises(CheckpointError, match=message):
        trained_network(colour_recipe(), run.model)


def test_the_table_is_free_of_torch():
    code = "import sys, attnkit.recipes.tasks; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

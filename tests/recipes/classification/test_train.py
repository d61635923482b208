"""Training on generated images, from data to result."""

import pytest
import torch

from attnkit.data.open import OpenedData
from attnkit.engine.checkpoint import load_tensors
from attnkit.recipe_file import load
from attnkit.recipes.classification.task import ClassificationTask
from attnkit.recipes.classification.train import train
from tests.new_recipe.new_run import new_run
from tests.recipes.tiny_images import SWIN, recipe_with

NAMES = ("circle", "square", "triangle")


@pytest.mark.parametrize("model", [None, SWIN], ids=["vit", "swin"])
def test_a_run_from_beginning_to_end(tmp_path, model):
    recipe = recipe_with(**({} if model is None else {"model": model}))
    run = new_run(tmp_path / "run", recipe)
    train(recipe, run, OpenedData(recipe.data), resume=False, device="cpu")
    tensors, facts = load_tensors(run.model)
    assert facts["classes"] == list(NAMES)
    assert tensors["head.weight"].shape[0] == 3
    assert load(run.recipe) == recipe


class Killed(BaseException):
    """Whatever ends a process in the middle of a step."""


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path, monkeypatch):
    recipe = recipe_with(
        augment={"scale": [0.5, 1.0], "auto": "rand", "mixup": 0.4, "cutmix": 1.0, "erase": 0.3},
        model__drop_path_rate=0.2,
        model__dropout=0.1,
        train__ema_decay=0.9,
        train__optimizer={"name": "adamw", "weight_decay": 0.05, "layer_decay": 0.8},
    )
    whole, parts = new_run(tmp_path / "whole", recipe), new_run(tmp_path / "parts", recipe)
    train(recipe, whole, OpenedData(recipe.data), resume=False, device="cpu")
    forward, calls = ClassificationTask.forward, iter(range(100))

    def dies(task, batch):
        if next(calls) == 8:
            raise Killed
        return forward(task, batch)

    with monkeypatch.context() as patch, pytest.raises(Killed):  # noqa: PT012
        patch.setattr(ClassificationTask, "forward", dies)
        train(recipe, parts, OpenedData(recipe.data), resume=False, device="cpu")
    assert load_tensors(parts.resume)[1]["step"] == 6
    train(recipe, parts, OpenedData(recipe.data), resume=True, device="cpu")
    ours, theirs = load_tensors(whole.model)[0], load_tensors(parts.model)[0]
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert torch.equal(ours[name], theirs[name]), name

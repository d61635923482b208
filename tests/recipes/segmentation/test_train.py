"""Training on generated scenes, from data to result, and how its classes are weighed."""

import numpy as np
import pytest
import torch

from attnkit.data.open import OpenedData
from attnkit.engine.checkpoint import load_tensors
from attnkit.recipe_file import load
from attnkit.recipes.segmentation.task import SegmentationTask
from attnkit.recipes.segmentation.train import median_frequency_weights, train
from tests.new_recipe.new_run import new_run
from tests.recipes.tiny_scenes import tiny_recipe


class Labelled:
    """Label maps alone."""

    class_names = ("a", "b", "c", "d")

    def __init__(self, *maps):
        self._maps = [np.array(labels, dtype=np.uint8) for labels in maps]

    def __len__(self):
        return len(self._maps)

    def read_labels(self, index):
        return self._maps[index]


def test_median_frequency_by_hand():
    weights = median_frequency_weights(Labelled([[0, 0, 0, 1]], [[0, 255, 2, 2, 2, 2]]))
    # of the images that they occur in a has 4 of 10 pixels, b 1 of 4, c 4 of 6, d none; the median is 4/10
    assert weights.tolist() == pytest.approx([1.0, 0.4 / 0.25, 0.4 / (4 / 6), 0.0])


@pytest.mark.parametrize(
    "backbone",
    [
        None,
        {"name": "vit", "patch_size": 8, "embed_dim": 12, "depth": 4, "num_heads": 3},
        {"name": "resnet", "depth": 18},
    ],
    ids=["swin", "vit", "resnet"],
)
def test_a_run_from_beginning_to_end(tmp_path, backbone):
    model = {"name": "upernet", "backbone": backbone, "channels": 5, "pool_scales": [1, 2], "auxiliary_channels": 7}
    crop = [64, 64] if backbone and backbone["name"] == "resnet" else [16, 16]
    sections = {"image": {"crop": crop}, "loss": {"class_weights": "median_frequency"}}
    recipe = tiny_recipe(**sections, **({"model": model} if backbone else {}))
    run = new_run(tmp_path / "run", recipe)
    train(recipe, run, OpenedData(recipe.data), resume=False, device="cpu")
    tensors, facts = load_tensors(run.model)
    assert facts["classes"] == ["background", "circle", "square", "triangle"]
    assert np.array(facts["colours"]).shape == (4, 3)
    assert tensors["head.weight"].shape[0] == 4
    assert load(run.recipe) == recipe


def test_a_power_of_the_weights_makes_them_milder(tmp_path, capsys):
    weights = {"class_weights": "median_frequency", "class_weight_power": 0.5}
    recipe = tiny_recipe(loss=weights, train={"steps": 1, "optimizer": {"name": "adamw"}})
    train(recipe, new_run(tmp_path / "run", recipe), OpenedData(recipe.data), resume=False, device="cpu")
    data = OpenedData(recipe.data)["train"]
    roots = median_frequency_weights(data).sqrt()
    expected = ", ".join(f"{name} {weight:.2f}" for name, weight in zip(data.class_names, roots, strict=True))
    assert f"loss: pixels weigh by class: {expected}\n" in capsys.readouterr().err


class Killed(BaseException):
    """Whatever ends a process in the middle of a step."""


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path, monkeypatch):
    recipe = tiny_recipe()
    whole, parts = new_run(tmp_path / "whole", recipe), new_run(tmp_path / "parts", recipe)
    train(recipe, whole, OpenedData(recipe.data), resume=False, device="cpu")
    forward, calls = SegmentationTask.forward, iter(range(100))

    def dies(task, batch):
        if next(calls) == 5:
            raise Killed
        return forward(task, batch)

    with monkeypatch.context() as patch, pytest.raises(Killed):  # noqa: PT012
        patch.setattr(SegmentationTask, "forward", dies)
        train(recipe, parts, OpenedData(recipe.data), resume=False, device="cpu")
    assert load_tensors(parts.resume)[1]["step"] == 4
    train(recipe, parts, OpenedData(recipe.data), resume=True, device="cpu")
    ours, theirs = load_tensors(whole.model)[0], load_tensors(parts.model)[0]
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert torch.equal(ours[name], theirs[name]), name

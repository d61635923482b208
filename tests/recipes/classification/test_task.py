"""Loss and score of classification, by hand; and the whole way from generated images to a trained run."""

import math
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn

from attnkit.data.classification.image_batches import ImageBatch
from attnkit.data.open import OpenedData
from attnkit.engine.checkpoint import load_tensors
from attnkit.recipe_file import load
from attnkit.recipes.classification.task import ClassificationTask, TopAccuracy, build_task
from attnkit.recipes.classification.train import train
from tests.new_recipe.new_run import new_run
from tests.recipes.tiny_images import SWIN, recipe_with

NAMES = ("circle", "square", "triangle")


class Says(nn.Module):
    """Logits that do not depend on the image."""

    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, images):
        return self.logits.expand(len(images), -1)


def batch_of(labels, targets=None):
    images = torch.zeros(len(labels), 3, 8, 8)
    soft = None if targets is None else torch.tensor(targets)
    return ImageBatch(images, torch.tensor(labels), soft, np.arange(len(labels)))


def task_that_says(logits, **changes):
    return ClassificationTask(recipe_with(**changes), Says(logits), NAMES)


def test_cross_entropy_by_hand():
    loss = task_that_says([0.0, math.log(2.0), math.log(5.0)])(batch_of([0, 2]))
    assert loss.total.item() == pytest.approx((math.log(8) + math.log(8 / 5)) / 2)
    assert loss.count == 2


def test_smoothing_by_hand():
    loss = task_that_says([0.0, math.log(2.0), math.log(5.0)], loss={"label_smoothing": 0.3})(batch_of([2]))
    nats = [math.log(8), math.log(4), math.log(8 / 5)]
    assert loss.total.item() == pytest.approx(0.1 * nats[0] + 0.1 * nats[1] + 0.8 * nats[2])


def test_mixed_labels_by_hand():
    loss = task_that_says([0.0, math.log(2.0), math.log(5.0)])(batch_of([0, 1], [[0.75, 0.25, 0.0], [0.0, 0.5, 0.5]]))
    expected = (0.75 * math.log(8) + 0.25 * math.log(4) + 0.5 * math.log(4) + 0.5 * math.log(8 / 5)) / 2
    assert loss.total.item() == pytest.approx(expected)


def test_validation_is_without_smoothing_and_gives_probabilities():
    task = task_that_says([0.0, math.log(2.0), math.log(5.0)], loss={"label_smoothing": 0.3})
    loss, probs = task.evaluate(batch_of([1, 1]), nullcontext())
    assert loss.total.item() == pytest.approx(math.log(4))
    torch.testing.assert_close(probs, torch.tensor([[1.0, 2.0, 5.0]] * 2) / 8)
    torch.testing.assert_close(task.predict(batch_of([1, 1])), probs)


def test_both_heads_of_a_distilled_model_learn():
    recipe = recipe_with(model__distillation=True)
    task = build_task(recipe, NAMES)
    nn.init.normal_(task.model.head.weight)
    nn.init.normal_(task.model.distillation_head.weight)
    batch = ImageBatch(torch.randn(5, 3, 16, 16), torch.tensor([0, 1, 2, 0, 1]), None, np.arange(5))
    first, second = task.model.forward_heads(batch.images)
    expected = (
        nn.functional.cross_entropy(first, batch.labels) + nn.functional.cross_entropy(second, batch.labels)
    ) / 2
    torch.testing.assert_close(task(batch).total, expected)


def test_top_accuracies_by_hand():
    metric = TopAccuracy(7)
    probs = torch.tensor([[7.0, 6, 5, 4, 3, 2, 1], [7.0, 6, 5, 4, 3, 2, 1], [1.0, 2, 3, 4, 5, 6, 7]])
    metric.update(batch_of([0, 4, 1]), probs)
    metric.update(batch_of([6]), probs[:1])
    assert metric.compute() == {"top1": 25.0, "top5": 50.0}


def test_of_equal_probabilities_the_lower_number_comes_first_as_in_eval():
    metric = TopAccuracy(7)
    metric.update(batch_of([0, 1, 4, 5]), torch.full((4, 7), 1 / 7))
    assert metric.compute() == {"top1": 25.0, "top5": 75.0}


def test_top5_of_five_classes_says_nothing():
    metric = TopAccuracy(5)
    metric.update(batch_of([1]), torch.tensor([[0.1, 0.6, 0.1, 0.1, 0.1]]))
    assert metric.compute() == {"top1": 100.0}


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

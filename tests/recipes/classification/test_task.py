"""Loss and score of classification, by hand."""

import math
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn

from attnkit.data.classification.image_batches import ImageBatch
from attnkit.recipes.classification.task import ClassificationTask, TopAccuracy, build_task
from tests.recipes.tiny_images import recipe_with

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

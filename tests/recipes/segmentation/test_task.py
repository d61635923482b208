"""Loss and score of segmentation, by hand."""

import math
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn

from attnkit.data.open import OpenedData
from attnkit.data.segmentation.config import SegmentationShapesConfig
from attnkit.data.segmentation.segmentation_batches import SegmentationBatch
from attnkit.recipes.segmentation.task import MeanIou, SegmentationTask, build_task, labelled_pixels
from attnkit.structures.arrays import IGNORE
from tests.recipes.scene_runs import CLASSES, DRAWN, scene_recipe
from tests.recipes.tiny_scenes import SHAPES, tiny_recipe


class Says(nn.Module):
    """Logits that do not depend on the image, on a map of a quarter of its size; of the auxiliary head half of them."""

    def __init__(self, logits, *, auxiliary=True):
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))
        self.auxiliary = auxiliary

    def forward_heads(self, images):
        height, width = images.shape[2] // 4, images.shape[3] // 4
        main = self.logits[None, :, None, None].expand(len(images), -1, height, width)
        return main, main[..., ::2, ::2] / 2 if self.auxiliary else None

    def forward(self, images):
        return self.logits[None, :, None, None].expand(len(images), -1, *images.shape[2:])


def batch_of(labels, size=(8, 12)):
    labels = torch.tensor(labels)
    return SegmentationBatch(torch.zeros(len(labels), 3, *size), labels, np.arange(len(labels)))


def task_that_says(logits, *, auxiliary=True, class_weights=None, **sections):
    recipe = scene_recipe(**sections)
    model = Says(logits, auxiliary=auxiliary)
    return SegmentationTask(recipe, model, CLASSES, DRAWN, class_weights=class_weights)


LOGITS = [0.0, math.log(2.0), math.log(5.0)]
NATS = [math.log(8), math.log(4), math.log(8 / 5)]
LABELS = [[[0, 2, IGNORE, 2, IGNORE], [1, 2, 2, IGNORE, IGNORE]]]


def test_cross_entropy_is_a_mean_over_labelled_pixels():
    loss = task_that_says(LOGITS, auxiliary=False)(batch_of(LABELS))
    assert loss.count == 6
    assert list(loss.terms) == ["cross_entropy"]
    assert loss.total.item() == pytest.approx((NATS[0] + NATS[1] + 4 * NATS[2]) / 6)


def test_the_auxiliary_head_weighs_what_the_recipe_says():
    halves = [0.0, math.log(2.0) / 2, math.log(5.0) / 2]
    total = math.log(sum(map(math.exp, halves)))
    expected = 0.3 * (6 * total - halves[1] - 4 * halves[2]) / 6
    loss = task_that_says(LOGITS, loss={"auxiliary_weight": 0.3})(batch_of(LABELS))
    assert loss.terms["auxiliary"].item() == pytest.approx(expected)
    assert task_that_says(LOGITS)(batch_of(LABELS)).terms["auxiliary"].item() == pytest.approx(expected * 4 / 3)


def test_weights_of_classes_do_not_divide():
    task = task_that_says(LOGITS, auxiliary=False, class_weights=torch.tensor([3.0, 0.5, 1.0]))
    loss = task(batch_of(LABELS))
    assert loss.total.item() == pytest.approx((3 * NATS[0] + 0.5 * NATS[1] + 4 * NATS[2]) / 6)
    assert "class_weights" not in task.state_dict()


def test_a_batch_without_a_label_is_no_division_by_zero():
    loss = task_that_says(LOGITS)(batch_of([[[IGNORE, IGNORE]]]))
    assert (loss.total.item(), loss.count) == (0.0, 1)
    assert labelled_pixels(torch.tensor([IGNORE, 3, IGNORE])) == 1


def test_validation_gives_classes_at_the_size_of_the_labels():
    task = task_that_says(LOGITS, class_weights=torch.tensor([3.0, 0.5, 1.0]))
    loss, predictions = task.evaluate(batch_of(LABELS), nullcontext())
    assert loss.total.item() == pytest.approx((NATS[0] + NATS[1] + 4 * NATS[2]) / 6), "plain, and the main head alone"
    assert torch.equal(predictions, torch.full((1, 2, 5), 2))
    assert torch.equal(task.predict(batch_of(LABELS)), predictions)


def test_mean_iou_by_hand():
    metric = MeanIou(3)
    metric.update(batch_of([[[0, 0, 1]], [[2, IGNORE, 1]]]), torch.tensor([[[0, 1, 1]], [[2, 2, 2]]]))
    metric.update(batch_of([[[0]]]), torch.tensor([[[0]]]))
    # right 2, 1, 1; labelled 3, 2, 1; predicted 2, 2, 2
    assert metric.compute() == pytest.approx(
        {
            "miou": 100 * (2 / 3 + 1 / 3 + 1 / 2) / 3,
            "macc": 100 * (2 / 3 + 1 / 2 + 1) / 3,
            "aacc": 100 * 4 / 6,
            "fwiou": 100 * (3 * 2 / 3 + 2 / 3 + 1 / 2) / 6,
        }
    )


def test_fresh_weights_depend_on_the_seed_alone():
    data = OpenedData(SegmentationShapesConfig.model_validate(SHAPES))["train"]
    recipe = tiny_recipe()
    one = build_task(recipe, data).state_dict()
    torch.rand(3)
    other = build_task(recipe, data).state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)

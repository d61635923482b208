"""The task of detection: what is saved beside its weights, where its detections lie, and its semantic classes."""

import numpy as np
import pytest
import torch

from attnkit.data.detection.detection_batches import DetectionBatch
from attnkit.data.open import OpenedData
from attnkit.errors import DataError
from attnkit.recipes.detection.task import DetectionTask, build_task, semantic_classes_of
from attnkit.structures.detections import Detections
from tests.recipes.object_runs import object_recipe

HTC = object_recipe().model.model_dump(exclude={"name", "box_head"}) | {"name": "htc"}


class FakeDetector(torch.nn.Module):
    """Finds one box on each image, and remembers what it was asked."""

    def detect(self, images, sizes, **rules):
        self.asked = rules
        box = torch.tensor([[2.0, 4.0, 6.0, 10.0]])
        return [Detections(box, torch.tensor([0.5]), torch.tensor([1]), None) for _ in sizes]

    def losses(self, images, sizes, objects, semantic):
        return {"a": images.sum(), "b": torch.tensor(2.0)}


def task_of(model, *, masks=False):
    rules = object_recipe(inference={"max_detections": 7, "nms_threshold": 0.25}).inference
    return DetectionTask(model, rules, class_names=["a", "b"], category_ids=[3, 8], masks=masks)


def batch_of(sizes, originals):
    return DetectionBatch(
        torch.ones(len(sizes), 3, 32, 32),
        sizes,
        objects=[],
        originals=originals,
        indices=np.arange(len(sizes)),
        semantic=None,
    )


def test_detections_lie_in_the_pixels_of_the_file():
    """The first image was made half as wide and a third as high, the second stayed."""
    model = FakeDetector()
    first, second = task_of(model).predict(batch_of([(16, 20), (32, 32)], [(48, 40), (32, 32)]))
    assert first.boxes.tolist() == [[4, 12, 12, 30]]
    assert second.boxes.tolist() == [[2, 4, 6, 10]]
    assert (model.asked["max_detections"], model.asked["nms_threshold"]) == (7, 0.25)


def test_every_term_counts_and_the_images_do():
    loss = task_of(FakeDetector())(batch_of([(32, 32)] * 2, [(32, 32)] * 2))
    assert {name: value.item() for name, value in loss.terms.items()} == {"a": 2 * 3 * 32 * 32, "b": 2}
    assert loss.count == 2


@pytest.mark.parametrize(("masks", "score"), [(True, "mask_ap"), (False, "box_ap")])
def test_the_score_is_that_of_masks_where_there_are_any(masks, score):
    task = task_of(FakeDetector(), masks=masks)
    assert task.score == score
    assert task.facts == {"classes": ["a", "b"], "category_ids": [3, 8], "masks": masks, "semantic_classes": None}


def test_fresh_weights_depend_on_the_seed_alone():
    recipe = object_recipe()
    data = OpenedData(recipe.data)["train"]
    one = build_task(recipe, data).state_dict()
    torch.rand(3)
    other = build_task(recipe, data).state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_instances_are_classes_of_pixels_and_so_is_what_lies_between_them():
    assert semantic_classes_of(object_recipe(), 3, masks=True) is None
    recipe = object_recipe(model=HTC | {"semantic": "instances"})
    assert semantic_classes_of(recipe, 254, masks=True) == 255


@pytest.mark.parametrize(
    ("classes", "masks", "what"),
    [(3, False, "no masks; expected masks"), (255, True, "255 classes; expected at most 254")],
)
def test_instances_that_a_map_cannot_hold(classes, masks, what):
    recipe = object_recipe(model=HTC | {"semantic": "instances"})
    with pytest.raises(DataError, match=f"^model.semantic: instances, but the data has {what}; take none, or maps$"):
        semantic_classes_of(recipe, classes, masks=masks)

"""Loss and score of segmentation, by hand; and the whole way from generated scenes to a trained run."""

import math
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn

from attnkit.data.open import OpenedData
from attnkit.data.segmentation.config import SegmentationShapesConfig
from attnkit.data.segmentation.segmentation_batches import SegmentationBatch
from attnkit.engine.checkpoint import load_tensors
from attnkit.recipe_file import load
from attnkit.recipes.segmentation.task import MeanIou, SegmentationTask, build_task, labelled_pixels
from attnkit.recipes.segmentation.train import median_frequency_weights, train
from attnkit.structures.arrays import IGNORE
from tests.new_recipe.new_run import new_run
from tests.recipes.scene_runs import CLASSES, DRAWN, scene_recipe

SHAPES = {"format": "shapes", "size": 16, "train_images": 10, "valid_images": 3, "test_images": 2, "most_shapes": 2}


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


def tiny_recipe(**sections):
    return scene_recipe(
        data=None,
        **{
            "image": {"crop": [16, 16]},
            "train": {
                "steps": 6,
                "optimizer": {"name": "adamw"},
                "schedule": {"name": "poly", "lr": 1e-3},
                "validate_every": 3,
                "save_every": 2,
                "log_every": 2,
                "keep_last": 1,
                "average_last": 1,
            },
            **sections,
        },
    ).model_copy(update={"data": SegmentationShapesConfig.model_validate(SHAPES)})


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


def test_a_resnet_refuses_a_crop_of_one_cell():
    model = {"name": "upernet", "backbone": {"name": "resnet", "depth": 18}}
    message = "image.crop: 64x63 is but a cell of a ResNet's last map, of 32 pixels each; expected 64 or more; enlarge"
    with pytest.raises(ValueError, match=message):
        scene_recipe(model=model, image={"crop": [64, 63]})
    assert scene_recipe(model=model, image={"crop": [64, 64]}).image.crop == (64, 64)


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


def test_fresh_weights_depend_on_the_seed_alone():
    data = OpenedData(SegmentationShapesConfig.model_validate(SHAPES))["train"]
    recipe = tiny_recipe()
    one = build_task(recipe, data).state_dict()
    torch.rand(3)
    other = build_task(recipe, data).state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)

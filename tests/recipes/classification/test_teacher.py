"""Distillation: both forms by hand, what the teacher sees, and a student of a real run."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from attnkit.data.classification.config import ImageConfig
from attnkit.data.classification.image_batches import ImageBatch
from attnkit.data.open import OpenedData
from attnkit.engine.checkpoint import load_tensors, save_weights
from attnkit.errors import AttnkitError
from attnkit.recipes.classification.recipe import TeacherConfig
from attnkit.recipes.classification.task import ClassificationTask, build_task
from attnkit.recipes.classification.teacher import Teacher, open_teacher
from attnkit.recipes.classification.train import train
from tests.new_recipe.new_run import new_run
from tests.recipes.tiny_images import SWIN, recipe_with

NAMES = ("circle", "square", "triangle")
PLAIN = ImageConfig(size=16, mean=(0.0,) * 3, std=(1.0,) * 3)
CPU = torch.device("cpu")


class Colours(nn.Module):
    """The logits are the mean of each channel."""

    def forward(self, images):
        return images.mean(dim=(2, 3))


def teacher(form="hard", *, image=PLAIN, student=PLAIN, **options):
    config = TeacherConfig.model_validate({"from": "nowhere", "form": form, **options})
    return Teacher(config, Colours(), image=image, student=student)


def painted(*colours):
    return torch.tensor(colours)[:, :, None, None].expand(-1, -1, 16, 16)


def test_hard_by_hand():
    logits = torch.tensor([[0.0, math.log(2.0), math.log(5.0)], [0.0, 0.0, 0.0]])
    loss = teacher().loss(logits, painted([0.1, 0.9, 0.3], [0.5, 0.2, 0.1]))
    assert loss.item() == pytest.approx((math.log(4) + math.log(3)) / 2)


def test_soft_by_hand():
    ours, theirs = torch.tensor([[0.0, 2 * math.log(3.0), 0.0]]), painted([2 * math.log(2.0), 0.0, 0.0])
    p, q = [0.5, 0.25, 0.25], [0.2, 0.6, 0.2]
    expected = 4 * sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    assert teacher("soft", temperature=2.0).loss(ours, theirs).item() == pytest.approx(expected, rel=1e-5)


def test_the_teacher_sees_images_as_it_knows_them():
    own = ImageConfig(size=16, mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 0.2))
    student = ImageConfig(size=16, mean=(0.4, 0.5, 0.6), std=(0.3, 0.7, 0.9))
    pixels = torch.tensor([[0.15, 0.85, 0.35]])
    for_student = (pixels - torch.tensor(student.mean)) / torch.tensor(student.std)
    found = teacher(image=own, student=student).logits(for_student[:, :, None, None].expand(-1, -1, 16, 16))
    torch.testing.assert_close(found, (pixels - torch.tensor(own.mean)) / torch.tensor(own.std))


@pytest.mark.parametrize("distillation", [False, True])
def test_the_shares_of_labels_and_teacher(distillation):
    recipe = recipe_with(model__distillation=distillation)
    model = build_task(recipe, NAMES).model
    for head in (model.head, model.distillation_head):
        if head is not None:
            nn.init.normal_(head.weight)
    one = teacher(weight=0.3)
    task = ClassificationTask(recipe, model, NAMES, teacher=one)
    batch = ImageBatch(torch.randn(5, 3, 16, 16), torch.tensor([0, 1, 2, 0, 1]), None, np.arange(5))
    first, second = model.forward_heads(batch.images)
    loss = task(batch)
    labels = nn.functional.cross_entropy(first, batch.labels)
    torch.testing.assert_close(loss.terms["cross_entropy"], 0.7 * labels)
    torch.testing.assert_close(
        loss.terms["distillation"], 0.3 * one.loss(second if distillation else first, batch.images)
    )
    assert not any(name.startswith("teacher") for name, _ in task.named_parameters())


def kept(folder, *, classes=NAMES, **changes):
    """A run with random weights."""
    recipe = recipe_with(**changes)
    run = new_run(folder, recipe)
    save_weights(run.model, build_task(recipe, classes).model, {"classes": list(classes)})
    return run


def opened(run, *, size=16, class_names=NAMES):
    config = TeacherConfig.model_validate({"from": str(run.path)})
    student = ImageConfig(size=size, mean=(0.5,) * 3, std=(0.5,) * 3)
    return open_teacher(config, student=student, class_names=class_names, device=CPU)


def test_a_run_teaches_what_its_model_says(tmp_path):
    run = kept(tmp_path / "run", model=SWIN)
    model = build_task(recipe_with(model=SWIN), NAMES).model
    model.load_state_dict(load_tensors(run.model)[0])
    images = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(opened(run).logits(images), model.eval()(images))


def test_a_teacher_of_other_classes_is_refused(tmp_path):
    run = kept(tmp_path / "run", classes=("cat", "dog", "cow"))
    with pytest.raises(
        AttnkitError,
        match=r"^loss\.teacher\.from: .*/run knows other classes; expected the 3 of the data, 'circle' first; take a "
        r"teacher of the same data$",
    ):
        opened(run)


def test_a_vit_for_another_size_is_refused_and_a_swin_is_not(tmp_path):
    with pytest.raises(
        AttnkitError,
        match=r"^loss\.teacher\.from: .*/vit is a ViT for images of 16 pixels; expected image\.size 24; set "
        r"image\.size, or take a Swin or ResNet for a teacher$",
    ):
        opened(kept(tmp_path / "vit"), size=24)
    assert opened(kept(tmp_path / "swin", model=SWIN), size=24).logits(torch.randn(2, 3, 24, 24)).shape == (2, 3)


def test_a_student_learns_and_keeps_none_of_the_teacher(tmp_path):
    source = kept(tmp_path / "teacher", model=SWIN)
    recipe = recipe_with(
        model__distillation=True, loss={"teacher": {"from": str(source.path), "form": "soft"}}, train__steps=4
    )
    run = new_run(tmp_path / "student", recipe)
    train(recipe, run, OpenedData(recipe.data), resume=False, device="cpu")
    assert "distillation" in run.metrics.read_text()
    assert not any("teacher" in name or "stages" in name for name in load_tensors(run.model)[0])

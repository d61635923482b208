"""Train a classification recipe: its check, task and batches, wired together as for all images."""

from collections.abc import Mapping
from functools import partial

import torch

from attnkit.data.classification.check_images import check_images
from attnkit.data.classification.image_batches import ImageBatch, eval_images, train_images
from attnkit.data.classification.image_set import ImageSet
from attnkit.data.config import Split
from attnkit.data.images.batches import EpochBatches
from attnkit.engine.log import RunLog
from attnkit.recipes.classification.recipe import ClassificationRecipe
from attnkit.recipes.classification.task import ClassificationTask, build_task
from attnkit.recipes.classification.teacher import open_teacher
from attnkit.recipes.training import ImageTraining, init_model, train_on_images
from attnkit.run_dir import RunDir


def train(
    recipe: ClassificationRecipe, run: RunDir, data: Mapping[Split, ImageSet | None], *, resume: bool, device: str
) -> None:
    """Train the model of a recipe; see `train_on_images`."""
    batch = recipe.batch
    parts = ImageTraining(
        check=lambda progress: check_images(data, quick=True, progress=progress),
        expected="training images; name their folder in the recipe",
        build_task=partial(_task, recipe, loads=not resume),
        train_batches=partial(_train_batches, recipe),
        valid_batches=lambda valid: eval_images(valid, recipe.image, batch_size=batch.images, workers=batch.workers),
        embed_dim=getattr(recipe.model, "embed_dim", 512),
    )
    train_on_images(data, parts, recipe.train, run, resume=resume, device=device)


def _task(
    recipe: ClassificationRecipe, images: ImageSet, log: RunLog, device: torch.device, *, loads: bool
) -> ClassificationTask:
    """The task with the weights that it begins with, and its teacher."""
    task = build_task(recipe, images.class_names)
    init_model(task.model, recipe.init, images.class_names, log, loads=loads)
    if recipe.loss.teacher is not None:
        task.teacher = open_teacher(
            recipe.loss.teacher, student=recipe.image, class_names=images.class_names, device=device
        )
        log.say(f"teacher: {recipe.loss.teacher.from_}")
    return task


def _train_batches(recipe: ClassificationRecipe, images: ImageSet, log: RunLog) -> EpochBatches[ImageBatch]:
    return train_images(
        images,
        recipe.image,
        recipe.augment,
        batch_size=recipe.batch.images,
        seed=recipe.train.seed,
        workers=recipe.batch.workers,
        num_classes=len(images.class_names),
        warn=log.warn,
    )

"""Train a detection recipe: its check, task and batches, wired together as for all images."""

from collections.abc import Mapping
from functools import partial

import torch

from attnkit.data.config import Split
from attnkit.data.detection.check_detection import check_detection
from attnkit.data.detection.detection_batches import DetectionBatch, eval_detection, train_detection
from attnkit.data.detection.detection_set import DetectionSet
from attnkit.data.images.batches import EpochBatches
from attnkit.engine.log import RunLog
from attnkit.recipes.detection.average_precision import by_image_id
from attnkit.recipes.detection.check import limits_of
from attnkit.recipes.detection.recipe import DetectionRecipe
from attnkit.recipes.detection.task import DetectionTask, build_task
from attnkit.recipes.training import ImageTraining, init_model, train_on_images
from attnkit.run_dir import RunDir


def train(
    recipe: DetectionRecipe, run: RunDir, data: Mapping[Split, DetectionSet | None], *, resume: bool, device: str
) -> None:
    """Train the detector of a recipe; see `train_on_images`."""
    batch = recipe.batch
    parts = ImageTraining(
        check=lambda progress: check_detection(
            recipe.data, data, quick=True, limits=limits_of(recipe), progress=progress
        ),
        expected="training images and their objects; name them in the recipe",
        build_task=partial(_task, recipe, loads=not resume),
        train_batches=partial(_train_batches, recipe),
        valid_batches=lambda valid: eval_detection(
            by_image_id(valid), recipe.image, batch_size=batch.images, workers=batch.workers
        ),
        embed_dim=recipe.model.channels,
    )
    train_on_images(data, parts, recipe.train, run, resume=resume, device=device)


def _task(
    recipe: DetectionRecipe, images: DetectionSet, log: RunLog, device: torch.device, *, loads: bool
) -> DetectionTask:
    """The task with the weights that it begins with."""
    task = build_task(recipe, images)
    if not images.has_masks:
        log.say("data: boxes without masks; the detector has no mask head")
    init_model(task.model, recipe.init, images.class_names, log, loads=loads)
    return task


def _train_batches(recipe: DetectionRecipe, images: DetectionSet, log: RunLog) -> EpochBatches[DetectionBatch]:
    return train_detection(
        images,
        recipe.image,
        recipe.augment,
        batch_size=recipe.batch.images,
        pixels=recipe.batch.pixels,
        seed=recipe.train.seed,
        semantic=recipe.semantic,
        workers=recipe.batch.workers,
        warn=log.warn,
    )

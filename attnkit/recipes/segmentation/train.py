"""Train a segmentation recipe: images and masks, batches, model and the loop, wired together."""

from __future__ import annotations

from collections.abc import Mapping

from attnkit.data.config import Split
from attnkit.data.segmentation.check_segmentation import check_segmentation
from attnkit.data.segmentation.segmentation_batches import eval_segmentation, train_segmentation
from attnkit.data.segmentation.segmentation_set import SegmentationSet
from attnkit.engine.log import RunLog, open_log
from attnkit.engine.loop import Parts, fit
from attnkit.engine.precision import find_device
from attnkit.engine.schedule import build_schedule
from attnkit.errors import DataError
from attnkit.models.layers.synced_norm import sync_norms
from attnkit.recipes.image_lines import progress_before_training, say_what_is_trained
from attnkit.recipes.initial_weights import begin_with
from attnkit.recipes.segmentation.class_weights import median_frequency_weights
from attnkit.recipes.segmentation.recipe import SegmentationRecipe
from attnkit.recipes.segmentation.task import SegmentationTask, build_task
from attnkit.run_dir import RunDir


def train(
    recipe: SegmentationRecipe, run: RunDir, data: Mapping[Split, SegmentationSet | None], *, resume: bool, device: str
) -> None:
    """Train the model of a recipe in a run folder, from the beginning or from its last checkpoint.

    Raises:
        AttnkitError: whatever the user can mend; the run folder then holds what was saved before.
    """
    place = find_device(device)
    log = open_log(run, recipe.train)
    # from outside, every file: what is wrong there shows before anything takes long
    report = check_segmentation(data, quick=True, progress=progress_before_training(log.say))
    report.raise_or_warn(log.warn)
    images = _training_images(data)
    task = _task(recipe, images, log, loads=not resume)
    sync_norms(task.model)
    train_batches = train_segmentation(
        images,
        recipe.image,
        recipe.augment,
        batch_size=recipe.batch.images,
        seed=recipe.train.seed,
        workers=recipe.batch.workers,
        warn=log.warn,
    )
    valid = data["valid"]
    valid_batches = (
        None
        if valid is None
        else eval_segmentation(valid, recipe.image, batch_size=recipe.batch.images, workers=recipe.batch.workers)
    )
    held_out = 0 if valid is None else len(valid)
    epoch = train_batches.batches_per_epoch // recipe.train.accumulate
    say_what_is_trained(log, task, images=len(images), held_out=held_out, epoch=epoch, device=place)
    schedule = build_schedule(recipe.train.schedule, steps=recipe.train.steps, embed_dim=recipe.model.channels)
    fit(Parts(task, train_batches, valid_batches, schedule), recipe.train, run, log, device=place, resume=resume)


def _training_images(data: Mapping[Split, SegmentationSet | None]) -> SegmentationSet:
    images = data["train"]
    if images is None:
        raise DataError("data.train: none; expected training images and masks; name their folders in the recipe")
    return images


def _task(recipe: SegmentationRecipe, data: SegmentationSet, log: RunLog, *, loads: bool) -> SegmentationTask:
    """The task with the weights that it begins with."""
    weights = None
    if recipe.loss.class_weights == "median_frequency":
        weights = median_frequency_weights(data) ** recipe.loss.class_weight_power
        shown = ", ".join(f"{name} {weight:.2f}" for name, weight in zip(data.class_names, weights, strict=True))
        log.say(f"loss: pixels weigh by class: {shown}")
    task = build_task(recipe, data, class_weights=weights)
    if recipe.init is not None:
        for line in begin_with(task.model, recipe.init, data.class_names, loads=loads):
            log.say(line)
    return task

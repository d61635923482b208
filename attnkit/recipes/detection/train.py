"""Train a detection recipe: images and objects, batches, detector and the loop, wired together."""

from __future__ import annotations

from collections.abc import Mapping

from attnkit.data.config import Split
from attnkit.data.detection.check_detection import check_detection
from attnkit.data.detection.detection_batches import eval_detection, train_detection
from attnkit.data.detection.detection_set import DetectionSet
from attnkit.engine.log import RunLog, open_log
from attnkit.engine.loop import Parts, fit
from attnkit.engine.precision import find_device
from attnkit.engine.schedule import build_schedule
from attnkit.errors import DataError
from attnkit.recipes.detection.check import limits_of
from attnkit.recipes.detection.recipe import DetectionRecipe
from attnkit.recipes.detection.scored_objects import by_image_id
from attnkit.recipes.detection.task import DetectionTask, build_task
from attnkit.recipes.image_lines import progress_before_training, say_what_is_trained
from attnkit.recipes.initial_weights import begin_with
from attnkit.run_dir import RunDir


def train(
    recipe: DetectionRecipe, run: RunDir, data: Mapping[Split, DetectionSet | None], *, resume: bool, device: str
) -> None:
    """Train the detector of a recipe in a run folder, from the beginning or from its last checkpoint.

    Raises:
        AttnkitError: whatever the user can mend; the run folder then holds what was saved before.
    """
    place = find_device(device)
    log = open_log(run, recipe.train)
    # from outside, every file: what is wrong there shows before anything takes long
    progress = progress_before_training(log.say)
    report = check_detection(recipe.data, data, quick=True, limits=limits_of(recipe), progress=progress)
    report.raise_or_warn(log.warn)
    images = _training_images(data)
    task = _task(recipe, images, log, loads=not resume)
    batch = recipe.batch
    train_batches = train_detection(
        images,
        recipe.image,
        recipe.augment,
        batch_size=batch.images,
        pixels=batch.pixels,
        seed=recipe.train.seed,
        semantic=recipe.semantic,
        workers=batch.workers,
        warn=log.warn,
    )
    valid = data["valid"]
    valid_batches = (
        None
        if valid is None
        else eval_detection(by_image_id(valid), recipe.image, batch_size=batch.images, workers=batch.workers)
    )
    held_out = 0 if valid is None else len(valid)
    epoch = train_batches.batches_per_epoch // recipe.train.accumulate
    say_what_is_trained(log, task, images=len(images), held_out=held_out, epoch=epoch, device=place)
    schedule = build_schedule(recipe.train.schedule, steps=recipe.train.steps, embed_dim=recipe.model.channels)
    fit(Parts(task, train_batches, valid_batches, schedule), recipe.train, run, log, device=place, resume=resume)


def _training_images(data: Mapping[Split, DetectionSet | None]) -> DetectionSet:
    images = data["train"]
    if images is None:
        raise DataError("data.train: none; expected training images and their objects; name them in the recipe")
    return images


def _task(recipe: DetectionRecipe, data: DetectionSet, log: RunLog, *, loads: bool) -> DetectionTask:
    """The task with the weights that it begins with."""
    task = build_task(recipe, data)
    if not data.has_masks:
        log.say("data: boxes without masks; the detector has no mask head")
    if recipe.init is not None:
        for line in begin_with(task.model, recipe.init, data.class_names, loads=loads):
            log.say(line)
    return task

"""Train a classification recipe: images, batches, model and the loop, wired together."""

from __future__ import annotations

from collections.abc import Mapping

from attnkit.data.classification.check_images import check_images
from attnkit.data.classification.image_batches import eval_images, train_images
from attnkit.data.classification.image_set import ImageSet
from attnkit.data.config import Split
from attnkit.engine.log import open_log
from attnkit.engine.loop import Parts, fit
from attnkit.engine.precision import find_device
from attnkit.engine.schedule import build_schedule
from attnkit.errors import DataError
from attnkit.recipes.classification.recipe import ClassificationRecipe
from attnkit.recipes.classification.task import build_task
from attnkit.recipes.classification.teacher import open_teacher
from attnkit.recipes.image_lines import progress_before_training, say_what_is_trained
from attnkit.recipes.initial_weights import begin_with
from attnkit.run_dir import RunDir


def train(
    recipe: ClassificationRecipe, run: RunDir, data: Mapping[Split, ImageSet | None], *, resume: bool, device: str
) -> None:
    """Train the model of a recipe in a run folder, from the beginning or from its last checkpoint.

    Raises:
        AttnkitError: whatever the user can mend; the run folder then holds what was saved before.
    """
    place = find_device(device)
    log = open_log(run, recipe.train)
    # from outside, every file: what is wrong there shows before anything takes long
    report = check_images(data, quick=True, progress=progress_before_training(log.say))
    report.raise_or_warn(log.warn)
    images = _training_images(data)
    task = build_task(recipe, images.class_names)
    if recipe.init is not None:
        for line in begin_with(task.model, recipe.init, images.class_names, loads=not resume):
            log.say(line)
    if recipe.loss.teacher is not None:
        task.teacher = open_teacher(
            recipe.loss.teacher, student=recipe.image, class_names=images.class_names, device=place
        )
        log.say(f"teacher: {recipe.loss.teacher.from_}")
    train_batches = train_images(
        images,
        recipe.image,
        recipe.augment,
        batch_size=recipe.batch.images,
        seed=recipe.train.seed,
        workers=recipe.batch.workers,
        num_classes=len(images.class_names),
        warn=log.warn,
    )
    valid = data["valid"]
    valid_batches = (
        None
        if valid is None
        else eval_images(valid, recipe.image, batch_size=recipe.batch.images, workers=recipe.batch.workers)
    )
    held_out = 0 if valid is None else len(valid)
    epoch = train_batches.batches_per_epoch // recipe.train.accumulate
    say_what_is_trained(log, task, images=len(images), held_out=held_out, epoch=epoch, device=place)
    width = getattr(recipe.model, "embed_dim", 512)
    schedule = build_schedule(recipe.train.schedule, steps=recipe.train.steps, embed_dim=width)
    fit(Parts(task, train_batches, valid_batches, schedule), recipe.train, run, log, device=place, resume=resume)


def _training_images(data: Mapping[Split, ImageSet | None]) -> ImageSet:
    images = data["train"]
    if images is None:
        raise DataError("data.train: none; expected training images; name their folder in the recipe")
    return images

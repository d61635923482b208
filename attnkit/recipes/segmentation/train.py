"""Train a segmentation recipe: its check, task and batches, wired together as for all images."""

from collections.abc import Mapping
from functools import partial

import numpy as np
import torch
from torch import Tensor

from attnkit.data.config import Split
from attnkit.data.images.batches import EpochBatches
from attnkit.data.segmentation.check_segmentation import check_segmentation
from attnkit.data.segmentation.segmentation_batches import SegmentationBatch, eval_segmentation, train_segmentation
from attnkit.data.segmentation.segmentation_set import SegmentationSet, pixels_per_class
from attnkit.engine.log import RunLog
from attnkit.errors import DataError
from attnkit.models.layers.synced_norm import sync_norms
from attnkit.recipes.segmentation.recipe import SegmentationRecipe
from attnkit.recipes.segmentation.task import SegmentationTask, build_task
from attnkit.recipes.training import ImageTraining, init_model, train_on_images
from attnkit.run_dir import RunDir


def train(
    recipe: SegmentationRecipe, run: RunDir, data: Mapping[Split, SegmentationSet | None], *, resume: bool, device: str
) -> None:
    """Train the model of a recipe; see `train_on_images`."""
    batch = recipe.batch
    parts = ImageTraining(
        check=lambda progress: check_segmentation(data, quick=True, progress=progress),
        expected="training images and masks; name their folders in the recipe",
        build_task=partial(_task, recipe, loads=not resume),
        train_batches=partial(_train_batches, recipe),
        valid_batches=lambda valid: eval_segmentation(
            valid, recipe.image, batch_size=batch.images, workers=batch.workers
        ),
        embed_dim=recipe.model.channels,
    )
    train_on_images(data, parts, recipe.train, run, resume=resume, device=device)


def _task(
    recipe: SegmentationRecipe, images: SegmentationSet, log: RunLog, device: torch.device, *, loads: bool
) -> SegmentationTask:
    """The task with the weights that it begins with."""
    weights = None
    if recipe.loss.class_weights == "median_frequency":
        weights = median_frequency_weights(images) ** recipe.loss.class_weight_power
        shown = ", ".join(f"{name} {weight:.2f}" for name, weight in zip(images.class_names, weights, strict=True))
        log.say(f"loss: pixels weigh by class: {shown}")
    task = build_task(recipe, images, class_weights=weights)
    init_model(task.model, recipe.init, images.class_names, log, loads=loads)
    sync_norms(task.model)
    return task


def median_frequency_weights(data: SegmentationSet) -> Tensor:
    """(K,) the median of the classes' frequencies over the frequency of each; 0 of a class that never occurs.

    The frequency of a class is its share of the pixels of the images that it occurs in, those of no class included.

    Source: Eigen and Fergus 2015, "Predicting depth, surface normals and semantic labels", section 6.3.2; on CamVid
    Badrinarayanan et al. 2015, "SegNet".
    """
    pixels = np.zeros(len(data.class_names))
    of_images = np.zeros(len(data.class_names))
    for index in range(len(data)):
        try:
            labels = data.read_labels(index)
        except DataError:  # named when its turn in training comes
            continue
        counts = pixels_per_class(labels, len(pixels))
        pixels += counts
        of_images += np.where(counts > 0, labels.size, 0)
    occurs = pixels > 0
    frequency = pixels[occurs] / of_images[occurs]
    weights = np.zeros(len(pixels), dtype=np.float32)
    weights[occurs] = np.median(frequency) / frequency
    return torch.from_numpy(weights)


def _train_batches(recipe: SegmentationRecipe, images: SegmentationSet, log: RunLog) -> EpochBatches[SegmentationBatch]:
    return train_segmentation(
        images,
        recipe.image,
        recipe.augment,
        batch_size=recipe.batch.images,
        seed=recipe.train.seed,
        workers=recipe.batch.workers,
        warn=log.warn,
    )

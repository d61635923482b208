"""A run of images handed to another program: its network as it was trained, with what one must know to use it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from attnkit.interop.export_weights import TrainedNetwork
from attnkit.interop.sizes import detected_parts
from attnkit.models.build import build_model
from attnkit.models.rcnn.rcnn import Rcnn
from attnkit.recipes.classification.recipe import ClassificationRecipe
from attnkit.recipes.detection.recipe import DetectionRecipe
from attnkit.recipes.segmentation.recipe import SegmentationRecipe
from attnkit.recipes.trained import read_trained


def trained_network(
    recipe: ClassificationRecipe | SegmentationRecipe | DetectionRecipe, weights: Path
) -> TrainedNetwork:
    """Load the network of a run, in float32 on the CPU.

    Args:
        recipe: that of the run.
        weights: which of its weights.

    Raises:
        CheckpointError: the weights are damaged, of another model, or do not name their classes.
    """
    trained = read_trained(weights, task=recipe.task, instead="its model.safetensors")
    names = trained.class_names
    if isinstance(recipe, DetectionRecipe):
        detector = Rcnn(recipe.model, num_classes=len(names), **asdict(detected_parts(trained.tensors)))
        trained.fit(detector)
        ids = tuple(trained.facts.get("category_ids") or ())
        return TrainedNetwork(detector.eval(), recipe.model, recipe.image, tuple(names), ids)
    size = recipe.image.size if isinstance(recipe, ClassificationRecipe) else recipe.image.crop[0]
    model = build_model(recipe.model, num_classes=len(names), image_size=size)
    trained.fit(model)
    return TrainedNetwork(model.eval(), recipe.model, recipe.image, tuple(names))

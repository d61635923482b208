"""The one table of tasks: what trains a recipe, checks its data, counts its cost, and uses or exports the result.

Each function imports what its task needs when it is called, so that importing this file is quick.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from attnkit.recipes.classification.architectures import ARCHITECTURES
from attnkit.recipes.classification.recipe import ClassificationRecipe
from attnkit.recipes.detection.architectures import DETECTION_ARCHITECTURES
from attnkit.recipes.detection.recipe import DetectionRecipe
from attnkit.recipes.segmentation.architectures import SEGMENTATION_ARCHITECTURES
from attnkit.recipes.segmentation.recipe import SegmentationRecipe
from attnkit.recipes.translation.recipe import TranslationRecipe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from attnkit.data.open import OpenedData
    from attnkit.interop.export_weights import TrainedNetwork
    from attnkit.models.macs import Convention
    from attnkit.recipes import Recipe
    from attnkit.recipes.base import CheckedData
    from attnkit.run_dir import RunDir

ARCHITECTURE_NAMES = (*ARCHITECTURES, *SEGMENTATION_ARCHITECTURES, *DETECTION_ARCHITECTURES)
"""The published networks that `summarize_architecture` knows."""


def fit(recipe: Recipe, run: RunDir, data: OpenedData[Any], *, resume: bool, device: str) -> None:
    """Train the model of a recipe in a run folder, from the beginning or from its last checkpoint.

    Args:
        recipe: that of the run.
        run: the run folder.
        data: the splits of the recipe's data.
        resume: whether to go on from the last checkpoint.
        device: auto, cpu, cuda...

    Raises:
        AttnkitError: whatever the user can fix; the run folder then holds what was saved before.
    """
    match recipe:
        case TranslationRecipe():
            from attnkit.recipes.translation.train import train as train_translation

            train_translation(recipe, run, data, resume=resume, device=device)
        case ClassificationRecipe():
            from attnkit.recipes.classification.train import train as train_classification

            train_classification(recipe, run, data, resume=resume, device=device)
        case SegmentationRecipe():
            from attnkit.recipes.segmentation.train import train as train_segmentation

            train_segmentation(recipe, run, data, resume=resume, device=device)
        case DetectionRecipe():
            from attnkit.recipes.detection.train import train as train_detection

            train_detection(recipe, run, data, resume=resume, device=device)


def check(recipe: Recipe, data: OpenedData[Any], *, deep: bool, say: Callable[[str], None]) -> CheckedData:
    """Find what in the data makes training fail or its scores misleading.

    Args:
        recipe: names the data.
        data: the splits of it.
        deep: whether to do what takes long, too: learn the tokenizer, decode every image.
        say: takes a line of progress.
    """
    match recipe:
        case TranslationRecipe():
            from attnkit.recipes.translation.check import check as check_translation

            return check_translation(recipe, data, tokens=deep, say=say)
        case ClassificationRecipe():
            from attnkit.recipes.classification.check import check as check_classification

            return check_classification(recipe, data, decode=deep, say=say)
        case SegmentationRecipe():
            from attnkit.recipes.segmentation.check import check as check_segmentation

            return check_segmentation(recipe, data, decode=deep, say=say)
        case DetectionRecipe():
            from attnkit.recipes.detection.check import check as check_detection

            return check_detection(recipe, data, decode=deep, say=say)


def summarize(
    recipe: Recipe, *, num_classes: int | None = None, convention: Convention = "paper", speed: bool | None = None
) -> dict[str, Any]:
    """Count what the model of a recipe costs: nested facts, in the order in which they are printed.

    Args:
        recipe: says which model.
        num_classes: K, of images; None takes that of the data.
        convention: how multiplications are counted, for images.
        speed: whether to measure images per second; None does where that is quick.
    """
    match recipe:
        case TranslationRecipe():
            from attnkit.recipes.translation.summary import summarize as summarize_translation

            return summarize_translation(recipe)
        case ClassificationRecipe():
            from attnkit.recipes.classification.summary import recipe_network as classifier_of

            network = classifier_of(recipe, num_classes)
        case SegmentationRecipe():
            from attnkit.recipes.segmentation.summary import recipe_network as segmenter_of

            network = segmenter_of(recipe, num_classes)
        case DetectionRecipe():
            from attnkit.recipes.detection.summary import recipe_network as detector_of

            network = detector_of(recipe, num_classes)
    from attnkit.recipes.network_costs import network_summary

    return {"recipe": recipe.name} | network_summary(network, convention=convention, speed=speed)


def summarize_architecture(
    name: str, *, image_size: int | None = None, convention: Convention = "paper", speed: bool | None = None
) -> dict[str, Any]:
    """The same for a published network.

    Args:
        name: one of ARCHITECTURE_NAMES.
        image_size: height and width of its images in pixels; None takes the published one.
        convention: how multiplications are counted.
        speed: whether to measure images per second; None does where that is quick.
    """
    from attnkit.recipes.network_costs import network_summary

    if name in ARCHITECTURES:
        from attnkit.recipes.classification.summary import published_network as classifier_of

        network = classifier_of(name, image_size)
    elif name in SEGMENTATION_ARCHITECTURES:
        from attnkit.recipes.segmentation.summary import published_network as segmenter_of

        network = segmenter_of(name, image_size)
    else:
        from attnkit.recipes.detection.summary import published_network as detector_of

        network = detector_of(name, image_size)
    return {"architecture": name} | network_summary(network, convention=convention, speed=speed)


def trained_network(
    recipe: ClassificationRecipe | SegmentationRecipe | DetectionRecipe, weights: Path
) -> TrainedNetwork:
    """Load the network of a run, in float32 on the CPU, with what another program must know to use it.

    Args:
        recipe: that of the run.
        weights: which of its weights.

    Raises:
        CheckpointError: the weights are damaged, of another model, or do not name their classes.
    """
    from attnkit.interop.export_weights import TrainedNetwork
    from attnkit.interop.sizes import detected_parts
    from attnkit.models.build import build_model
    from attnkit.models.rcnn.rcnn import Rcnn
    from attnkit.recipes.trained import read_trained

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


def how_to_use(recipe: Recipe, run: Path) -> str:
    """The command that puts the trained model of a run to work."""
    match recipe:
        case TranslationRecipe():
            return f"attnkit translate --run {run} < input.txt"
        case ClassificationRecipe():
            return f"attnkit classify --run {run} photo.jpg"
        case SegmentationRecipe():
            return f"attnkit segment --run {run} photo.jpg --save masks"
        case DetectionRecipe():
            return f"attnkit detect --run {run} photo.jpg --save found"

"""The task of detection: a detector with its losses, its predictions and its score."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch

from attnkit.data.detection.detection_batches import DetectionBatch
from attnkit.data.detection.detection_set import DetectionSet
from attnkit.engine.task import Loss, Task
from attnkit.errors import DataError
from attnkit.models.rcnn.rcnn import Rcnn
from attnkit.recipes.detection.average_precision import AveragePrecision
from attnkit.recipes.detection.recipe import DetectionInferenceConfig, DetectionRecipe
from attnkit.structures.detections import Detections

_MOST_CLASSES = 254
"""A map of bytes has room for so many classes, the background, and pixels that are ignored."""


class DetectionTask(Task):
    """Find the objects of an image, their classes and their masks; score by average precision."""

    model: Rcnn

    def __init__(
        self,
        model: Rcnn,
        inference: DetectionInferenceConfig,
        *,
        class_names: Sequence[str],
        category_ids: Sequence[int],
        masks: bool,
        semantic_classes: int | None = None,
    ) -> None:
        """Put a detector to work.

        Args:
            model: for the K classes.
            inference: which of its detections count.
            class_names: of the K classes.
            category_ids: what files of results call them.
            masks: whether it predicts masks.
            semantic_classes: of its semantic branch; None is without.
        """
        super().__init__()
        self.model = model
        self.inference = inference
        self.score = "mask_ap" if masks else "box_ap"
        self.facts = {
            "classes": list(class_names),
            "category_ids": list(category_ids),
            "masks": masks,
            "semantic_classes": semantic_classes,
        }

    def forward(self, batch: DetectionBatch) -> Loss:
        """Every term of every stage, by its name."""
        return Loss(self.model.losses(batch.images, batch.sizes, batch.objects, batch.semantic), len(batch))

    def evaluate(self, batch: DetectionBatch, precision: AbstractContextManager[Any]) -> tuple[Loss, list[Detections]]:
        """The detections, in the precision of training; without losses, which sample at random."""
        with precision:
            return Loss({}, len(batch)), self.predict(batch)

    @torch.no_grad()
    def predict(self, batch: DetectionBatch) -> list[Detections]:
        """The detections of each image, in the pixels of its file."""
        config = self.inference
        found = self.model.detect(
            batch.images,
            batch.sizes,
            score_threshold=config.score_threshold,
            nms_threshold=config.nms_threshold,
            soft_nms=config.soft_nms,
            max_detections=config.max_detections,
        )
        return [
            detections.scaled((original[1] / size[1], original[0] / size[0]))
            for detections, size, original in zip(found, batch.sizes, batch.originals, strict=True)
        ]

    def new_metric(self) -> AveragePrecision:
        """Average precision of boxes and, where there are any, of masks."""
        return AveragePrecision(
            len(self.facts["classes"]),
            masks=self.facts["masks"],
            max_detections=self.inference.max_detections,
            mask_threshold=self.inference.mask_threshold,
        )


def build_task(recipe: DetectionRecipe, data: DetectionSet) -> DetectionTask:
    """A detector with fresh weights, which depend on the seed alone, in its task."""
    torch.manual_seed(recipe.train.seed)
    semantic_classes = semantic_classes_of(recipe, len(data.class_names), masks=data.has_masks)
    model = Rcnn(
        recipe.model, num_classes=len(data.class_names), masks=data.has_masks, semantic_classes=semantic_classes
    )
    return DetectionTask(
        model,
        recipe.inference,
        class_names=data.class_names,
        category_ids=data.category_ids,
        masks=data.has_masks,
        semantic_classes=semantic_classes,
    )


def semantic_classes_of(recipe: DetectionRecipe, num_classes: int, *, masks: bool) -> int | None:
    """How many classes the semantic branch tells apart, if there is one; of instances: theirs and the background.

    Args:
        recipe: of the detector.
        num_classes: K of the data.
        masks: whether its objects have any.

    Raises:
        DataError: the branch is to learn instances, and there are no masks, or more classes than a map can hold.
    """
    if recipe.semantic == "none":
        return None
    if recipe.semantic == "maps":
        assert recipe.data.format == "coco", "the recipe's validator checks it"
        return recipe.data.semantic_classes
    what = "no masks; expected masks" if not masks else f"{num_classes} classes; expected at most {_MOST_CLASSES}"
    if not masks or num_classes > _MOST_CLASSES:
        raise DataError(f"model.semantic: instances, but the data has {what}; take none, or maps")
    return num_classes + 1

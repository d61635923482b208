"""A detector put to the task: its losses, its findings, its score."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from attnkit.data.detection.detection_batches import DetectionBatch
from attnkit.data.detection.detection_set import DetectionSet
from attnkit.engine.task import Loss, Task
from attnkit.models.rcnn.rcnn import Rcnn
from attnkit.recipes.detection.average_precision import AveragePrecision
from attnkit.recipes.detection.recipe import DetectionInferenceConfig, DetectionRecipe
from attnkit.recipes.detection.semantic_maps import maps_of_instances
from attnkit.structures.detections import Detections


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
            inference: which of its findings count.
            class_names: of the K classes.
            category_ids: what files of results call them.
            masks: whether it draws masks.
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
        semantic = self._semantic(batch) if self.facts["semantic_classes"] else None
        return Loss(self.model.losses(batch.images, batch.sizes, batch.objects, semantic), len(batch))

    def _semantic(self, batch: DetectionBatch) -> Tensor:
        """(B, H, W) what the semantic branch learns."""
        if batch.semantic is not None:
            return batch.semantic
        height, width = batch.images.shape[2:]
        background = len(self.facts["classes"])
        maps = maps_of_instances(batch.objects, batch.sizes, padded=(height, width), background=background)
        return maps.to(batch.images.device)

    def evaluate(self, batch: DetectionBatch, precision: AbstractContextManager[Any]) -> tuple[Loss, list[Detections]]:
        """What is found, in the precision of training. The losses draw at random what they look at: none is given."""
        with precision:
            return Loss({}, len(batch)), self.predict(batch)

    @torch.no_grad()
    def predict(self, batch: DetectionBatch) -> list[Detections]:
        """What is found on each image, in the pixels of its file."""
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
            one.scaled((original[1] / size[1], original[0] / size[0]))
            for one, size, original in zip(found, batch.sizes, batch.originals, strict=True)
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
    semantic_classes = semantic_classes_of(recipe, data)
    model = recipe.model.build(
        num_classes=len(data.class_names), masks=data.has_masks, semantic_classes=semantic_classes
    )
    return DetectionTask(
        model,
        recipe.inference,
        class_names=data.class_names,
        category_ids=data.category_ids,
        masks=data.has_masks,
        semantic_classes=semantic_classes,
    )


def semantic_classes_of(recipe: DetectionRecipe, data: DetectionSet) -> int | None:
    """How many classes the semantic branch tells apart; of instances: theirs and the background."""
    if recipe.model.name != "htc" or recipe.model.semantic == "none":
        return None
    return data.semantic_classes if recipe.model.semantic == "maps" else len(data.class_names) + 1

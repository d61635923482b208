"""The task of segmentation: a network with its loss, its predictions and its score."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn import functional as F

from attnkit.data.segmentation.segmentation_batches import SegmentationBatch
from attnkit.data.segmentation.segmentation_set import SegmentationSet
from attnkit.engine.task import Loss, Task
from attnkit.metrics.mean_iou import SegmentationCounts, iou_scores
from attnkit.models.build import build_model
from attnkit.models.layers.conv_norm import resize
from attnkit.models.upernet import UperNet
from attnkit.recipes.segmentation.recipe import SegmentationRecipe
from attnkit.structures.arrays import IGNORE


class SegmentationTask(Task):
    """Predict the class of every pixel; score by mean IoU."""

    model: UperNet
    score = "miou"
    class_weights: Tensor | None

    def __init__(
        self,
        recipe: SegmentationRecipe,
        model: UperNet,
        class_names: Sequence[str],
        colours: ArrayLike,
        *,
        class_weights: Tensor | None = None,
    ) -> None:
        """Put a model to work.

        Args:
            recipe: says what the auxiliary head weighs.
            model: from images (B, 3, H, W) to logits (B, K, H, W).
            class_names: of the K classes.
            colours: (K, 3) of the classes in pictures.
            class_weights: (K,) what a pixel of each class weighs in the loss; by default all weigh 1.
        """
        super().__init__()
        self.model = model
        self.auxiliary_weight = recipe.loss.auxiliary_weight
        self.register_buffer("class_weights", class_weights, persistent=False)
        self.facts = {"classes": list(class_names), "colours": torch.as_tensor(colours).tolist()}

    def forward(self, batch: SegmentationBatch) -> Loss:
        """Cross entropy of both heads, each a mean over the labelled pixels alone."""
        main, auxiliary = self.model.forward_heads(batch.images)
        count = labelled_pixels(batch.labels)
        terms = {"cross_entropy": self._cross_entropy(main, batch.labels, count)}
        if auxiliary is not None:
            terms["auxiliary"] = self.auxiliary_weight * self._cross_entropy(auxiliary, batch.labels, count)
        return Loss(terms, count)

    def _cross_entropy(self, logits: Tensor, labels: Tensor, count: int) -> Tensor:
        enlarged = resize(logits.float(), labels.shape[1:])
        total = F.cross_entropy(
            enlarged, labels, weight=self.class_weights, ignore_index=IGNORE, reduction="sum"
        )  # not its own mean: that divides by the weights
        return total / count

    def evaluate(self, batch: SegmentationBatch, precision: AbstractContextManager[Any]) -> tuple[Loss, Tensor]:
        """Plain cross entropy of the main head, and the classes, of one forward pass in the precision of training."""
        with precision:
            logits = self.model(batch.images)
        logits = resize(logits.float(), batch.labels.shape[1:])
        count = labelled_pixels(batch.labels)
        nll = F.cross_entropy(logits, batch.labels, ignore_index=IGNORE, reduction="sum") / count
        return Loss({"cross_entropy": nll}, count), logits.argmax(dim=1)

    @torch.no_grad()
    def predict(self, batch: SegmentationBatch) -> Tensor:
        """(B, H', W') the class of each pixel, at the size of the labels."""
        return resize(self.model(batch.images).float(), batch.labels.shape[1:]).argmax(dim=1)

    def new_metric(self) -> "MeanIou":
        """Mean IoU, and the accuracies."""
        return MeanIou(len(self.facts["classes"]))


class MeanIou:
    """Mean IoU, mean accuracy, pixel accuracy and frequency-weighted IoU, in percent, of sums over all images."""

    def __init__(self, num_classes: int) -> None:
        self._counts = SegmentationCounts(num_classes, ignore=IGNORE)

    def update(self, batch: SegmentationBatch, predictions: Tensor) -> None:
        """Take the classes (B, H', W') of a batch."""
        labels, found = batch.labels.cpu().byte().numpy(), predictions.cpu().byte().numpy()
        for of_image, prediction in zip(labels, found, strict=True):
            self._counts.add(of_image, prediction)

    def compute(self) -> dict[str, float]:
        """The scores by name: miou, macc, aacc, fwiou."""
        return {name: score.value for name, score in iou_scores(self._counts, resamples=0).means.items()}


def labelled_pixels(labels: Tensor) -> int:
    """How many pixels have a class; at least 1, so that a batch without any is no division by zero."""
    return max(1, int((labels != IGNORE).sum()))


def build_task(
    recipe: SegmentationRecipe, data: SegmentationSet, *, class_weights: Tensor | None = None
) -> SegmentationTask:
    """A model with fresh weights, which depend on the seed alone, in its task."""
    torch.manual_seed(recipe.train.seed)
    model = build_model(recipe.model, num_classes=len(data.class_names), image_size=recipe.image.crop[0])
    return SegmentationTask(recipe, model, data.class_names, data.colours, class_weights=class_weights)

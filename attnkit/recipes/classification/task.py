"""The task of classification: a network with its loss, its predictions and its score."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attnkit.data.classification.image_batches import ImageBatch
from attnkit.engine.task import Loss, Task
from attnkit.metrics.accuracy import top_classes, top_k
from attnkit.models.build import build_model
from attnkit.models.vit import VisionTransformer
from attnkit.recipes.classification.recipe import ClassificationRecipe
from attnkit.recipes.classification.teacher import Teacher


class ClassificationTask(Task):
    """Predict the class of an image; score by top-1 accuracy."""

    model: nn.Module
    score = "top1"

    def __init__(
        self,
        recipe: ClassificationRecipe,
        model: nn.Module,
        class_names: Sequence[str],
        *,
        teacher: Teacher | None = None,
    ) -> None:
        """Put a model to work.

        Args:
            recipe: says how the labels are smoothed.
            model: from images (B, 3, H, W) to logits (B, K).
            class_names: of the K classes.
            teacher: whose answers are learned too.
        """
        super().__init__()
        self.model = model
        self.label_smoothing = recipe.loss.label_smoothing
        self.teacher = teacher
        self.facts = {"classes": list(class_names)}

    def forward(self, batch: ImageBatch) -> Loss:
        """Smoothed cross entropy, and with a teacher the distance from it, by their shares.

        DeiT's second head learns from the teacher; without one, from the labels as the first head does.
        """
        if isinstance(self.model, VisionTransformer):
            logits, distilled = self.model.forward_heads(batch.images)
        else:
            logits, distilled = self.model(batch.images), None
        of_labels = self._cross_entropy(logits, batch)
        if self.teacher is not None:
            share = self.teacher.config.weight
            of_teacher = self.teacher.loss(logits if distilled is None else distilled, batch.images)
            terms = {"cross_entropy": (1 - share) * of_labels, "distillation": share * of_teacher}
        elif distilled is not None:
            terms = {"cross_entropy": (of_labels + self._cross_entropy(distilled, batch)) / 2}
        else:
            terms = {"cross_entropy": of_labels}
        return Loss(terms, len(batch))

    def _cross_entropy(self, logits: Tensor, batch: ImageBatch) -> Tensor:
        targets = batch.labels if batch.targets is None else batch.targets
        return F.cross_entropy(logits.float(), targets, label_smoothing=self.label_smoothing)

    def evaluate(self, batch: ImageBatch, precision: AbstractContextManager[Any]) -> tuple[Loss, Tensor]:
        """Plain cross entropy, and the probabilities, of one forward pass in the precision of training."""
        with precision:
            logits = self.model(batch.images).float()
        nll = F.cross_entropy(logits, batch.labels)
        return Loss({"cross_entropy": nll}, len(batch)), logits.softmax(dim=1)

    @torch.no_grad()
    def predict(self, batch: ImageBatch) -> Tensor:
        """(B, K) the probability of each class."""
        probs: Tensor = self.model(batch.images).float().softmax(dim=1)
        return probs

    def new_metric(self) -> "TopAccuracy":
        """Top-1 and, of more than five classes, top-5."""
        return TopAccuracy(len(self.facts["classes"]))


class TopAccuracy:
    """The share of images whose class is among the most probable ones, in percent."""

    def __init__(self, num_classes: int) -> None:
        self._tops = [k for k in (1, 5) if k == 1 or k < num_classes]
        self._right = dict.fromkeys(self._tops, 0)
        self._images = 0

    def update(self, batch: ImageBatch, predictions: Tensor) -> None:
        """Take the probabilities (B, K) of a batch."""
        top = top_classes(predictions.cpu().numpy(), max(self._tops))
        labels = batch.labels.cpu().numpy()
        for k in self._tops:
            self._right[k] += top_k(top, labels, k).right or 0
        self._images += len(batch)

    def compute(self) -> dict[str, float]:
        """The accuracies by name: top1, top5."""
        return {f"top{k}": 100.0 * right / max(1, self._images) for k, right in self._right.items()}


def build_task(recipe: ClassificationRecipe, class_names: Sequence[str]) -> ClassificationTask:
    """A model with fresh weights, which depend on the seed alone, in its task."""
    torch.manual_seed(recipe.train.seed)
    model = build_model(recipe.model, num_classes=len(class_names), image_size=recipe.image.size)
    return ClassificationTask(recipe, model, class_names)

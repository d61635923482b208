"""A trained run put to work: images in, classes and their probabilities out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from attnkit.data.classification.image_batches import EvalImages
from attnkit.data.classification.image_set import ImageSet, open_images
from attnkit.data.classification.image_transforms import eval_transform
from attnkit.data.config import ImageConfig, Split
from attnkit.data.images.decode import decode_image
from attnkit.engine.checkpoint import fit_weights, load_tensors
from attnkit.engine.memory import keep_pages
from attnkit.engine.precision import Precision, find_device, has_fast_bfloat16
from attnkit.errors import CheckpointError, DataError
from attnkit.metrics.accuracy import top_classes
from attnkit.models.inference import prepare_for_inference
from attnkit.recipes.classification.recipe import ClassificationRecipe
from attnkit.run_dir import RunDir


@dataclass(frozen=True)
class Guess:
    """One class that an image may be of."""

    index: int
    name: str
    probability: float


class Classifier:
    """A network with the names of its classes, and the way that an image takes into it."""

    def __init__(
        self,
        image: ImageConfig,
        model: nn.Module,
        class_names: Sequence[str],
        *,
        device: torch.device,
        precision: Precision = "auto",
    ) -> None:
        """Put a model to work; its weights must stay as they are from here on.

        Args:
            image: how an image becomes an input.
            model: from images (B, 3, H, W) to logits (B, K).
            class_names: of the K classes.
            device: where to compute.
            precision: of the products; auto is bfloat16 where the device multiplies it in hardware.
        """
        self.class_names = tuple(class_names)
        self.device = device
        self.precision: Precision = _decided(precision, device)
        self.transform = eval_transform(image)
        self.model = prepare_for_inference(model.to(device), precision=self.precision)

    def load(self, path: Path) -> Tensor:
        """(3, S, S) the input that an image file makes.

        Raises:
            DataError: the file is no image, or broken.
        """
        return self.transform(decode_image(path, str(path)))

    @torch.inference_mode()
    def probs(self, images: Tensor) -> Tensor:
        """(B, K) the probability of each class, float32.

        Args:
            images: (B, 3, S, S) as `transform` makes them, on any device.

        Raises:
            CheckpointError: the weights give numbers that are none.
        """
        probs: Tensor = self.model(images.to(self.device)).float().softmax(dim=1)
        if not bool(probs.isfinite().all()):
            raise CheckpointError(
                "the model's probabilities are not finite numbers; expected weights of a training that went well; "
                "use another checkpoint with --checkpoint, or --precision float32"
            )
        return probs

    def classify(self, images: Sequence[Tensor], *, top: int) -> list[list[Guess]]:
        """The most probable classes of each image, best first.

        Args:
            images: (3, S, S) each.
            top: how many classes; at most all that there are.
        """
        if not images:
            return []
        probs = self.probs(torch.stack(list(images))).cpu().numpy()
        return [
            [Guess(int(k), self.class_names[k], float(row[k])) for k in best]
            for row, best in zip(probs, top_classes(probs, top), strict=True)
        ]


def _decided(precision: Precision, device: torch.device) -> Precision:
    if precision != "auto":
        return precision
    return "bfloat16" if has_fast_bfloat16(device) else "float32"


def load_classifier(
    recipe: ClassificationRecipe,
    run: RunDir,
    *,
    device: str = "auto",
    precision: Precision = "auto",
    weights: Path | None = None,
) -> Classifier:
    """Load what a run has learned.

    Args:
        recipe: that of the run.
        run: the run folder.
        device: auto, cpu, cuda...
        precision: see Classifier.
        weights: which; by default the run's result.

    Raises:
        CheckpointError: nothing was saved yet, it is damaged, or it does not name its classes.
    """
    place = find_device(device)
    keep_pages()
    path = weights or run.weights()
    tensors, facts = load_tensors(path)
    names = facts.get("classes")
    if not names or not all(isinstance(name, str) for name in names):
        raise CheckpointError(
            f"{path}: does not name its classes; expected weights of a classification run; use {run.model}"
        )
    model = recipe.model.build(num_classes=len(names), image_size=recipe.image.size)
    fit_weights(path, tensors, model)
    return Classifier(recipe.image, model, names, device=place, precision=precision)


@dataclass(frozen=True)
class SplitPredictions:
    """A split of a run's data and what the run makes of it.

    Attributes:
        inputs: the files, or places in an archive.
        labels: (N,) true classes.
        top: (N, k) predicted classes, best first.
        probs: (N, k) their probabilities.
        class_names: of the K classes.
        precision: in which the products were done.
    """

    inputs: list[str]
    labels: NDArray[np.int64]
    top: NDArray[np.int64]
    probs: NDArray[np.float32]
    class_names: tuple[str, ...]
    precision: Precision


def classify_split(
    recipe: ClassificationRecipe,
    run: RunDir,
    split: Split,
    *,
    top: int,
    device: str = "auto",
    precision: Precision = "auto",
    checkpoint: Path | None = None,
    batch_size: int | None = None,
) -> SplitPredictions:
    """Classify the validation or test set that a run's recipe names.

    Args:
        recipe: that of the run.
        run: the run folder.
        split: which set.
        top: how many classes per image are kept; at most all that there are.
        device: auto, cpu, cuda...
        precision: see Classifier.
        checkpoint: which weights; by default the run's result.
        batch_size: images at a time; by default the recipe's.

    Raises:
        DataError: the recipe has no such split, or one of its images cannot be read, or has a class that is unknown.
    """
    images = open_images(recipe.data, split)
    if images is None or not len(images):
        raise DataError(
            f"{run.recipe}: data: no {split} images; expected a {split} set; name one in the recipe, or use --split"
        )
    classifier = load_classifier(recipe, run, device=device, precision=precision, weights=checkpoint)
    known = _known_classes(images, classifier.class_names, place=f"{run.recipe}: data.{split}")
    top = min(top, len(classifier.class_names))
    best = np.zeros((len(images), top), dtype=np.int64)
    probs = np.zeros((len(images), top), dtype=np.float32)
    batches = EvalImages(
        images, recipe.image, batch_size=batch_size or recipe.batch.images, workers=recipe.batch.workers
    )
    for batch in batches:
        of_batch = classifier.probs(batch.images).cpu().numpy()  # (B, K)
        rows = batch.indices
        best[rows] = top_classes(of_batch, top)
        probs[rows] = np.take_along_axis(of_batch, best[rows], axis=1)
    inputs = [images.place(i) for i in range(len(images))]
    return SplitPredictions(inputs, known[images.labels], best, probs, classifier.class_names, classifier.precision)


def _known_classes(images: ImageSet, class_names: Sequence[str], *, place: str) -> NDArray[np.int64]:
    """The model's number of each class of the data: the same, unless folders came or went since the training."""
    number = {name: i for i, name in enumerate(class_names)}
    unknown = [name for name in images.class_names if name not in number]
    if unknown:
        raise DataError(
            f"{place}: {len(unknown)} classes that the model does not know, such as '{unknown[0]}'; "
            f"expected some of its {len(class_names)} ('{class_names[0]}', ...); give it the data that it learned from"
        )
    return np.array([number[name] for name in images.class_names], dtype=np.int64)

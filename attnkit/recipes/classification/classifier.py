"""A trained run at work: images in, classes and their probabilities out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from attnkit.data.classification.config import ImageConfig
from attnkit.data.classification.image_batches import eval_images
from attnkit.data.classification.image_set import ImageSet
from attnkit.data.classification.image_transforms import EvalTransform
from attnkit.data.config import Split
from attnkit.data.images.decode import decode_image
from attnkit.engine.precision import Precision, decide_precision
from attnkit.metrics.accuracy import top_classes
from attnkit.models.build import build_model
from attnkit.models.kernels.inference import prepare_for_inference
from attnkit.recipes.classification.recipe import ClassificationRecipe
from attnkit.recipes.trained import check_finite, known_classes, open_trained, scored_images
from attnkit.run_dir import RunDir
from attnkit.structures.arrays import IntArray


@dataclass(frozen=True)
class Guess:
    """One class that an image may be of."""

    index: int
    name: str
    probability: float


class Classifier:
    """A network with the names of its classes, which classifies images."""

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
        self.precision: Precision = decide_precision(precision, device)
        self.image = image
        self.transform = EvalTransform(image)
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
            CheckpointError: the weights give values that are not finite.
        """
        probs: Tensor = self.model(images.to(self.device)).float().softmax(dim=1)
        check_finite(probs, "probabilities")
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


def load_classifier(
    recipe: ClassificationRecipe,
    run: RunDir,
    *,
    device: str = "auto",
    precision: Precision = "auto",
    weights: Path | None = None,
) -> Classifier:
    """Load what a run has learned; see `open_trained` and `Classifier` for the arguments.

    Raises:
        CheckpointError: nothing was saved yet, it is damaged, or it does not name its classes.
    """
    trained, chosen = open_trained(run, weights, task=recipe.task, device=device)
    names = trained.class_names
    model = build_model(recipe.model, num_classes=len(names), image_size=recipe.image.size)
    trained.fit(model)
    return Classifier(recipe.image, model, names, device=chosen, precision=precision)


@dataclass(frozen=True)
class SplitPredictions:
    """A split of a run's data, and the classes that the run predicts.

    Attributes:
        inputs: the files, or places in an archive.
        labels: (N,) true classes.
        top: (N, k) predicted classes, best first.
        probs: (N, k) their probabilities.
    """

    inputs: list[str]
    labels: IntArray
    top: IntArray
    probs: NDArray[np.float32]


def classify_split(
    classifier: Classifier,
    data: Mapping[Split, ImageSet | None],
    run: RunDir,
    split: Split,
    *,
    top: int,
    batch_size: int,
    workers: int | Literal["auto"] = "auto",
) -> SplitPredictions:
    """Classify the validation or test set of a run.

    Args:
        classifier: of the run.
        data: the splits of the run's data.
        run: the run folder.
        split: which set.
        top: how many classes per image are kept; at most all that there are.
        batch_size: images at a time.
        workers: processes that decode.

    Raises:
        DataError: the recipe has no such split, or one of its images cannot be read, or has a class that is unknown.
    """
    images = scored_images(data[split], run, split)
    known = known_classes(images.class_names, classifier.class_names, run, split)
    top = min(top, len(classifier.class_names))
    best = np.zeros((len(images), top), dtype=np.int64)
    probs = np.zeros((len(images), top), dtype=np.float32)
    for batch in eval_images(images, classifier.image, batch_size=batch_size, workers=workers):
        of_batch = classifier.probs(batch.images).cpu().numpy()  # (B, K)
        rows = batch.indices
        best[rows] = top_classes(of_batch, top)
        probs[rows] = np.take_along_axis(of_batch, best[rows], axis=1)
    inputs = [images.place(i) for i in range(len(images))]
    return SplitPredictions(inputs, known[images.labels], best, probs)

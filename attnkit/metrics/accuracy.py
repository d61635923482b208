"""How often a classifier is right: top-k accuracy, per-class scores, calibration, ImageNet-ReaL. numpy in, percent out.

Letters: N images, K classes, k classes that an image's prediction names, most probable first.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnkit.structures.arrays import BoolArray, IntArray

CLASSIFICATION_METRICS = ("top1", "top5", "ece", "real")
"""top5 stands for any topK."""

BINS = 15
"""Of the calibration error, as in Guo et al. 2017."""
NO_CLASS = -1
"""Fills up predictions that name fewer classes than others."""
_Z95 = 1.959963984540054
"""The 97.5 % quantile of the normal distribution."""


@dataclass(frozen=True)
class Score:
    """A score in percent. `low` and `high` bound the 95 % interval: of a share of images Wilson's; none of other scores
    here, and the bootstrap's of those of segmentation.
    """

    name: str
    value: float
    low: float | None
    high: float | None
    images: int
    right: int | None = None
    """How many of the images, where the score is a share of them."""

    def as_dict(self) -> dict[str, Any]:
        """The score as plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class ClassScore:
    """The scores of one class, in percent; none where nothing is there to divide by."""

    index: int
    support: int
    """Images of the class."""
    predicted: int
    """Images that were taken for it."""
    precision: float | None
    recall: float | None
    f1: float | None


def wilson_interval(right: int, images: int) -> tuple[float, float]:
    """The 95 % interval of a share, in percent. It holds its promise near 0 and 100 and for few images, too.

    Raises:
        ValueError: no images, or more right ones than images.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference", without continuity
    correction.
    """
    if not 0 <= right <= images or images == 0:
        raise ValueError(f"{right} right of {images} images; expected one image at least, and no more right ones")
    share, z2 = right / images, _Z95**2
    centre = share + z2 / (2 * images)
    half = _Z95 * math.sqrt(share * (1 - share) / images + z2 / (4 * images**2))
    low, high = (centre - half) / (1 + z2 / images), (centre + half) / (1 + z2 / images)
    return 100.0 * max(0.0, low), 100.0 * min(1.0, high)


def share(name: str, right: BoolArray) -> Score:
    """The score of images (N,) of which some are right.

    Raises:
        ValueError: there are no images.
    """
    count = int(right.sum())
    return Score(name, _percent(count, len(right)), *wilson_interval(count, len(right)), len(right), count)


def top_classes(probs: NDArray[Any], k: int) -> IntArray:
    """(N, k) the most probable classes of probabilities (N, K), best first; of equal ones the lower number first."""
    return np.argsort(-probs, axis=1, kind="stable")[:, :k].astype(np.int64)


def top_k(top: NDArray[Any], labels: NDArray[Any], k: int) -> Score:
    """The share of images whose class is among the first k that were predicted.

    Args:
        top: (N, at least k) classes, best first.
        labels: (N,) the true classes.
        k: how many of them count.

    Raises:
        ValueError: there are fewer than k predictions of each image, or no images.
    """
    if not 1 <= k <= top.shape[1]:
        raise ValueError(f"top{k} of {top.shape[1]} predictions of an image; expected k from 1 to that")
    return share(f"top{k}", (top[:, :k] == labels[:, None]).any(axis=1))


def real_accuracy(predicted: NDArray[Any], labels: Sequence[Collection[int]]) -> Score:
    """ImageNet-ReaL: the share of images whose most probable class is one of those that are really in the picture.

    Args:
        predicted: (N,) the most probable classes.
        labels: for each image its classes; images without any are left out.

    Raises:
        ValueError: every image is left out.

    Source: Beyer et al. 2020, "Are we done with ImageNet?", arXiv:2006.07159.
    """
    kept = [int(one) in classes for one, classes in zip(predicted, labels, strict=True) if len(classes)]
    return share("real", np.array(kept, dtype=np.bool_))


def calibration_error(confidence: NDArray[Any], right: BoolArray, *, bins: int = BINS) -> Score:
    """The expected calibration error: how far the model's confidence lies from how often it is right, on average.

    The confidences are sorted into bins of equal width, ((m - 1) / bins, m / bins]; the difference between mean
    confidence and accuracy of each bin counts as much as it has images.

    Args:
        confidence: (N,) the probability of the predicted class, 0 to 1.
        right: (N,) whether the prediction is true.
        bins: how many.

    Raises:
        ValueError: there are no images, or a confidence is no probability.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", arXiv:1706.04599, equation 3.
    """
    values = confidence.astype(np.float64)
    if not len(values) or not ((values >= 0) & (values <= 1.0 + 1e-6)).all():
        raise ValueError("confidence: none, or not all of them from 0 to 1; expected probabilities")
    bin_of = np.digitize(values, np.linspace(0.0, 1.0, bins + 1)[1:-1], right=True)
    gaps = np.bincount(bin_of, weights=values - right, minlength=bins)  # images times the difference of the means
    return Score("ece", 100.0 * float(np.abs(gaps).sum()) / len(values), None, None, len(values))


def confusion_matrix(labels: NDArray[Any], predicted: NDArray[Any], *, num_classes: int) -> IntArray:
    """(K, K) how many images of each true class, a row, were taken for each class, a column."""
    flat = np.bincount(labels * num_classes + predicted, minlength=num_classes**2)
    return flat.reshape(num_classes, num_classes)


def class_scores(labels: NDArray[Any], predicted: NDArray[Any], *, num_classes: int) -> list[ClassScore]:
    """Precision, recall and F1 of each of the K classes.

    Args:
        labels: (N,) the true classes.
        predicted: (N,) the most probable ones.
        num_classes: K.
    """
    right = np.bincount(labels[labels == predicted], minlength=num_classes)
    support = np.bincount(labels, minlength=num_classes)
    taken = np.bincount(predicted, minlength=num_classes)
    return [
        ClassScore(
            index=k,
            support=int(support[k]),
            predicted=int(taken[k]),
            precision=_percent_or_none(right[k], taken[k]),
            recall=_percent_or_none(right[k], support[k]),
            f1=_percent_or_none(2 * right[k], support[k] + taken[k]),
        )
        for k in range(num_classes)
    ]


def mean_over_classes(values: Sequence[float | None]) -> float | None:
    """The mean of a score over the classes that have it; of recalls it is the balanced accuracy."""
    there = [value for value in values if value is not None]
    return sum(there) / len(there) if there else None


def _percent(part: int, whole: int) -> float:
    return 100.0 * part / whole if whole else math.nan


def _percent_or_none(part: int, whole: int) -> float | None:
    return _percent(int(part), int(whole)) if whole else None

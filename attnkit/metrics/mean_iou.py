"""How well label maps match: mean IoU, pixel accuracies, frequency-weighted IoU. numpy in, percent out.

Areas are summed over all images, and only then divided (Everingham et al. 2010, "The PASCAL Visual Object Classes (VOC)
Challenge"; Long et al. 2015, "Fully Convolutional Networks for Semantic Segmentation", section 5), so a class counts by
its pixels, whichever images they are in. A mean of the IoUs of single images is another number, and a higher one.

Letters: N images, H W pixels, K classes, R resamples.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnkit.metrics.accuracy import Score
from attnkit.structures.arrays import FloatArray, IntArray

SEGMENTATION_METRICS = ("miou", "macc", "aacc", "fwiou")
"""Mean IoU, mean accuracy of the classes, accuracy of all pixels, IoU weighted by the classes' pixels."""
RESAMPLES = 1000
"""For the interval, as for translations."""
_SEED = 12345
_AT_ONCE = 100
"""Resamples in memory."""
_BYTES = 256
_SHOWN = 5
"""Numbers that a message names."""


@dataclass(frozen=True)
class SegmentationScores:
    """The scores of N images over K classes. Per class, in percent; NaN where nothing is there to divide by."""

    means: Mapping[str, Score]
    """By the names of SEGMENTATION_METRICS. Classes that are absent are left out of them."""
    iou: FloatArray
    """(K,) intersection over union; NaN of a class that is neither labelled nor predicted."""
    accuracy: FloatArray
    """(K,) the share of a class's labelled pixels that are right; NaN of a class that is not labelled."""
    labelled: IntArray
    """(K,) pixels of the class."""
    predicted: IntArray
    """(K,) labelled pixels that were taken for it."""


def confusion_matrix(
    labels: NDArray[np.integer], predictions: NDArray[np.integer], num_classes: int, ignore: int = 255
) -> IntArray:
    """(K, K) how many pixels of each true class, a row, were taken for each class, a column.

    Args:
        labels: (H, W) the true classes, or any other shape; uint8 is the quick case.
        predictions: of the same shape.
        num_classes: K.
        ignore: the label of pixels of no class, which do not count whatever is predicted there.

    Raises:
        ValueError: the shapes differ, `ignore` is a class, or a number is of no class.
    """
    if labels.shape != predictions.shape:
        raise ValueError(f"labels {labels.shape}, predictions {predictions.shape}; expected one shape")
    if 0 <= ignore < num_classes:
        raise ValueError(f"ignore {ignore}: is one of the {num_classes} classes; expected a number that is none")
    if labels.dtype == predictions.dtype == np.uint8 and num_classes < _BYTES and 0 <= ignore < _BYTES:
        pairs, side, ignored = labels.astype(np.uint16) << 8 | predictions, _BYTES, ignore
    else:
        side, ignored = num_classes + 2, num_classes
        rows = np.where(labels == ignore, ignored, _fold(labels, num_classes))
        pairs = rows * side + _fold(predictions, num_classes)
    counts = np.bincount(pairs.ravel(), minlength=side**2).reshape(side, side)
    counts[ignored] = 0
    confusion = counts[:num_classes, :num_classes].copy()
    if confusion.sum() != counts.sum():
        kept = labels != ignore
        _refuse_outside("labels", labels[kept], num_classes)
        _refuse_outside("predictions", predictions[kept], num_classes)
    return confusion


def _fold(values: NDArray[np.integer], num_classes: int) -> IntArray:
    """All numbers of no class made one, beyond the classes and what is ignored."""
    return np.where((values >= 0) & (values < num_classes), values.astype(np.int64), num_classes + 1)


def _refuse_outside(name: str, values: NDArray[np.integer], num_classes: int) -> None:
    outside = values[(values < 0) | (values >= num_classes)]
    if len(outside):
        found = ", ".join(map(str, np.unique(outside)[:_SHOWN]))
        raise ValueError(f"{name}: {len(outside)} pixels of no class ({found}); expected 0 to {num_classes - 1}")


class SegmentationCounts:
    """Sums over images, with the areas of each image beside them, so that images can be drawn again."""

    def __init__(self, num_classes: int, *, ignore: int = 255) -> None:
        """Begin with no image.

        Args:
            num_classes: K.
            ignore: the label of pixels of no class.
        """
        self.num_classes = num_classes
        self.ignore = ignore
        self.confusion: IntArray = np.zeros((num_classes, num_classes), dtype=np.int64)
        self._areas: list[IntArray] = []

    def __len__(self) -> int:
        """How many images were added."""
        return len(self._areas)

    @property
    def areas(self) -> IntArray:
        """(N, 3, K) pixels of each image and class: right ones, predicted ones, labelled ones."""
        return np.array(self._areas, dtype=np.int64).reshape(-1, 3, self.num_classes)

    def add(self, labels: NDArray[np.integer], predictions: NDArray[np.integer]) -> None:
        """Add an image by its label maps (H, W); see `confusion_matrix`."""
        self.add_confusion(confusion_matrix(labels, predictions, self.num_classes, self.ignore))

    def add_confusion(self, confusion: NDArray[np.integer]) -> None:
        """Add an image by its confusion matrix (K, K), which may have been counted elsewhere."""
        self.confusion += confusion
        self._areas.append(_areas(confusion))

    def first(self, num_classes: int) -> "SegmentationCounts":
        """The same images over the first classes alone.

        Raises:
            ValueError: a later one occurs.
        """
        if self.confusion[num_classes:].any() or self.confusion[:, num_classes:].any():
            raise ValueError(f"a class from {num_classes} on occurs; expected none")
        fewer = SegmentationCounts(num_classes, ignore=self.ignore)
        fewer.confusion = self.confusion[:num_classes, :num_classes].copy()
        fewer._areas = [areas[:, :num_classes] for areas in self._areas]
        return fewer


def iou_scores(counts: SegmentationCounts, *, resamples: int = RESAMPLES) -> SegmentationScores:
    """The scores of all images that were added; NaN where no pixel is labelled.

    Args:
        counts: of N images.
        resamples: R, for the 95 % interval: the images are drawn again, as many, with replacement, R times; it spans
            the middle 95 % of the scores that come out. 0, or a single image, gives none.

    Source: the bootstrap percentile interval, Efron 1979, "Bootstrap methods: another look at the jackknife".
    """
    areas = _areas(counts.confusion)
    means = {
        name: Score(name, float(value), low, high, len(counts))
        for name, value, (low, high) in zip(
            SEGMENTATION_METRICS, 100.0 * _means(areas), _intervals(counts.areas, resamples), strict=True
        )
    }
    right, predicted, labelled = areas
    return SegmentationScores(
        means=means,
        iou=100.0 * _iou(areas),
        accuracy=100.0 * _share(right, labelled),
        labelled=labelled,
        predicted=predicted,
    )


def _areas(confusion: NDArray[np.integer]) -> IntArray:
    """(3, K) right, predicted and labelled pixels."""
    return np.stack([confusion.diagonal(), confusion.sum(axis=0), confusion.sum(axis=1)]).astype(np.int64)


def _iou(areas: NDArray[Any]) -> FloatArray:
    """(..., K) of areas (..., 3, K)."""
    right, predicted, labelled = np.moveaxis(areas, -2, 0)
    return _share(right, predicted + labelled - right)


def _means(areas: NDArray[Any]) -> FloatArray:
    """(..., 4) the scores of areas (..., 3, K), in the order of SEGMENTATION_METRICS, 0 to 1."""
    right, _, labelled = np.moveaxis(areas, -2, 0)
    iou, pixels = _iou(areas), labelled.sum(axis=-1)
    weighted = np.nansum(labelled * iou, axis=-1)
    return np.stack(
        [
            _mean_of_some(iou),
            _mean_of_some(_share(right, labelled)),
            _share(right.sum(axis=-1), pixels),
            _share(weighted, pixels),
        ],
        axis=-1,
    )


def _share(part: NDArray[Any], whole: NDArray[Any]) -> FloatArray:
    """NaN of nothing."""
    shares = np.full(np.shape(whole), np.nan)
    np.divide(part, whole, out=shares, where=whole > 0)
    return shares


def _mean_of_some(values: FloatArray) -> FloatArray:
    """(...) the mean over the last axis of what is not NaN."""
    return _share(np.nansum(values, axis=-1), (~np.isnan(values)).sum(axis=-1))


def _intervals(areas: IntArray, resamples: int) -> list[tuple[float | None, float | None]]:
    """Both ends of each metric, in percent; none of a single image, which tells nothing of others."""
    areas = areas[areas[:, 2].any(axis=-1)]  # images without a labelled pixel say nothing
    images = len(areas)
    if images < 2 or not resamples:
        return [(None, None) for _ in SEGMENTATION_METRICS]
    random, of_image = np.random.default_rng(_SEED), areas.reshape(images, -1).astype(np.float64)  # (N, 3K)
    sums = []
    for start in range(0, resamples, _AT_ONCE):
        times = [_drawn(random, images) for _ in range(min(_AT_ONCE, resamples - start))]
        sums.append(np.stack(times) @ of_image)
    scores = 100.0 * _means(np.concatenate(sums).reshape(resamples, 3, -1))  # (R, 4)
    return [(float(low), float(high)) for low, high in np.quantile(scores, [0.025, 0.975], axis=0).T]


def _drawn(random: np.random.Generator, images: int) -> FloatArray:
    """(N,) how often each image was drawn."""
    return np.bincount(random.integers(images, size=images), minlength=images).astype(np.float64)

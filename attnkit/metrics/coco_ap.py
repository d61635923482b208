"""COCO's average precision and recall of boxes or masks (Lin et al. 2014, "Microsoft COCO: Common Objects in Context").

The numbers are pycocotools', for any number of detections. Those of an image and class are matched with its objects
(detection_matching.py), all detections of a class are ranked, and the curve of precision over recall is read at 101
points (average_precision.py); this for ten least overlaps from 0.5 to 0.95, and for objects of all sizes, below 32 x 32
pixels, up to 96 x 96, and above. numpy in, percent out.

Letters: N images, K classes, T = 10 overlaps, R = 101 recalls, A = 4 ranges of sizes, M = 3 numbers of detections.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from attnkit.metrics.accuracy import Score
from attnkit.metrics.ap_interval import intervals, usual_resamples
from attnkit.metrics.average_precision import RECALLS, ClassRanking, at_recalls, rank_classes
from attnkit.metrics.detection_errors import ErrorType, error_types
from attnkit.metrics.detection_table import TableBuilder, match
from attnkit.structures.arrays import BoolArray, FloatArray, IntArray
from attnkit.structures.image_objects import ImageFound, ImageTruth, Kind

DETECTION_METRICS = ("ap",)

OVERLAPS = np.linspace(0.5, 0.95, 10)
SIZES = ((0.0, 1e10), (0.0, 32.0**2), (32.0**2, 96.0**2), (96.0**2, 1e10))
"""Square pixels of objects of any size, of small, middling and large ones. The ends belong to them."""
MAX_DETECTIONS = 100
"""Of a class on an image, the surest: COCO's rule."""
_FEWER = (1, 10)
"""Numbers of detections for which there is a recall of its own."""


@dataclass(frozen=True)
class CocoScores:
    """The scores of N images, in percent; NaN where there is nothing to find."""

    means: Mapping[str, Score]
    """AP, AP50, AP75, APs, APm, APl, AR1, AR10, AR100, ARs, ARm, ARl: over the classes that have objects. The third AR
    is named by the number of detections; 1 and 10 are left out where that is not above them."""
    precision: FloatArray
    """(T, R, K, A) interpolated, 0 to 1, of the most detections."""
    recall: FloatArray
    """(T, K, A, M) highest, 0 to 1."""
    rankings: tuple[ClassRanking, ...]
    """Of the K classes."""

    @property
    def class_ap(self) -> FloatArray:
        """(K,) the AP of each class, in percent."""
        ap: FloatArray = 100.0 * self.precision[..., 0].mean(axis=(0, 1))
        return ap

    @property
    def class_ap50(self) -> FloatArray:
        """(K,) the AP of each class at an overlap of 0.5, in percent."""
        ap: FloatArray = 100.0 * self.precision[0, ..., 0].mean(axis=0)
        return ap

    @property
    def objects(self) -> IntArray:
        """(K,) how many objects of each class are to be found."""
        return np.array([one.positives[0] for one in self.rankings], dtype=np.int64)


class CocoAp:
    """Takes images in, in any order, and scores them all."""

    def __init__(self, num_classes: int, kind: Kind = "box", max_detections: int = MAX_DETECTIONS) -> None:
        """Begin with no image.

        Args:
            num_classes: K.
            kind: what is compared, boxes or masks.
            max_detections: most of a class on an image that count. An image with more objects of a class than this
                cannot have all of them found, however good the detector.

        Raises:
            ValueError: none may count.
        """
        if max_detections < 1:
            raise ValueError(f"max_detections {max_detections}: none would count; expected 1 or more")
        self.num_classes = num_classes
        self.kind: Kind = kind
        self.max_detections = max_detections
        self._images = TableBuilder(kind, max_detections)

    def __len__(self) -> int:
        """How many images were added."""
        return len(self._images)

    def add(self, truth: ImageTruth, found: ImageFound, *, image_id: int | None = None) -> None:
        """Add an image; what it holds of masks is not kept.

        Args:
            truth: what is there.
            found: what was found.
            image_id: of detections with equal scores on several images, that on the image of the lowest id comes
                first, as in pycocotools. None: its place among the images that are added.

        Raises:
            ValueError: a label is of no class, a score is none, or masks are missing where masks are compared.
        """
        for name, labels in (("objects", truth.labels), ("detections", found.labels)):
            if len(labels) and not 0 <= labels.min() <= labels.max() < self.num_classes:
                raise ValueError(
                    f"{name}: labels from {labels.min()} to {labels.max()}; expected 0 to {self.num_classes - 1}"
                )
        if np.isnan(found.scores).any():
            raise ValueError("detections: a score is NaN; expected numbers")
        if self.kind == "mask" and ((truth.rles is None and len(truth)) or (found.rles is None and len(found))):
            raise ValueError("masks: there are none; expected one for each object and detection, or kind box")
        self._images.add(truth, found, image_id=len(self) if image_id is None else image_id)

    def compute(self, *, resamples: int | None = None) -> CocoScores:
        """The scores of all images that were added.

        Args:
            resamples: for the 95 % intervals: the images are drawn again so many times, as many of them, with
                replacement; see ap_interval.py. 0, or a single image, gives none; None is 1,000, or fewer of many
                images.
        """
        resamples = usual_resamples(len(self)) if resamples is None else resamples
        rankings = self._rankings()
        counts = [*(fewer for fewer in _FEWER if fewer < self.max_detections), self.max_detections]
        precision, recall = _precision(rankings), _recall(rankings, counts)
        values = _means(precision, recall, counts)
        means = {name: Score(name, value, None, None, len(self)) for name, value in values.items()}
        found = intervals(rankings, len(self), list(values.values()), counts=counts, resamples=resamples)
        return CocoScores(
            means={
                name: replace(score, low=ends[0], high=ends[1])
                for (name, score), ends in zip(means.items(), found, strict=True)
            },
            precision=precision,
            recall=recall,
            rankings=rankings,
        )

    def errors(self) -> tuple[ErrorType, ...]:
        """What kinds of mistakes there are, and how much AP50 each of them costs; see detection_errors.py."""
        return error_types(self._images.table(), num_classes=self.num_classes)

    def _rankings(self) -> tuple[ClassRanking, ...]:
        table = self._images.table()
        uncounted = outside(table.object_area) | (table.crowd | table.difficult)[:, None]
        matches = match(table, OVERLAPS, uncounted)
        return tuple(
            rank_classes(
                table,
                matches,
                num_classes=self.num_classes,
                outside=outside(table.area),
                uncounted=uncounted,
            )
        )


def outside(area: FloatArray) -> BoolArray:
    """(N, A) whether areas (N,) are below or above each range of sizes."""
    low, high = np.array(SIZES).T
    return (area[:, None] < low) | (area[:, None] > high)


def _precision(rankings: tuple[ClassRanking, ...]) -> FloatArray:
    """(T, R, K, A)"""
    precision = np.full((len(OVERLAPS), len(RECALLS), len(rankings), len(SIZES)), np.nan)
    for k, ranking in enumerate(rankings):
        counted = _counted(ranking)
        for a in ranking.positives.nonzero()[0]:
            for t in range(len(OVERLAPS)):
                precision[t, :, k, a] = at_recalls(counted[ranking.right[:, t, a], t, a], int(ranking.positives[a]))
    return precision


def _counted(ranking: ClassRanking) -> IntArray:
    """(C, T, A) how many detections count up to each that overlaps an object."""
    counted: IntArray = ranking.inside.cumsum(axis=0)[ranking.candidate, None]
    more = ranking.counts.astype(np.int64) - ranking.inside[ranking.candidate, None]
    return counted + more.cumsum(axis=0)


def _recall(rankings: tuple[ClassRanking, ...], counts: list[int]) -> FloatArray:
    """(T, K, A, M)"""
    recall = np.full((len(OVERLAPS), len(rankings), len(SIZES), len(counts)), np.nan)
    for k, ranking in enumerate(rankings):
        there = ranking.positives > 0
        for m, most in enumerate(counts):
            found = ranking.right[ranking.place < most].sum(axis=0)  # (T, A)
            recall[:, k, there, m] = found[:, there] / ranking.positives[there]
    return recall


def _means(precision: FloatArray, recall: FloatArray, counts: list[int]) -> dict[str, float]:
    half, three_quarters = 0, 5
    parts = {
        "AP": precision[..., 0],
        "AP50": precision[half, ..., 0],
        "AP75": precision[three_quarters, ..., 0],
        "APs": precision[..., 1],
        "APm": precision[..., 2],
        "APl": precision[..., 3],
        **{f"AR{most}": recall[:, :, 0, m] for m, most in enumerate(counts)},
        "ARs": recall[:, :, 1, -1],
        "ARm": recall[:, :, 2, -1],
        "ARl": recall[:, :, 3, -1],
    }
    return {name: 100.0 * _mean_of_some(part) for name, part in parts.items()}


def _mean_of_some(values: FloatArray) -> float:
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else float("nan")

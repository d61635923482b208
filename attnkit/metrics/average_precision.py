"""The detections of a class ranked by score, their precision and recall, and the area under that curve.

docs/ap.md works an example out. Letters: n ranked detections of the class, m right ones among them, C of them that
overlap an object of it, g its objects, R = 101 recalls, T thresholds, A ranges of sizes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attnkit.metrics.detection_table import DetectionTable, Matches
from attnkit.structures.arrays import BoolArray, FloatArray, IntArray

RECALLS = np.linspace(0.0, 1.0, 101)
"""Where COCO reads the curve: 0, 0.01, ... 1."""


@dataclass(frozen=True)
class PrecisionRecall:
    """A curve: after each rank, the surest detection first."""

    precision: FloatArray
    """(n,) the right ones' share of the detections so far."""
    recall: FloatArray
    """(n,) the found ones' share of all objects."""
    interpolated: FloatArray
    """(n,) the highest precision that this recall, or a higher one, is reached with."""


def precision_recall(right: BoolArray, positives: int) -> PrecisionRecall:
    """The curve of ranked detections.

    Args:
        right: (n,) whether each is right, the surest first.
        positives: how many objects there are.

    Raises:
        ValueError: there are none, or fewer than were found.
    """
    if positives < max(1, int(right.sum())):
        raise ValueError(f"{positives} objects, {int(right.sum())} of them found; expected one at least, and as many")
    found = right.cumsum()
    precision = found / np.arange(1, len(right) + 1)
    return PrecisionRecall(precision, found / positives, _highest_from_here(precision))


def at_recalls(counted: NDArray[np.integer], positives: int) -> FloatArray:
    """(R,) the interpolated precision at each of RECALLS; 0 where it is not reached.

    Only right detections need to be known: the curve rises nowhere else.

    Args:
        counted: (m,) how many detections there are up to each right one, it included, the surest first.
        positives: how many objects there are.
    """
    found = np.arange(1, len(counted) + 1)
    highest = np.append(_highest_from_here(found / counted), 0.0)
    read: FloatArray = highest[np.searchsorted(found / positives, RECALLS)]
    return read


def raw_at_recalls(counted: NDArray[np.integer], positives: int) -> FloatArray:
    """(R,) the precision with which each of RECALLS is first reached; 0 where it is not. See `at_recalls`."""
    found = np.arange(1, len(counted) + 1)
    reached: FloatArray = np.append(found / counted, 0.0)[np.searchsorted(found / positives, RECALLS)]
    return reached


def _highest_from_here(precision: FloatArray) -> FloatArray:
    highest: FloatArray = np.maximum.accumulate(precision[::-1])[::-1]
    return highest


@dataclass(frozen=True)
class ClassRanking:
    """One class. A detection is right, wrong, or does not count: that it found nothing and is of another size, or that
    it found what does not count.
    """

    image: NDArray[np.int32]
    """(n,) where each detection is, the surest first; of equal scores the earlier image first."""
    inside: BoolArray
    """(n, A) whether it is of that size itself: then it counts if it found nothing."""
    candidate: IntArray
    """(C,) ranks of those that overlap an object; the others found nothing at any threshold."""
    place: NDArray[np.int32]
    """(C,) how many of the class are surer on the same image."""
    right: BoolArray
    """(C, T, A)"""
    counts: BoolArray
    """(C, T, A) right or wrong."""
    object_image: NDArray[np.int32]
    """(g,)"""
    object_counts: BoolArray
    """(g, A)"""

    @property
    def positives(self) -> IntArray:
        """(A,) how many objects count."""
        return self.object_counts.sum(axis=0)

    def curve(self, threshold: int) -> PrecisionRecall:
        """The curve of all sizes, with a point for every detection that counts.

        Args:
            threshold: which of the T.

        Raises:
            ValueError: there is no object.
        """
        return precision_recall(self._right(threshold), int(self.positives[0]))

    def raw(self, threshold: int) -> FloatArray:
        """(101,) the precision with which each of COCO's recalls is first reached, of all sizes; 0 where it is not.

        Args:
            threshold: which of the T.
        """
        return raw_at_recalls(self._right(threshold).nonzero()[0] + 1, int(self.positives[0]))

    def _right(self, threshold: int) -> BoolArray:
        """Whether each detection is right, of those of all sizes that count."""
        right, counts = np.zeros(len(self.image), dtype=np.bool_), self.inside[:, 0].copy()
        right[self.candidate] = self.right[:, threshold, 0]
        counts[self.candidate] = self.counts[:, threshold, 0]
        return right[counts]


def rank_classes(
    table: DetectionTable,
    matches: Matches,
    *,
    num_classes: int,
    outside: BoolArray,
    uncounted: BoolArray,
) -> Iterator[ClassRanking]:
    """Every class's ranking, from 0 on.

    Args:
        table: what is there and what was found.
        matches: which found which.
        num_classes: how many classes.
        outside: (N, A) detections of another size.
        uncounted: (G, A) objects that do not count.
    """
    order = np.lexsort((-table.score, table.label))
    ends = np.searchsorted(table.label[order], np.arange(num_classes + 1))
    row_of = np.full(len(order), -1)
    row_of[matches.detection] = np.arange(len(matches.detection))
    objects = table.object_label.argsort(kind="stable")
    object_ends = np.searchsorted(table.object_label[objects], np.arange(num_classes + 1))
    for k in range(num_classes):
        rows, own = order[ends[k] : ends[k + 1]], objects[object_ends[k] : object_ends[k + 1]]
        candidate = np.flatnonzero(row_of[rows] >= 0)
        found = matches.object[row_of[rows[candidate]]]  # (C, T, A)
        idle = uncounted[found, np.arange(outside.shape[1])] & (found >= 0)
        inside = ~outside[rows]
        yield ClassRanking(
            image=table.image[rows],
            inside=inside,
            candidate=candidate,
            place=table.place[rows[candidate]],
            right=(found >= 0) & ~idle,
            counts=np.where(found >= 0, ~idle, inside[candidate, None]),
            object_image=table.object_image[own],
            object_counts=~uncounted[own],
        )

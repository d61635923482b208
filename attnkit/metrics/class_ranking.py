"""The detections of one class over all images, ranked by score, with what each of them counts for.

Letters: n detections of the class, C of them that overlap an object of it, g its objects, T thresholds, A ranges of
sizes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attnkit.metrics.average_precision import PrecisionRecall, precision_recall, raw_at_recalls
from attnkit.metrics.detection_matching import Matches
from attnkit.metrics.detection_table import DetectionTable


@dataclass(frozen=True)
class ClassRanking:
    """One class. A detection is right, wrong, or does not count: that it found nothing and is of another size, or that
    it found what does not count.
    """

    image: NDArray[np.int32]
    """(n,) where each detection is, the surest first; of equal scores the earlier image first."""
    inside: NDArray[np.bool_]
    """(n, A) whether it is of that size itself: then it counts if it found nothing."""
    candidate: NDArray[np.int64]
    """(C,) ranks of those that overlap an object; the others found nothing at any threshold."""
    place: NDArray[np.int32]
    """(C,) how many of the class are surer on the same image."""
    right: NDArray[np.bool_]
    """(C, T, A)"""
    counts: NDArray[np.bool_]
    """(C, T, A) right or wrong."""
    object_image: NDArray[np.int32]
    """(g,)"""
    object_counts: NDArray[np.bool_]
    """(g, A)"""

    @property
    def positives(self) -> NDArray[np.int64]:
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

    def raw(self, threshold: int) -> NDArray[np.float64]:
        """(101,) the precision with which each of COCO's recalls is first reached, of all sizes; 0 where it is not.

        Args:
            threshold: which of the T.
        """
        return raw_at_recalls(self._right(threshold).nonzero()[0] + 1, int(self.positives[0]))

    def _right(self, threshold: int) -> NDArray[np.bool_]:
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
    outside: NDArray[np.bool_],
    uncounted: NDArray[np.bool_],
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

"""Precision and recall of ranked detections, and the area under their curve. docs/ap.md works an example out.

Letters: n ranked detections, m right ones among them, R = 101 recalls.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RECALLS = np.linspace(0.0, 1.0, 101)
"""Where COCO reads the curve: 0, 0.01, ... 1."""


@dataclass(frozen=True)
class PrecisionRecall:
    """A curve: after each rank, the surest detection first."""

    precision: NDArray[np.float64]
    """(n,) the right ones' share of the detections so far."""
    recall: NDArray[np.float64]
    """(n,) the found ones' share of all objects."""
    interpolated: NDArray[np.float64]
    """(n,) the highest precision that this recall, or a higher one, is reached with."""


def precision_recall(right: NDArray[np.bool_], positives: int) -> PrecisionRecall:
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


def at_recalls(counted: NDArray[np.integer], positives: int) -> NDArray[np.float64]:
    """(R,) the interpolated precision at each of RECALLS; 0 where it is not reached.

    Only right detections need to be known: the curve rises nowhere else.

    Args:
        counted: (m,) how many detections there are up to each right one, it included, the surest first.
        positives: how many objects there are.
    """
    found = np.arange(1, len(counted) + 1)
    highest = np.append(_highest_from_here(found / counted), 0.0)
    read: NDArray[np.float64] = highest[np.searchsorted(found / positives, RECALLS)]
    return read


def raw_at_recalls(counted: NDArray[np.integer], positives: int) -> NDArray[np.float64]:
    """(R,) the precision with which each of RECALLS is first reached; 0 where it is not. See `at_recalls`."""
    found = np.arange(1, len(counted) + 1)
    reached: NDArray[np.float64] = np.append(found / counted, 0.0)[np.searchsorted(found / positives, RECALLS)]
    return reached


def _highest_from_here(precision: NDArray[np.float64]) -> NDArray[np.float64]:
    highest: NDArray[np.float64] = np.maximum.accumulate(precision[::-1])[::-1]
    return highest

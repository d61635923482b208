"""Which detection found which object, as COCO's evaluation decides it, for all images, classes and thresholds together.

On every image the detections of a class choose one after the other, the surest first: each takes the object of its
class that it overlaps most among those that are still free, if the two overlap by the threshold at least. Objects that
do not count (crowds, and those outside the range of sizes) are taken only where no other can be, and a crowd by any
number of detections (Lin et al. 2014, "Microsoft COCO", and the code that came with it).

Letters: N detections, G objects, C detections that overlap an object of their class, P pairs of these, T thresholds,
A ranges of sizes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from attnkit.metrics.detection_table import DetectionTable


@dataclass(frozen=True)
class Matches:
    """What was matched. A detection that is not among the C rows was not, at any threshold."""

    detection: NDArray[np.int64]
    """(C,) rows of detections, ascending."""
    object: NDArray[np.int32]
    """(C, T, A) the row of the object that it found; -1: none."""


@dataclass(frozen=True)
class _Pairs:
    """Pairs of one class, in the order in which they are looked at: what comes first in its image comes first."""

    detection: NDArray[np.int64]
    """(C,)"""
    turn: NDArray[np.int64]
    """(C,) how many detections of its image and class choose before; ascending."""
    first: NDArray[np.int64]
    """(C + 1,) where the pairs of each detection start."""
    object: NDArray[np.int32]
    """(P,)"""
    iou: NDArray[np.float64]
    """(P,) ascending for each detection, and of equal ones the one that wins is last."""
    place: NDArray[np.int32]
    """(P,) from 1, among those of the detection."""


def match(table: DetectionTable, thresholds: NDArray[np.float64], uncounted: NDArray[np.bool_]) -> Matches:
    """Match detections with objects of their class.

    Args:
        table: what is there and what was found.
        thresholds: (T,) least overlaps.
        uncounted: (G, A) objects that do not count.

    Returns:
        What was found by which detection.
    """
    pairs = _pairs(table, float(thresholds.min()))
    shape = len(thresholds), uncounted.shape[1]
    found = np.full((len(pairs.detection), *shape), -1, dtype=np.int32)
    taken = np.zeros((len(uncounted), *shape), dtype=np.bool_)
    many = (table.crowd | table.difficult)[:, None, None]
    better = int(pairs.place.max(initial=0)) + 1  # what an object that counts is ahead of one that does not
    turns = np.searchsorted(pairs.turn, np.arange(int(pairs.turn.max(initial=-1)) + 2))
    for start, end in pairwise(turns):
        first = pairs.first[start:end]
        part = slice(first[0], pairs.first[end])
        objects = pairs.object[part]
        fits = (pairs.iou[part, None, None] >= thresholds[:, None]) & (many[objects] | ~taken[objects])
        keys = pairs.place[part, None] + better * ~uncounted[objects]  # (P', A)
        best = np.maximum.reduceat(np.where(fits, keys[:, None], 0), first - first[0], axis=0)  # (C', T, A)
        who, threshold, size = best.nonzero()
        chosen = pairs.object[first[who] + best[who, threshold, size] % better - 1]
        found[start + who, threshold, size] = chosen
        taken[chosen, threshold, size] = True
    order = pairs.detection.argsort()
    return Matches(pairs.detection[order], found[order])


def _pairs(table: DetectionTable, least: float) -> _Pairs:
    same = table.label[table.pair_detection] == table.object_label[table.pair_object]
    kept = np.flatnonzero(same & (table.iou >= least))
    kept = kept[np.lexsort((table.pair_object[kept], table.iou[kept], table.pair_detection[kept]))]
    detection, first, count = np.unique(table.pair_detection[kept], return_index=True, return_counts=True)
    turn = _turns(table.image[detection], table.label[detection])
    order = turn.argsort(kind="stable")
    ends = count[order].cumsum()
    place = np.arange(len(kept)) - (ends - count[order]).repeat(count[order])
    kept = kept[first[order].repeat(count[order]) + place]
    return _Pairs(
        detection=detection[order].astype(np.int64),
        turn=turn[order],
        first=np.concatenate([[0], ends]).astype(np.int64),
        object=table.pair_object[kept],
        iou=table.iou[kept],
        place=(place + 1).astype(np.int32),
    )


def _turns(image: NDArray[np.int32], label: NDArray[np.int32]) -> NDArray[np.int64]:
    """(C,) the how-manieth each detection is of those of its image and class, which stand together."""
    news = np.ones(len(image), dtype=np.bool_)
    news[1:] = (image[1:] != image[:-1]) | (label[1:] != label[:-1])
    starts = np.flatnonzero(news)
    return np.arange(len(image)) - starts.repeat(np.diff(np.append(starts, len(image))))

"""All images' detections, objects and overlaps as columns; and which detection found which object, for all together.

Matching is that of COCO's evaluation. On every image the detections of a class choose one after the other, the surest
first: each takes the object of its class that it overlaps most among those that are still free, if the two overlap by
the threshold at least. Objects that do not count (crowds, and those outside the range of sizes) are taken only where no
other can be, and a crowd by any number of detections (Lin et al. 2014, "Microsoft COCO", and the code that came with
it).

Letters: N detections, G objects, P overlapping pairs, C detections that overlap an object of their class, T thresholds,
A ranges of sizes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attnkit.structures.arrays import BoolArray, FloatArray, IntArray
from attnkit.structures.image_objects import ImageFound, ImageTruth, Kind, areas_of, best_of_each_class, overlaps

LEAST_OVERLAP = 0.1
"""Pairs below are forgotten: what overlaps no object by so much is background (Bolya et al. 2020)."""


@dataclass(frozen=True)
class DetectionTable:
    """The columns. Images stand in the order of their ids; rows of an image stand together, those of its detections
    class by class, the surest first.
    """

    images: int
    """How many; those without objects and detections too."""
    image: NDArray[np.int32]
    """(N,) on which image a detection is."""
    label: NDArray[np.int32]
    """(N,) its class."""
    score: FloatArray
    """(N,)"""
    place: NDArray[np.int32]
    """(N,) how many detections of its class and image are surer."""
    area: FloatArray
    """(N,)"""
    object_image: NDArray[np.int32]
    """(G,) on which image an object is."""
    object_label: NDArray[np.int32]
    """(G,)"""
    object_area: FloatArray
    """(G,) as annotated."""
    crowd: BoolArray
    """(G,)"""
    difficult: BoolArray
    """(G,)"""
    pair_detection: NDArray[np.int32]
    """(P,) the rows that overlap, of whatever classes; those of detections ascend."""
    pair_object: NDArray[np.int32]
    """(P,)"""
    iou: FloatArray
    """(P,) at least LEAST_OVERLAP."""


class _Image(NamedTuple):
    """The columns of one image, whose rows are counted from its own first."""

    image_id: int
    detections: tuple[NDArray[Any], ...]
    """Label, score, place, area."""
    objects: tuple[NDArray[Any], ...]
    """Label, area, crowd, difficult."""
    pairs: tuple[NDArray[Any], ...]
    """Detection, object, iou."""


class TableBuilder:
    """Takes images in, one after the other, and keeps of each what scoring needs."""

    def __init__(self, kind: Kind, max_detections: int) -> None:
        """Begin with no image.

        Args:
            kind: what overlaps: boxes or masks.
            max_detections: of each class and image so many are kept, the surest.
        """
        self._kind: Kind = kind
        self._most = max_detections
        self._images: list[_Image] = []

    def __len__(self) -> int:
        """How many images were added."""
        return len(self._images)

    def add(self, truth: ImageTruth, found: ImageFound, *, image_id: int) -> None:
        """Add an image."""
        rows, places = best_of_each_class(found, self._most)
        iou = overlaps(found, rows, truth, self._kind)
        detection, other = (iou >= LEAST_OVERLAP).nonzero()
        difficult = truth.difficult if truth.difficult is not None else np.zeros(len(truth), dtype=np.bool_)
        self._images.append(
            _Image(
                image_id,
                (
                    found.labels[rows].astype(np.int32),
                    found.scores[rows].astype(np.float64),
                    places.astype(np.int32),
                    areas_of(found, rows, self._kind),
                ),
                (
                    truth.labels.astype(np.int32),
                    truth.areas.astype(np.float64),
                    truth.crowd.astype(np.bool_),
                    difficult.astype(np.bool_),
                ),
                (detection.astype(np.int32), other.astype(np.int32), iou[detection, other]),
            )
        )

    def table(self) -> DetectionTable:
        """What was added so far."""
        if not self._images:
            return DetectionTable(0, *_EMPTY)
        images = sorted(self._images, key=attrgetter("image_id"))
        image, first, detections = _joined([one.detections for one in images])
        object_image, first_object, objects = _joined([one.objects for one in images])
        pair_image, _, (detection, other, iou) = _joined([one.pairs for one in images])
        pairs = detection + first[pair_image], other + first_object[pair_image], iou
        columns: list[NDArray[Any]] = [image, *detections, object_image, *objects, *pairs]
        return DetectionTable(len(images), *columns)


def _joined(
    images: Sequence[tuple[NDArray[Any], ...]],
) -> tuple[NDArray[np.int32], NDArray[np.int32], list[NDArray[Any]]]:
    """Of which image each row is, which row is the first of each image, and the columns of all of them."""
    counts = np.array([len(columns[0]) for columns in images])
    image = np.arange(len(images), dtype=np.int32).repeat(counts)
    first = (counts.cumsum() - counts).astype(np.int32)
    return image, first, [np.concatenate(parts) for parts in zip(*images, strict=True)]


_EMPTY = [np.zeros(0, dtype=dtype) for dtype in (*"iididiid??iid",)]


@dataclass(frozen=True)
class Matches:
    """What was matched. A detection that is not among the C rows was not, at any threshold."""

    detection: IntArray
    """(C,) rows of detections, ascending."""
    object: NDArray[np.int32]
    """(C, T, A) the row of the object that it found; -1: none."""


@dataclass(frozen=True)
class _Pairs:
    """Pairs of one class, in the order in which they are looked at: what comes first in its image comes first."""

    detection: IntArray
    """(C,)"""
    turn: IntArray
    """(C,) how many detections of its image and class choose before; ascending."""
    first: IntArray
    """(C + 1,) where the pairs of each detection start."""
    object: NDArray[np.int32]
    """(P,)"""
    iou: FloatArray
    """(P,) ascending for each detection, and of equal ones the one that wins is last."""
    place: NDArray[np.int32]
    """(P,) from 1, among those of the detection."""


def match(table: DetectionTable, thresholds: FloatArray, uncounted: BoolArray) -> Matches:
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


def _turns(image: NDArray[np.int32], label: NDArray[np.int32]) -> IntArray:
    """(C,) the how-manieth each detection is of those of its image and class, which stand together."""
    news = np.ones(len(image), dtype=np.bool_)
    news[1:] = (image[1:] != image[:-1]) | (label[1:] != label[:-1])
    starts = np.flatnonzero(news)
    return np.arange(len(image)) - starts.repeat(np.diff(np.append(starts, len(image))))

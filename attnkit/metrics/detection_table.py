"""All images' detections, objects and overlaps as columns, so that they can be matched and ranked at one go.

Letters: N detections, G objects, P overlapping pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attnkit.metrics.image_objects import ImageFound, ImageTruth, Kind, areas_of, best_of_each_class, overlaps

LEAST_OVERLAP = 0.1
"""Pairs below are forgotten: what overlaps no object by so much is background (Bolya et al. 2020)."""


@dataclass(frozen=True)
class DetectionTable:
    """The columns. Rows of an image stand together, those of its detections class by class, the surest first."""

    images: int
    """How many; those without objects and detections too."""
    image: NDArray[np.int32]
    """(N,) on which image a detection is."""
    label: NDArray[np.int32]
    """(N,) its class."""
    score: NDArray[np.float64]
    """(N,)"""
    place: NDArray[np.int32]
    """(N,) how many detections of its class and image are surer."""
    area: NDArray[np.float64]
    """(N,)"""
    object_image: NDArray[np.int32]
    """(G,) on which image an object is."""
    object_label: NDArray[np.int32]
    """(G,)"""
    object_area: NDArray[np.float64]
    """(G,) as annotated."""
    crowd: NDArray[np.bool_]
    """(G,)"""
    difficult: NDArray[np.bool_]
    """(G,)"""
    pair_detection: NDArray[np.int32]
    """(P,) the rows that overlap, of whatever classes; those of detections ascend."""
    pair_object: NDArray[np.int32]
    """(P,)"""
    iou: NDArray[np.float64]
    """(P,) at least LEAST_OVERLAP."""


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
        self._images = self._detections = self._objects = 0
        self._columns: list[tuple[NDArray[np.generic], ...]] = []

    def __len__(self) -> int:
        """How many images were added."""
        return self._images

    def add(self, truth: ImageTruth, found: ImageFound) -> None:
        """Add an image."""
        rows, places = best_of_each_class(found, self._most)
        iou = overlaps(found, rows, truth, self._kind)
        detection, other = (iou >= LEAST_OVERLAP).nonzero()
        difficult = truth.difficult if truth.difficult is not None else np.zeros(len(truth), dtype=np.bool_)
        self._columns.append(
            (
                np.full(len(rows), self._images, dtype=np.int32),
                found.labels[rows].astype(np.int32),
                found.scores[rows].astype(np.float64),
                places.astype(np.int32),
                areas_of(found, rows, self._kind),
                np.full(len(truth), self._images, dtype=np.int32),
                truth.labels.astype(np.int32),
                truth.areas.astype(np.float64),
                truth.crowd.astype(np.bool_),
                difficult.astype(np.bool_),
                (detection + self._detections).astype(np.int32),
                (other + self._objects).astype(np.int32),
                iou[detection, other],
            )
        )
        self._images += 1
        self._detections += len(rows)
        self._objects += len(truth)

    def table(self) -> DetectionTable:
        """What was added so far."""
        columns = [np.concatenate(parts) for parts in zip(*self._columns, strict=True)] if self._columns else _EMPTY
        return DetectionTable(self._images, *columns)


_EMPTY = [np.zeros(0, dtype=dtype) for dtype in (*"iididiid??iid",)]

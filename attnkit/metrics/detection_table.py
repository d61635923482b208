"""All images' detections, objects and overlaps as columns, so that they can be matched and ranked at one go.

Letters: N detections, G objects, P overlapping pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

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

"""Why detections are wrong: the kinds of TIDE (Bolya et al. 2020, "TIDE: A General Toolbox for Identifying Object
Detection Errors", arXiv:2008.08115), with its two overlaps, 0.5 and 0.1.

A detection that found no object, by COCO's matching at 0.5, is of the first of these kinds that fits it. The overlaps
are with the object that it overlaps most.

    location    0.1 to 0.5 with an object of its class
    class       0.5 or more with an object of another class
    duplicate   0.5 or more with an object of its class, which a surer one has found
    background  at most 0.1 with any object
    both        none of these: 0.1 to 0.5 with an object of another class

An object that nothing found is missed, unless a detection of the kinds location or class is about it. What lies in a
crowd is no error. What a kind costs is the AP50 that is gained where its errors alone are fixed: the surest detection
of the kinds location and class that is about an object which nothing found becomes right, all others of the kind go,
and missed objects are not to be found. TIDE's own AP50 differs from COCO's, which stands here, in its rules of matching
and in classes that are found where they are not.

Letters: N detections, G objects, P overlapping pairs, K classes.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnkit.metrics.average_precision import at_recalls
from attnkit.metrics.detection_table import LEAST_OVERLAP, DetectionTable, match
from attnkit.structures.arrays import BoolArray, FloatArray, IntArray

LOCATION, CLASS, DUPLICATE, BACKGROUND, BOTH, MISSED = ERROR_TYPES = (
    "location",
    "class",
    "duplicate",
    "background",
    "both",
    "missed",
)
"""In the order in which they are looked for."""
FOUND = 0.5
"""From this overlap on an object is found."""
_NONE = -1


@dataclass(frozen=True)
class ErrorType:
    """All errors of a kind."""

    name: str
    count: int
    """Detections, or objects that were missed."""
    cost: float
    """AP50 that is gained without them, in percent points; NaN where there is nothing to find."""

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class _Ranked:
    """Detections that count, of all classes."""

    label: NDArray[np.int32]
    score: FloatArray
    right: BoolArray

    def ap(self, positives: IntArray, missed: IntArray) -> float:
        """The mean over the classes with objects, in percent, without (K,) of them that were missed."""
        order = np.lexsort((-self.score, self.label))
        ends = np.searchsorted(self.label[order], np.arange(len(positives) + 1))
        right = self.right[order]
        values = []
        for k in positives.nonzero()[0]:
            counted = right[ends[k] : ends[k + 1]].nonzero()[0] + 1
            left = int(positives[k] - missed[k])
            values.append(at_recalls(counted, left).mean() if left else 1.0)  # nothing is left to find
        return 100.0 * float(np.mean(values)) if values else float("nan")


def error_types(table: DetectionTable, *, num_classes: int) -> tuple[ErrorType, ...]:
    """How many errors there are of each of ERROR_TYPES, and what they cost.

    Args:
        table: what is there and what was found.
        num_classes: K.
    """
    uncounted = table.crowd | table.difficult
    found = _found(table, uncounted)
    idle = np.append(uncounted, False)[found]  # the last is for _NONE
    right, wrong = (found != _NONE) & ~idle, found == _NONE
    free = ~uncounted
    free[found[right]] = False
    kind, about = _kinds(table, uncounted, wrong)
    surest = _surest(table.score, about, free)
    missed = free.copy()
    missed[about[surest]] = False
    positives, none = _per_class(table, ~uncounted, num_classes), np.zeros(num_classes, dtype=np.int64)
    before = _Ranked(table.label[~idle], table.score[~idle], right[~idle]).ap(positives, none)
    errors = []
    for name in ERROR_TYPES[:-1]:
        is_it = wrong & (kind == ERROR_TYPES.index(name))
        fixed = is_it & surest
        kept = ~idle & (~is_it | fixed)
        label = np.where(fixed, np.append(table.object_label, _NONE)[about], table.label)
        after = _Ranked(label[kept], table.score[kept], (right | fixed)[kept]).ap(positives, none)
        errors.append(ErrorType(name, int(is_it.sum()), _gain(before, after)))
    after = _Ranked(table.label[~idle], table.score[~idle], right[~idle]).ap(
        positives, _per_class(table, missed, num_classes)
    )
    return (*errors, ErrorType(MISSED, int(missed.sum()), _gain(before, after)))


def _gain(before: float, after: float) -> float:
    """As TIDE says it: a little less, which comes from reading the curve at 101 points, is nothing."""
    return float(np.maximum(after - before, 0.0))  # which keeps NaN


def _per_class(table: DetectionTable, objects: BoolArray, num_classes: int) -> IntArray:
    return np.bincount(table.object_label[objects], minlength=num_classes)


def _found(table: DetectionTable, uncounted: BoolArray) -> IntArray:
    """(N,) which object a detection has found."""
    matches = match(table, np.array([FOUND]), uncounted[:, None])
    found = np.full(len(table.label), _NONE, dtype=np.int64)
    found[matches.detection] = matches.object[:, 0, 0]
    return found


def _kinds(table: DetectionTable, uncounted: BoolArray, wrong: BoolArray) -> tuple[IntArray, IntArray]:
    """(N,) the kind of each wrong detection, and for the first two kinds the object that it is about."""
    there = ~uncounted[table.pair_object] & wrong[table.pair_detection]
    same = table.label[table.pair_detection] == table.object_label[table.pair_object]
    own, own_object = _most(table, there & same)
    other, other_object = _most(table, there & ~same)
    cases = {
        LOCATION: (own >= LEAST_OVERLAP) & (own < FOUND),
        CLASS: other >= FOUND,
        DUPLICATE: own >= FOUND,
        BACKGROUND: np.maximum(own, other) <= LEAST_OVERLAP,
    }
    kind = np.select(list(cases.values()), [ERROR_TYPES.index(name) for name in cases], ERROR_TYPES.index(BOTH))
    about = np.select([cases[LOCATION], cases[CLASS]], [own_object, other_object], _NONE)
    return kind, np.where(wrong, about, _NONE)


def _most(table: DetectionTable, pairs: BoolArray) -> tuple[FloatArray, IntArray]:
    """(N,) the largest overlap of each detection among some pairs, 0 without any, and with which object."""
    rows = pairs.nonzero()[0]
    rows = rows[np.lexsort((-table.pair_object[rows], table.iou[rows], table.pair_detection[rows]))]
    overlap, other = np.zeros(len(table.label)), np.full(len(table.label), _NONE, dtype=np.int64)
    overlap[table.pair_detection[rows]] = table.iou[rows]  # of several the last one stays
    other[table.pair_detection[rows]] = table.pair_object[rows]
    return overlap, other


def _surest(score: FloatArray, about: IntArray, free: BoolArray) -> BoolArray:
    """(N,) whether a detection is the surest of those about an object that nothing found; of equal ones the first."""
    rows = np.flatnonzero(np.append(free, False)[about])
    rows = rows[np.lexsort((-score[rows], about[rows]))]
    _, first = np.unique(about[rows], return_index=True)
    surest = np.zeros(len(score), dtype=np.bool_)
    surest[rows[first]] = True
    return surest

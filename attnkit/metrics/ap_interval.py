"""How far COCO's numbers would move on other images: the bootstrap percentile interval (Efron 1979, "Bootstrap methods:
another look at the jackknife").

The images are drawn again, as many, with replacement, R times. An image that was drawn twice counts each of its
detections and objects twice, so nothing has to be matched or sorted anew: sums over detections become sums over the
numbers of times that their images were drawn.

What comes out is a little higher on average than the score itself: the more often detections repeat, the more ragged
the curve, and it is read at its highest points. So the middle 95 % are moved to where their mean is the score.

Letters: N images, R resamples at a time, n detections of a class, C of them that overlap an object, m right ones,
T overlaps, A ranges of sizes, M numbers of detections.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from attnkit.metrics.average_precision import RECALLS, ClassRanking
from attnkit.structures.arrays import ByteArray, FloatArray, IntArray

_MOST, _LEAST = 1000, 250
_DRAWN = 1_000_000
"""Images in all resamples: of many images fewer resamples are drawn, down to the least."""
_SEED = 12345
_AT_ONCE = 500
"""Resamples in memory."""
_THREE_QUARTERS = 5
"""Which overlap is 0.75."""


Interval = tuple[float | None, float | None]


def usual_resamples(images: int) -> int:
    """How often images are drawn again: 1,000 times up to 1,000 images, 250 times from 4,000 on."""
    return max(_LEAST, min(_MOST, _DRAWN // max(images, 1)))


def intervals(
    rankings: Sequence[ClassRanking],
    images: int,
    values: Sequence[float],
    *,
    counts: Sequence[int],
    resamples: int,
) -> list[Interval]:
    """Both ends of the middle 95 % of each score, in percent; none of a single image, or of what is not there.

    Args:
        rankings: of the K classes, at the ten overlaps and four sizes of COCO.
        images: N.
        values: the scores, in percent, in the order of what is returned.
        counts: numbers of detections for the recalls, the largest last.
        resamples: how many.

    Returns:
        For AP, AP50, AP75, APs, APm, APl, a recall for each of the counts, ARs, ARm, ARl.
    """
    if images < 2 or not resamples:
        return [(None, None)] * (9 + len(counts))
    random = np.random.default_rng(_SEED)
    scores = np.concatenate(
        [
            _scores(rankings, _drawn(random, images, min(_AT_ONCE, resamples - start)), counts)
            for start in range(0, resamples, _AT_ONCE)
        ],
        axis=1,
    )
    return [_ends(100.0 * one, value) for one, value in zip(scores, values, strict=True)]


def _ends(scores: FloatArray, value: float) -> Interval:
    there = scores[~np.isnan(scores)]
    if not len(there):
        return None, None
    low, high = np.quantile(there, [0.025, 0.975]) - there.mean() + value
    return max(0.0, float(low)), min(100.0, float(high))


def _drawn(random: np.random.Generator, images: int, resamples: int) -> NDArray[np.float32]:
    """(N, R) how often each image was drawn."""
    times = [np.bincount(random.integers(images, size=images), minlength=images) for _ in range(resamples)]
    return np.stack(times, axis=1).astype(np.float32)


def _scores(rankings: Sequence[ClassRanking], times: NDArray[np.float32], counts: Sequence[int]) -> FloatArray:
    """(9 + M, R) every score of every resample, 0 to 1, as a mean over the classes that it has objects of."""
    sums = np.zeros((9 + len(counts), times.shape[1]))
    classes = np.zeros_like(sums)
    for ranking in rankings:
        if not ranking.object_counts.any():
            continue
        scores = _class_scores(ranking, times, counts)
        there = ~np.isnan(scores)
        sums[there] += scores[there]
        classes += there
    return np.divide(sums, classes, out=np.full_like(sums, np.nan), where=classes > 0)


def _class_scores(ranking: ClassRanking, times: NDArray[np.float32], counts: Sequence[int]) -> FloatArray:
    """(9 + M, R) of one class; NaN where a resample has no object of it."""
    objects = ranking.object_counts.T.astype(np.float32) @ times[ranking.object_image]  # (A, R)
    hits = (ranking.right | (ranking.counts != ranking.inside[ranking.candidate, None])).any(axis=(1, 2)).nonzero()[0]
    drawn = times[ranking.image[ranking.candidate[hits]]]  # (C', R)
    ap = np.stack([_average_precisions(ranking, times, hits, drawn, a, objects[a]) for a in range(len(objects))])
    overall, every = ap.mean(axis=1), ap[0]  # (A, R), (T, R)
    recall = _found(ranking, hits, counts) @ drawn  # (M + 3, R)
    rows = [overall[0], every[0], every[_THREE_QUARTERS], *overall[1:], *recall]
    sizes = [1, 2, 3]  # that the scores are about
    there = objects[[0, 0, 0, *sizes, *[0] * len(counts), *sizes]]  # (9 + M, R)
    scores = np.stack(rows)
    scores[6:] /= there[6:].clip(min=1)
    return np.where(there > 0, scores, np.nan)


def _found(ranking: ClassRanking, hits: IntArray, counts: Sequence[int]) -> NDArray[np.float32]:
    """(M + 3, C') at how many of the overlaps a detection is right, for each recall: of all sizes among the first, and
    of each size."""
    share = ranking.right[hits].mean(axis=1, dtype=np.float32)  # (C', A)
    first = [share[:, 0] * (ranking.place[hits] < most) for most in counts]
    return np.stack([*first, *share.T[1:]])


def _average_precisions(
    ranking: ClassRanking,
    times: NDArray[np.float32],
    hits: IntArray,
    drawn: NDArray[np.float32],
    a: int,
    positives: NDArray[np.float32],
) -> FloatArray:
    """(T, R) of one size."""
    overlaps = ranking.right.shape[1]
    ap = np.zeros((overlaps, times.shape[1]))
    right, inside = ranking.right[hits, :, a], ranking.inside[:, a]  # (C', T), (n,)
    known = np.flatnonzero(right.any(axis=1))
    if not len(known):
        return ap
    # if nothing were found
    counted = _sums(times, ranking.image[inside], inside.cumsum()[ranking.candidate[hits[known]]])
    row_of = np.zeros(len(hits), dtype=np.int64)
    row_of[known] = np.arange(len(known))
    more = ranking.counts[hits, :, a].astype(np.float32) - inside[ranking.candidate[hits], None]  # (C', T)
    levels = _levels(positives)
    for t in range(overlaps):
        rows = right[:, t].nonzero()[0]
        total = counted[row_of[rows]]
        if len(changed := more[:, t].nonzero()[0]):
            changes = _scan(np.add, more[changed, t, None] * drawn[changed])
            total += np.concatenate([np.zeros_like(drawn[:1]), changes])[np.searchsorted(changed, rows, "right")]
        if len(rows):
            ap[t] = _average_precision(_scan(np.add, drawn[rows]), total, levels)
    return ap


def _sums(times: NDArray[np.float32], images: NDArray[np.int32], ends: IntArray) -> NDArray[np.float32]:
    """(m, R) the sums of what was drawn (N, R) of the first so many images, for each of the ends (m,)."""
    sums = np.zeros((len(ends), times.shape[1]), dtype=np.float32)
    total, start = np.zeros(times.shape[1], dtype=np.float32), 0
    for row, end in enumerate(ends.tolist()):
        total += times[images[start:end]].sum(axis=0)
        sums[row], start = total, end
    return sums


def _scan(step: np.ufunc, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """What `step.accumulate` gives down the rows (m, R), in place: with long rows several times as fast."""
    for before, row in pairwise(rows):
        step(before, row, out=row)
    return rows


def _average_precision(
    found: NDArray[np.float32], counted: NDArray[np.float32], levels: ByteArray
) -> NDArray[np.float32]:
    """(R,) from how many were found, and counted, up to each right detection (m, R), and the table of `_levels`.

    What was counted is written over.
    """
    precision = np.divide(found, np.maximum(counted, 1, out=counted), out=counted)
    highest = _scan(np.maximum, precision[::-1])[::-1]
    rows = np.arange(levels.shape[0], dtype=np.int32) * levels.shape[1]
    reached = levels.ravel()[found.astype(np.int32) + rows]
    reached[1:] -= reached[:-1].copy()  # how many of the 101 recalls are reached here
    ap: NDArray[np.float32] = np.einsum("mr,mr->r", highest, reached, dtype=np.float32) / len(RECALLS)
    return ap


def _levels(positives: NDArray[np.float32]) -> ByteArray:
    """(R, most + 1) how many of the 101 recalls are reached by so many found ones of the objects (R,)."""
    known, which = np.unique(positives, return_inverse=True)  # few, though resamples are many
    there = known.astype(np.float64)[:, None].clip(min=1)
    needed = np.ceil(RECALLS * there)
    needed += needed / there < RECALLS
    needed -= (needed - 1) / there >= RECALLS
    width = int(needed.max()) + 1
    at = np.arange(len(there))[:, None] * width + needed.astype(np.int64)
    levels = np.bincount(at.ravel(), minlength=len(there) * width).reshape(-1, width).cumsum(axis=1).astype(np.uint8)
    return levels[which]

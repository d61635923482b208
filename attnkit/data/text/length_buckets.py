"""Cutting pairs into batches of similar length, within a number of tokens."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attnkit.data.text.ragged import Integers

_LIMIT_STEP = 1.02


def by_length(src_lengths: Integers, tgt_lengths: Integers) -> NDArray[np.intp]:
    """The order in which neighbours are similar in both lengths; equals stay in the order in which they came."""
    return np.lexsort((src_lengths, tgt_lengths))


def cut(src_lengths: Integers, tgt_lengths: Integers, limits: tuple[int, int]) -> Integers:
    """Cut a sequence of pairs into runs, each as long as fits the limits.

    Args:
        src_lengths: tokens of each source, above zero.
        tgt_lengths: tokens of each target, above zero.
        limits: number of pairs times longest source, and times longest target, of a run.

    Returns:
        (runs, 2) int64: the first pair of each run, and the one after its last. A pair that does not fit is alone.
    """
    cuts: list[tuple[int, int]] = []
    count, first = len(src_lengths), 0
    while first < count:
        # Longest lengths only grow along a run, so it has no more pairs than if all were as short as its first.
        most = max(1, min(limits[0] // int(src_lengths[first]), limits[1] // int(tgt_lengths[first])))
        src, tgt = src_lengths[first : first + most], tgt_lengths[first : first + most]
        rows = np.arange(1, len(src) + 1)
        fits = (rows * np.maximum.accumulate(src) <= limits[0]) & (rows * np.maximum.accumulate(tgt) <= limits[1])
        last = first + max(1, int(np.count_nonzero(fits)))
        cuts.append((first, last))
        first = last
    return np.array(cuts, dtype=np.int64).reshape(-1, 2)


def cut_into(src_lengths: Integers, tgt_lengths: Integers, limits: tuple[int, int], count: int) -> Integers:
    """Cut a sequence of pairs into a given number of runs, at the least stretch of the limits that allows it.

    Args:
        limits: as for `cut`.
        count: of runs; from 1 to the number of pairs.

    Returns:
        As `cut`.
    """
    stretch = 1.0
    cuts = cut(src_lengths, tgt_lengths, limits)
    while len(cuts) > count:
        stretch *= _LIMIT_STEP
        cuts = cut(src_lengths, tgt_lengths, (int(limits[0] * stretch), int(limits[1] * stretch)))
    while len(cuts) < count:
        widest = int(np.argmax(cuts[:, 1] - cuts[:, 0]))
        first, last = cuts[widest]
        middle = (first + last) // 2
        cuts = np.concatenate([cuts[:widest], [[first, middle], [middle, last]], cuts[widest + 1 :]])
    return cuts

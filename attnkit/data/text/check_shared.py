"""The part of the data check that looks for validation and test sentences in the training text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from attnkit.data.finding import Finding
from attnkit.data.text.check_split import hashes
from attnkit.data.text.parallel_text import Pair, ParallelText
from attnkit.data.text.ragged import IntArray

_KINDS = ("pair", "source", "target")


class HeldOut:
    """The sentences of a split that training must not see, and where training text was found to have them."""

    def __init__(self, pairs: ParallelText) -> None:
        """Start with no sentence."""
        self._pairs = pairs
        self._hashes: dict[str, list[IntArray]] = {kind: [] for kind in _KINDS}
        self._sorted: dict[str, tuple[IntArray, IntArray]] = {}

    def add(self, chunk: Sequence[Pair]) -> None:
        """Take held-out pairs."""
        for kind, numbers in _all_hashes(chunk).items():
            self._hashes[kind].append(numbers)

    def compare(self, chunk: Sequence[Pair], first: int) -> None:
        """Look at training pairs; the first of them has the number `first`, counted from 1."""
        if not self._sorted:
            self._sorted = {kind: _known(parts) for kind, parts in self._hashes.items()}
        for kind, numbers in _all_hashes(chunk).items():
            known, seen_at = self._sorted[kind]
            slots = np.minimum(np.searchsorted(known, numbers), len(known) - 1)
            matches = np.flatnonzero(known[slots] == numbers)[::-1]  # backwards, so that the earliest is kept
            new = matches[seen_at[slots[matches]] == 0]
            seen_at[slots[new]] = first + new

    def findings(self, train: ParallelText) -> list[Finding]:
        """What was shared, after the last training pair."""
        found = []
        for kind in _KINDS if self._sorted else ():
            known, seen_at = self._sorted[kind]
            own = np.concatenate(self._hashes[kind])
            where = seen_at[np.searchsorted(known, own)]
            where[own == 0] = 0
            if count := int(np.count_nonzero(where)):
                first = int(np.flatnonzero(where)[0])
                found.append(self._finding(kind, count, len(own), first + 1, int(where[first]), train))
        return found

    def _finding(self, kind: str, count: int, total: int, own: int, in_train: int, train: ParallelText) -> Finding:
        mine, theirs = (p.tgt_place if kind == "target" else p.src_place for p in (self._pairs, train))
        what = {"pair": "whole pair", "source": "source sentence", "target": "target sentence"}[kind]
        more = f", and so {'do' if count > 2 else 'does'} {count - 1} more of {total}" if count > 1 else ""
        return Finding(
            "warning",
            mine(own),
            f"the {what} stands in the training text too, at {theirs(in_train)}{more}",
            "the score is too good where the model has seen the answer",
            "remove these pairs from the training text",
        )


def _all_hashes(chunk: Sequence[Pair]) -> dict[str, IntArray]:
    """A number for each pair, source and target; 0 for what is empty."""
    src, tgt = [pair.src.strip() for pair in chunk], [pair.tgt.strip() for pair in chunk]
    empty = np.array([not a or not b for a, b in zip(src, tgt, strict=True)])
    found = {"pair": hashes(list(zip(src, tgt, strict=True))), "source": hashes(src), "target": hashes(tgt)}
    for numbers in found.values():
        numbers[empty] = 0
    return found


def _known(parts: list[IntArray]) -> tuple[IntArray, IntArray]:
    """The different numbers, sorted, and for each the training pair where it was seen first: none yet."""
    known = np.unique(np.concatenate(parts))
    return known, np.zeros(len(known), dtype=np.int64)

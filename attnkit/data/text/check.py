"""A linter for parallel text: what in it will hurt training or scoring, why, and how to fix it."""

from collections.abc import Callable, Mapping, Sequence
from itertools import islice

import numpy as np

from attnkit.data.config import Split
from attnkit.data.finding import DO, WHY_HELD_OUT, DataReport, Finding, and_more
from attnkit.data.text.check_split import EncoderWithUnknown, TextSplitCheck, TextStats, hashes
from attnkit.data.text.parallel_text import Pair, ParallelText, chunks
from attnkit.data.text.ragged import Integers
from attnkit.errors import DataError

_QUICK_PAIRS = 50_000
_KINDS = ("pair", "source", "target")


def check_parallel_text(
    data: Mapping[Split, ParallelText | None],
    *,
    quick: bool = False,
    max_length: int = 256,
    max_ratio: float = 4.0,
    tokenizers: tuple[EncoderWithUnknown, EncoderWithUnknown] | None = None,
    progress: Callable[[Split, int], None] | None = None,
) -> DataReport[TextStats]:
    """Find everything in a recipe's data that makes training fail or its scores misleading.

    Text is streamed. What grows with the corpus is a number for each training pair, to find duplicates.

    Args:
        quick: check only the first pairs of each split, which takes about a second. Later ones are not checked.
        max_length: tokens of the longest sentence that training keeps; needs `tokenizers`.
        max_ratio: longer side over shorter that training keeps; needs `tokenizers`.
        tokenizers: of source and target, to count tokens and unknown ones.
        progress: called now and then with a split and how many of its pairs have been checked.
    """
    found: dict[Split, list[Finding]] = {"train": [], "valid": [], "test": []}
    report = DataReport[TextStats]()
    held_out: list[tuple[Split, HeldOut]] = []
    limit = _QUICK_PAIRS if quick else None
    # Training text comes last: while it streams by, it is compared with what is held out.
    for split in ("valid", "test", "train"):
        try:
            pairs = data[split]
            if pairs is None:
                found[split].append(_missing(split))
                continue
            check = TextSplitCheck(split, pairs, max_length=max_length, max_ratio=max_ratio, tokenizers=tokenizers)
            check.check_files(limit=limit)
            held = HeldOut(pairs) if split != "train" else None
            for chunk in chunks(islice(pairs, limit)):
                first = check.stats.pairs + 1
                check.add(chunk, first)
                if held is not None:
                    held.add(chunk)
                else:
                    for _, other in held_out:
                        other.compare(chunk, first)
                if progress is not None:
                    progress(split, check.stats.pairs)
        except DataError as error:
            found[split] += map(Finding.from_error, str(error).splitlines())
            continue
        check.stats.complete = limit is None or check.stats.pairs < limit
        found[split] += check.conclude()
        report.stats[split] = check.stats
        if held is not None:
            held_out.append((split, held))
        else:
            for other_split, other in held_out:
                found[other_split] += other.findings(pairs)
    everything = [finding for findings in found.values() for finding in findings]
    report.findings = sorted(everything, key=lambda finding: finding.severity)
    report.stats = {split: report.stats[split] for split in found if split in report.stats}
    return report


def _missing(split: Split) -> Finding:
    why, fix = WHY_HELD_OUT[split].format("text"), f"name a thousand pairs or so as data.{split}"
    return Finding("warning", f"data.{split}", "not given", why, fix)


class HeldOut:
    """The sentences of a held-out split, and where the training text has them too."""

    def __init__(self, pairs: ParallelText) -> None:
        self._pairs = pairs
        self._hashes: dict[str, list[Integers]] = {kind: [] for kind in _KINDS}
        self._sorted: dict[str, tuple[Integers, Integers]] = {}

    def add(self, chunk: Sequence[Pair]) -> None:
        """Take held-out pairs."""
        for kind, numbers in _all_hashes(chunk).items():
            self._hashes[kind].append(numbers)

    def compare(self, chunk: Sequence[Pair], first: int) -> None:
        """Compare training pairs; the first of them has the number `first`, counted from 1."""
        if not self._sorted:
            self._sorted = {kind: _known(parts) for kind, parts in self._hashes.items()}
        for kind, numbers in _all_hashes(chunk).items():
            known, found_at = self._sorted[kind]
            slots = np.minimum(np.searchsorted(known, numbers), len(known) - 1)
            matches = np.flatnonzero(known[slots] == numbers)[::-1]  # backwards, so that the earliest is kept
            new = matches[found_at[slots[matches]] == 0]
            found_at[slots[new]] = first + new

    def findings(self, train: ParallelText) -> list[Finding]:
        """What is in both, after the last training pair."""
        found = []
        for kind in _KINDS if self._sorted else ():
            known, found_at = self._sorted[kind]
            own = np.concatenate(self._hashes[kind])
            where = found_at[np.searchsorted(known, own)]
            where[own == 0] = 0
            if count := int(np.count_nonzero(where)):
                first = int(np.flatnonzero(where)[0])
                found.append(self._finding(kind, count, len(own), first + 1, int(where[first]), train))
        return found

    def _finding(self, kind: str, count: int, total: int, own: int, in_train: int, train: ParallelText) -> Finding:
        mine, theirs = (p.tgt_place if kind == "target" else p.src_place for p in (self._pairs, train))
        what = {"pair": "whole pair", "source": "source sentence", "target": "target sentence"}[kind]
        return Finding(
            "warning",
            mine(own),
            f"the {what} is in the training text too, at {theirs(in_train)}{and_more(count, verbs=DO, total=total)}",
            "the score is too good where the model has seen the answer",
            "remove these pairs from the training text",
        )


def _all_hashes(chunk: Sequence[Pair]) -> dict[str, Integers]:
    """A number for each pair, source and target; 0 for what is empty."""
    src, tgt = [pair.src.strip() for pair in chunk], [pair.tgt.strip() for pair in chunk]
    empty = np.array([not a or not b for a, b in zip(src, tgt, strict=True)])
    found = {"pair": hashes(list(zip(src, tgt, strict=True))), "source": hashes(src), "target": hashes(tgt)}
    for numbers in found.values():
        numbers[empty] = 0
    return found


def _known(parts: list[Integers]) -> tuple[Integers, Integers]:
    """The different numbers, sorted, and for each the first training pair that has it: none yet."""
    known = np.unique(np.concatenate(parts))
    return known, np.zeros(len(known), dtype=np.int64)

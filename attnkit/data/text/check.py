"""A linter for parallel text: what in it will hurt training or scoring, why, and how to mend it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice

from attnkit.data.config import Split
from attnkit.data.finding import DataReport, Finding
from attnkit.data.text.check_shared import HeldOut
from attnkit.data.text.check_split import SplitCheck, SplitStats, UnknowingEncoder
from attnkit.data.text.parallel_text import Pair, ParallelText
from attnkit.errors import DataError

_QUICK_PAIRS = 50_000
_PAIRS_AT_ONCE = 10_000
_WHY_HELD_OUT = {
    "valid": "the best checkpoint cannot be chosen, nor training stopped early",
    "test": "the model cannot be scored on text that it has not seen",
}


def check_parallel_text(
    data: Mapping[Split, ParallelText | None],
    *,
    quick: bool = False,
    max_length: int = 256,
    max_ratio: float = 4.0,
    tokenizers: tuple[UnknowingEncoder, UnknowingEncoder] | None = None,
    progress: Callable[[Split, int], None] | None = None,
) -> DataReport[SplitStats]:
    """Look for everything in a recipe's data that makes training fail or its scores misleading.

    Text is streamed. What grows with the corpus is a number for each training pair, to find duplicates.

    Args:
        data: the opened splits.
        quick: look only at the first pairs of each split, which takes about a second. What comes later goes unseen.
        max_length: tokens of the longest sentence that training keeps; looked at with `tokenizers` only.
        max_ratio: longer side over shorter that training keeps; looked at with `tokenizers` only.
        tokenizers: of source and target, to count tokens and unknown ones.
        progress: called now and then with a split and how many of its pairs have been looked at.
    """
    found: dict[Split, list[Finding]] = {"train": [], "valid": [], "test": []}
    report = DataReport[SplitStats]()
    held_out: list[tuple[Split, HeldOut]] = []
    limit = _QUICK_PAIRS if quick else None
    # Training text comes last: while it streams by, it is compared with what is held out.
    for split in ("valid", "test", "train"):
        try:
            pairs = data[split]
            if pairs is None:
                found[split].append(_missing(split))
                continue
            check = SplitCheck(split, pairs, max_length=max_length, max_ratio=max_ratio, tokenizers=tokenizers)
            check.look_at_files(limit=limit)
            held = HeldOut(pairs) if split != "train" else None
            for first, chunk in _chunks(pairs, limit):
                check.look_at(chunk, first)
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


def _chunks(pairs: ParallelText, limit: int | None) -> Iterator[tuple[int, list[Pair]]]:
    """Some pairs at a time, with the number of the first, counted from 1."""
    rest, first = islice(pairs, limit), 1
    while chunk := list(islice(rest, _PAIRS_AT_ONCE)):
        yield first, chunk
        first += len(chunk)


def _missing(split: Split) -> Finding:
    return Finding(
        "warning", f"data.{split}", "not given", _WHY_HELD_OUT[split], f"name a thousand pairs or so as data.{split}"
    )

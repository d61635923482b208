"""Holding validation and test pairs back from training text, so that no sentence of theirs is trained on.

A split that is drawn by line leaks wherever a sentence is in the text twice, and measures memory rather than
translation. Here the sentence decides: by a hash of its lower-cased source, so that all its lines go the same way.
"""

import gzip
import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import heappush, heappushpop
from pathlib import Path
from typing import TextIO

from attnkit.data.text.parallel_text import Pair
from attnkit.errors import DataError


def sentence_key(sentence: str) -> int:
    """A number for a sentence, equal for those that differ in case or white space only."""
    text = " ".join(sentence.lower().split())
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


@dataclass
class Kept:
    """How many training pairs were kept, and why others were not. Counted while they are read."""

    pairs: int = 0
    empty: int = 0
    """One side is empty."""
    same_src: int = 0
    """The source sentence is held back, the pairs of the held-back sets among them."""
    same_tgt: int = 0
    """The source is another one, but the target sentence is held back."""


@dataclass
class HeldBack:
    """Pairs that training must not see."""

    valid: list[Pair] = field(default_factory=list)
    test: list[Pair] = field(default_factory=list)
    src_keys: set[int] = field(default_factory=set)
    tgt_keys: set[int] = field(default_factory=set)

    def add_known(self, pairs: Iterable[Pair]) -> None:
        """Take the sentences of a set that is held back already, in files of its own."""
        for pair in pairs:
            self.src_keys.add(sentence_key(pair.src))
            self.tgt_keys.add(sentence_key(pair.tgt))

    def draw(self, pairs: Iterable[Pair], *, valid: int, test: int) -> None:
        """Draw new validation and test sets of at most so many pairs: the sentences with the smallest hashes.

        Every source sentence is drawn once, with its first translation. None is drawn that is in a known set, and no
        target sentence stands in both sets. Memory grows with the size of the sets, not of the text.
        """
        drawn = _smallest(pairs, self.src_keys, self.tgt_keys, count=valid + test)
        by_hash = sorted(drawn)
        self._take(self.test, [drawn[key] for key in by_hash[:test]])
        self._take(self.valid, [drawn[key] for key in by_hash[test:]])

    def _take(self, split: list[Pair], drawn: list[tuple[int, Pair]]) -> None:
        """Fill a split, in the order of the text, with pairs whose target is in no other split."""
        others = set(self.tgt_keys)
        new = [pair for _, pair in sorted(drawn) if sentence_key(pair.tgt) not in others]
        split.extend(new)
        self.add_known(new)

    def training_pairs(self, pairs: Iterable[Pair], kept: Kept) -> Iterator[Pair]:
        """The pairs that may be trained on, counted in `kept`: neither sentence is held back, and neither is empty.

        Raises:
            DataError: at the end, if there was none.
        """
        for pair in pairs:
            if not pair.src.strip() or not pair.tgt.strip():
                kept.empty += 1
            elif sentence_key(pair.src) in self.src_keys:
                kept.same_src += 1
            elif sentence_key(pair.tgt) in self.tgt_keys:
                kept.same_tgt += 1
            else:
                kept.pairs += 1
                yield pair
        if not kept.pairs:
            raise DataError(
                f"training text: each of {kept.same_src + kept.same_tgt + kept.empty} pairs has an empty side or a "
                "sentence that is held back; expected different sentences; see the data files"
            )


def _smallest(
    pairs: Iterable[Pair], src_keys: set[int], tgt_keys: set[int], *, count: int
) -> dict[int, tuple[int, Pair]]:
    """The `count` different source sentences of the smallest keys, each with the number of its first pair, and that."""
    drawn: dict[int, tuple[int, Pair]] = {}
    largest_first: list[int] = []  # a heap of the negated keys that are drawn
    for number, pair in enumerate(pairs):
        key = sentence_key(pair.src)
        if len(drawn) == count and (not count or key >= -largest_first[0]):
            continue
        if key in drawn or key in src_keys or not pair.src.strip() or not pair.tgt.strip():
            continue
        if sentence_key(pair.tgt) in tgt_keys:
            continue
        drawn[key] = number, pair
        if len(drawn) > count:
            del drawn[-heappushpop(largest_first, -key)]
        else:
            heappush(largest_first, -key)
    return drawn


def write_pairs(splits: Mapping[tuple[Path, Path], Iterable[Pair]]) -> None:
    """Write pairs to two text files for each split; all of the files whole, or none of them.

    Args:
        splits: source file and target file, and what goes into them; it is streamed. A name that ends in .gz is packed.
    """
    files = [file for both in splits for file in both]
    partial = {file: file.with_name(f"{file.name}.partial") for file in files}
    try:
        for (src, tgt), pairs in splits.items():
            src.parent.mkdir(parents=True, exist_ok=True)
            with _open_text(partial[src], src.suffix) as src_lines, _open_text(partial[tgt], tgt.suffix) as tgt_lines:
                for pair in pairs:
                    src_lines.write(f"{pair.src}\n")
                    tgt_lines.write(f"{pair.tgt}\n")
        for file in files:
            partial[file].replace(file)
    finally:
        for path in partial.values():
            path.unlink(missing_ok=True)


def _open_text(path: Path, suffix: str) -> TextIO:
    """Open a file for lines that end in a line feed on every platform."""
    if suffix == ".gz":
        packed = gzip.GzipFile(path, "wb", compresslevel=6, mtime=0)  # no date, so equal text gives equal bytes
        return io.TextIOWrapper(packed, encoding="utf-8", newline="\n")
    return path.open("w", encoding="utf-8", newline="\n")

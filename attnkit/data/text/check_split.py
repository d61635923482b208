"""The check of one split of parallel text: its lines, their tokens, its pairs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from attnkit.data.config import Split
from attnkit.data.finding import Finding
from attnkit.data.text.check_lines import Occurrences, OddCharacters, Place, check_file
from attnkit.data.text.parallel_text import Pair, ParallelText
from attnkit.data.text.ragged import Integers, ragged
from attnkit.data.text.token_cache import Encoder, left_out
from attnkit.structures.arrays import BoolArray

_UNKNOWN_RATE = 0.001
_UNTRANSLATED_WORDS = 4


class EncoderWithUnknown(Encoder, Protocol):
    """A tokenizer that has an id for what it does not know."""

    @property
    def unk_id(self) -> int:
        """The id of an unknown piece."""


@dataclass
class SideStats:
    """Counts over one side of a split."""

    name: str
    """The file."""
    chars: int = 0
    words: int = 0
    """Between white space."""
    longest: int = 0
    """Characters of the longest sentence."""
    empty: int = 0
    tokens: int | None = None
    """Only with a tokenizer, as is `unknown`."""
    unknown: int | None = None


@dataclass
class TextStats:
    """Counts over one split."""

    description: str
    """The files, or what is generated."""
    src: SideStats
    tgt: SideStats
    pairs: int = 0
    complete: bool = True
    """False when only its beginning was checked."""
    duplicates: int = 0
    """Pairs that are copies of earlier ones."""
    left_out: int = 0
    """Pairs that training skips: a side is empty, too long, or too long for the other."""


@dataclass
class _Side:
    """One side of a split while it is checked."""

    stats: SideStats
    place: Place
    tokenizer: EncoderWithUnknown | None
    odd: OddCharacters = field(default_factory=OddCharacters)
    unknown: Occurrences = field(default_factory=Occurrences)
    one_sided: Occurrences = field(default_factory=Occurrences)
    """Empty here, text on the other side."""


class TextSplitCheck:
    """Checks the pairs of a split, a chunk at a time."""

    def __init__(
        self,
        split: Split,
        pairs: ParallelText,
        *,
        max_length: int,
        max_ratio: float,
        tokenizers: tuple[EncoderWithUnknown, EncoderWithUnknown] | None,
    ) -> None:
        src_tokenizer, tgt_tokenizer = tokenizers or (None, None)
        names = [name for name, _ in pairs.files()] or [pairs.describe()]
        self.split = split
        self.pairs = pairs
        self.stats = TextStats(pairs.describe(), SideStats(names[0]), SideStats(names[-1]))
        self._src = _Side(self.stats.src, pairs.src_place, src_tokenizer)
        self._tgt = _Side(self.stats.tgt, pairs.tgt_place, tgt_tokenizer)
        self._limits = max_length, max_ratio
        self._both_empty, self._too_long = Occurrences(), Occurrences()
        self._uneven, self._untranslated = Occurrences(), Occurrences()
        self._hashes: list[Integers] = []
        self._file_findings: list[Finding] = []

    def check_files(self, *, limit: int | None) -> None:
        """Find what is removed silently when files are read; in so many lines at the beginning of each, or in all."""
        for name, file in self.pairs.files():
            self._file_findings += check_file(name, file, limit=limit)

    def add(self, chunk: Sequence[Pair], first: int) -> None:
        """Check some pairs; the first of them has the number `first`, counted from 1."""
        src, tgt = [pair.src for pair in chunk], [pair.tgt for pair in chunk]
        src_empty, tgt_empty = _check_lines(self._src, src, first), _check_lines(self._tgt, tgt, first)
        self._src.one_sided.add_where(src_empty & ~tgt_empty, first)
        self._tgt.one_sided.add_where(tgt_empty & ~src_empty, first)
        self._both_empty.add_where(src_empty & tgt_empty, first)
        dropped = src_empty | tgt_empty
        src_tokens, tgt_tokens = _count_tokens(self._src, src, first), _count_tokens(self._tgt, tgt, first)
        if src_tokens is not None and tgt_tokens is not None:
            empty, too_long, uneven = left_out(
                src_tokens, tgt_tokens, max_length=self._limits[0], max_ratio=self._limits[1]
            )
            self._too_long.add_where(too_long, first)
            self._uneven.add_where(uneven, first)
            dropped = empty | too_long | uneven
        for number, pair in enumerate(chunk, start=first):
            if pair.src == pair.tgt and _is_prose(pair.src):
                self._untranslated.add(number, pair.src)
        self._hashes.append(hashes(chunk))
        self.stats.pairs += len(chunk)
        self.stats.left_out += int(dropped.sum())

    def conclude(self) -> list[Finding]:
        """Complete the counts after the last pair, and return all findings."""
        if self.split == "train" and self.stats.pairs == self.stats.left_out:
            return [*self._file_findings, self._nothing_left()]
        sides = [_about_lines(self._src, self._tgt), _about_lines(self._tgt, self._src)]
        return [*self._file_findings, *sides[0], *sides[1], *self._about_pairs()]

    def _nothing_left(self) -> Finding:
        what = f"none of the {self.stats.pairs} pairs checked is left after filtering"
        fix = "see what the lines hold, raise filter.max_length or filter.max_ratio"
        severity: Literal["error", "warning"] = "error" if self.stats.complete else "warning"
        return Finding(severity, self.stats.description, what, "there is nothing to learn from", fix)

    def _about_pairs(self) -> list[Finding]:
        place, (max_length, max_ratio) = self.pairs.src_place, self._limits
        return [
            *self._both_empty.warning(
                place,
                "empty on both sides",
                "such a pair teaches nothing",
                "remove it from both files",
            ),
            *self._too_long.warning(
                place,
                f"longer than {max_length} tokens",
                "training skips such a pair" if self.split == "train" else "it takes long to translate",
                "split the sentence, or raise filter.max_length",
            ),
            *self._uneven.warning(
                place,
                f"one side is over {max_ratio:g} times as long as the other",
                "the two hardly translate each other" + ("; training skips them" * (self.split == "train")),
                "see whether the files are aligned here, or raise filter.max_ratio",
            ),
            *self._untranslated.warning(
                place,
                "source and target are the same",
                "the model learns to copy instead of translating",
                "remove pairs that are not translated",
            ),
            *self._about_duplicates(),
        ]

    def _about_duplicates(self) -> list[Finding]:
        if not self.pairs.files():
            return []
        self.stats.duplicates, first, again = duplicates(self._hashes)
        return Occurrences(self.stats.duplicates, again).warning(
            self.pairs.src_place,
            f"the pair is a copy of line {first}",
            "a copy counts twice",
            "remove the copies",
        )


def hashes(lines: Sequence[object]) -> Integers:
    """A number for each line or pair, equal for equal ones; it holds within this process."""
    return np.fromiter(map(hash, lines), dtype=np.int64, count=len(lines))


def duplicates(parts: list[Integers]) -> tuple[int, int, int]:
    """How many are copies, and the numbers, from 1, of the first copied pair and of its first copy."""
    all_hashes = np.concatenate(parts)
    order = np.argsort(all_hashes, kind="stable")
    ordered = all_hashes[order]
    repeats = np.flatnonzero(ordered[1:] == ordered[:-1]) + 1
    if not len(repeats):
        return 0, 0, 0
    earliest = repeats[np.argmin(order[repeats])]
    return len(repeats), int(order[earliest - 1]) + 1, int(order[earliest]) + 1


def _check_lines(side: _Side, lines: list[str], first: int) -> BoolArray:
    """Count, and note what is odd in lines; return which are empty."""
    lengths = np.fromiter((len(line.strip()) for line in lines), dtype=np.int64, count=len(lines))
    stats = side.stats
    stats.chars += int(lengths.sum())
    stats.words += sum(len(line.split()) for line in lines)
    stats.longest = max(stats.longest, int(lengths.max()))
    empty: BoolArray = lengths == 0
    stats.empty += int(empty.sum())
    side.odd.add(lines, first)
    return empty


def _count_tokens(side: _Side, lines: list[str], first: int) -> Integers | None:
    """The tokens of each line; unknown ones are noted."""
    if side.tokenizer is None:
        return None
    rows = ragged(side.tokenizer.encode(lines))
    unknown = np.flatnonzero(rows.flat() == side.tokenizer.unk_id)
    if len(unknown) and not side.unknown.count:
        row = int(np.searchsorted(np.cumsum(rows.lengths), unknown[0], side="right"))
        side.unknown.add(first + row)
    side.stats.tokens = (side.stats.tokens or 0) + int(rows.lengths.sum())
    side.stats.unknown = (side.stats.unknown or 0) + len(unknown)
    return rows.lengths


def _is_prose(line: str) -> bool:
    """Long enough, and made of letters, that its translation should differ."""
    return len(line.split()) >= _UNTRANSLATED_WORDS and any(map(str.isalpha, line))


def _about_lines(side: _Side, other: _Side) -> list[Finding]:
    tokens, unknown = side.stats.tokens or 0, side.stats.unknown or 0
    rate = unknown / tokens if tokens else 0.0
    return [
        *side.one_sided.warning(
            side.place,
            f"empty line, but {other.place(side.one_sided.first)} has text",
            "training skips such a pair, and in a test set it costs score",
            "remove the pair from both files, or fill the line",
        ),
        *side.odd.findings(side.place),
        *(side.unknown if rate > _UNKNOWN_RATE else Occurrences()).warning(
            side.place,
            f"{unknown} of {tokens} tokens ({rate:.2%}) are unknown to the tokenizer, first here",
            "the model can neither read nor write them",
            "set tokenizer.byte_fallback to true, or raise tokenizer.vocab_size",
        ),
    ]

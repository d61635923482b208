"""The training pairs as token ids in memory-mapped files: any number of pairs, a handful of Python objects.

<cache>/tokens/<key>/
  cache.json          format, counts, file sizes; written last
  src.*  tgt.*        ids of the kept pairs: uint16, or uint32 for vocabularies that need it
  numbers             uint32, which pair of the data each kept pair was, counted from 1
  src_text.*  ...     UTF-8, only where subword sampling needs the text again
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from attnkit.data.files import cache_folder, cached_folder
from attnkit.data.text.parallel_text import Pair, ParallelText, chunks
from attnkit.data.text.ragged import Integers, MappedArray, MappedRagged, Ragged, RaggedWriter, ragged, write_ragged
from attnkit.errors import DataError
from attnkit.run_dir import write_json
from attnkit.structures.arrays import BoolArray

_FORMAT = 1
_RATIO_FROM = 10
"""Tokens. The ratio of lengths says little about short pairs: it counts where the longer side has more than this."""
_NUMBER, _BYTE = np.dtype("<u4"), np.dtype("u1")


class Encoder(Protocol):
    """What the cache needs of a tokenizer."""

    @property
    def vocab_size(self) -> int:
        """Every id is below it."""

    @property
    def fingerprint(self) -> str:
        """A hash of what decides the ids."""

    def encode(self, lines: Sequence[str], /) -> list[list[int]]:
        """Cut lines into ids."""


@dataclass(frozen=True)
class PairCounts:
    """How many pairs were read, how many kept, and why the others were not."""

    read: int
    kept: int
    empty: int
    """One side or both have no token."""
    too_long: int
    uneven: int
    """One side is longer than the other by more than the ratio allows."""


class TokenCache:
    """The kept pairs of a training corpus as ids, in files."""

    def __init__(self, folder: Path) -> None:
        """Map the files that `build_token_cache` made.

        Raises:
            ValueError: they are not whole, or of another format.
            OSError: they cannot be read.
        """
        about = json.loads((folder / "cache.json").read_text(encoding="utf-8"))
        if about.get("format") != _FORMAT or about.get("sizes") != _sizes(folder):
            raise ValueError(f"{folder} is not a whole token cache of format {_FORMAT}")
        self.folder = folder
        self.counts = PairCounts(**about["counts"])
        ids = np.dtype(about["ids"])
        self._src, self._tgt = MappedRagged(folder, "src", ids), MappedRagged(folder, "tgt", ids)
        self._numbers = MappedArray(folder / "numbers", _NUMBER)
        self._texts = (
            (MappedRagged(folder, "src_text", _BYTE), MappedRagged(folder, "tgt_text", _BYTE))
            if about["keeps_text"]
            else None
        )

    def __len__(self) -> int:
        return self.counts.kept

    @property
    def src_lengths(self) -> Integers:
        """Tokens of every source, int32, mapped; end of sentence not counted."""
        return self._src.lengths

    @property
    def tgt_lengths(self) -> Integers:
        """Tokens of every target, int32, mapped; end of sentence not counted."""
        return self._tgt.lengths

    @property
    def numbers(self) -> Integers:
        """Which pair of the data each one was, counted from 1: ParallelText.src_place turns it into `file:line`."""
        return self._numbers.values

    def src(self, index: int) -> Integers:
        """Ids of one source."""
        return self._src.row(index)

    def tgt(self, index: int) -> Integers:
        """Ids of one target."""
        return self._tgt.row(index)

    def rows(self, indices: Integers) -> tuple[Ragged, Ragged]:
        """Ids of several pairs, copied: sources, targets."""
        return self._src.rows(indices), self._tgt.rows(indices)

    def lines(self, indices: Integers) -> tuple[list[str], list[str]]:
        """The text of several pairs: sources, targets.

        Raises:
            ValueError: the cache was built without its text.
        """
        if self._texts is None:
            raise ValueError("this token cache was built without keep_text")
        src, tgt = ([text.row(int(i)).tobytes().decode() for i in indices] for text in self._texts)
        return src, tgt

    def release(self) -> None:
        """Let go of the pages that are in memory, which are read again when needed."""
        for part in (self._src, self._tgt, self._numbers, *(self._texts or ())):
            part.release()


def build_token_cache(
    pairs: ParallelText,
    src_tokenizer: Encoder,
    tgt_tokenizer: Encoder,
    *,
    max_length: int,
    max_ratio: float,
    keep_text: bool = False,
    folder: Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> TokenCache:
    """Tokenise pairs into a cache, or open the one that an earlier run made of the same.

    Memory does not grow with the number of pairs. The cache appears whole or not at all.

    Args:
        max_length: tokens; pairs with a longer side are left out.
        max_ratio: longer side over shorter; pairs beyond are left out, short ones excepted.
        keep_text: keep the text too, for subword sampling.
        folder: where caches lie; None is the user's cache folder.
        progress: called now and then with the number of pairs read so far.

    Raises:
        DataError: the data is broken, no pair is left, or the disk is full.
    """
    place = cache_folder() / "tokens" if folder is None else folder
    what = [pairs.fingerprint(), src_tokenizer.fingerprint, tgt_tokenizer.fingerprint, max_length, max_ratio, keep_text]
    final = place / hashlib.sha256(json.dumps([_FORMAT, *what]).encode()).hexdigest()[:32]
    builder = _Builder(pairs, src_tokenizer, tgt_tokenizer, max_length, max_ratio, keep_text)
    return cached_folder(final, read=TokenCache, write=lambda partial: builder.write(partial, progress))


class SamplingEncoder(Protocol):
    """What is needed of a tokenizer."""

    def sample(self, lines: Sequence[str], /, *, seed: int) -> list[list[int]]:
        """Cut lines at random; the same for the same seed."""


class SubwordSampler:
    """Subword regularisation: the pairs of a batch are cut again in every epoch. A `sampler` for TokenBatches.

    The cut depends on seed, epoch and which pairs stand together, so a resumed run sees what an uninterrupted one sees.
    """

    def __init__(
        self, cache: TokenCache, src_tokenizer: SamplingEncoder, tgt_tokenizer: SamplingEncoder, *, seed: int
    ) -> None:
        """Take a cache that was built with keep_text, and the tokenizers that it was built with."""
        self._cache = cache
        self._src_tokenizer = src_tokenizer
        self._tgt_tokenizer = tgt_tokenizer
        self._seed = seed

    def __call__(self, indices: Integers, epoch: int) -> tuple[list[list[int]], list[list[int]]]:
        """Cut the pairs of a batch."""
        about = f"{self._seed} {epoch} ".encode() + indices.astype("<i8").tobytes()
        seed = int.from_bytes(hashlib.sha256(about).digest()[:4], "little")
        src, tgt = self._cache.lines(indices)
        return self._src_tokenizer.sample(src, seed=seed), self._tgt_tokenizer.sample(tgt, seed=seed + 1)


@dataclass(frozen=True)
class _Builder:
    """Writes the files of a cache."""

    pairs: ParallelText
    src_tokenizer: Encoder
    tgt_tokenizer: Encoder
    max_length: int
    max_ratio: float
    keep_text: bool

    def write(self, folder: Path, progress: Callable[[int], None] | None) -> None:
        """Read the pairs once, a chunk at a time."""
        largest = max(self.src_tokenizer.vocab_size, self.tgt_tokenizer.vocab_size)
        ids = np.dtype("<u2" if largest <= 1 << 16 else "<u4")
        dropped = np.zeros(3, dtype=np.int64)
        read = kept = 0
        with ExitStack() as files:
            numbers = files.enter_context((folder / "numbers").open("wb"))
            names = ["src", "tgt", *(["src_text", "tgt_text"] if self.keep_text else [])]
            writers = [
                files.enter_context(write_ragged(folder, name, ids if name in ("src", "tgt") else _BYTE))
                for name in names
            ]
            for chunk in chunks(self.pairs):
                keep, why = self._write_chunk(chunk, writers)
                numbers.write((read + 1 + np.flatnonzero(keep)).astype(_NUMBER).data)
                dropped += why
                read += len(chunk)
                kept += int(keep.sum())
                if progress is not None:
                    progress(read)
        empty, too_long, uneven = map(int, dropped)
        counts = PairCounts(read=read, kept=kept, empty=empty, too_long=too_long, uneven=uneven)
        self._check(counts)
        about = {"format": _FORMAT, "ids": ids.str, "keeps_text": self.keep_text, "counts": asdict(counts)}
        write_json(folder / "cache.json", {**about, "sizes": _sizes(folder)})

    def _write_chunk(self, chunk: list[Pair], writers: list[RaggedWriter]) -> tuple[BoolArray, Integers]:
        """Append one chunk; say which pairs were kept, and how many were dropped as empty, too long, uneven."""
        sides = [[pair.src for pair in chunk], [pair.tgt for pair in chunk]]
        src, tgt = ragged(self.src_tokenizer.encode(sides[0])), ragged(self.tgt_tokenizer.encode(sides[1]))
        empty, too_long, uneven = left_out(
            src.lengths, tgt.lengths, max_length=self.max_length, max_ratio=self.max_ratio
        )
        keep = ~(empty | too_long | uneven)
        kept = np.flatnonzero(keep)
        texts = [_bytes(side) for side in sides] if self.keep_text else []
        for writer, rows in zip(writers, (src, tgt, *texts), strict=True):
            writer.append(rows.rows(kept))
        return keep, np.array([empty.sum(), too_long.sum(), uneven.sum()])

    def _check(self, counts: PairCounts) -> None:
        if not counts.kept:
            raise DataError(
                f"{self.pairs.describe()}: no training pair is left of {counts.read}: {counts.empty} empty, "
                f"{counts.too_long} longer than {self.max_length} tokens, {counts.uneven} with a length ratio above "
                f"{self.max_ratio}; expected at least one; raise filter.max_length or filter.max_ratio"
            )


def left_out(
    src_lengths: Integers, tgt_lengths: Integers, *, max_length: int, max_ratio: float
) -> tuple[BoolArray, BoolArray, BoolArray]:
    """Which pairs training passes over because they are empty, too long, or uneven: one reason each."""
    shorter, longer = np.minimum(src_lengths, tgt_lengths), np.maximum(src_lengths, tgt_lengths)
    empty = shorter == 0
    too_long = ~empty & (longer > max_length)
    uneven = ~empty & ~too_long & (longer > _RATIO_FROM) & (longer > max_ratio * shorter)
    return empty, too_long, uneven


def _bytes(lines: list[str]) -> Ragged:
    """UTF-8 of lines."""
    encoded = [line.encode() for line in lines]
    lengths = np.fromiter(map(len, encoded), dtype=np.int64, count=len(encoded))
    return Ragged(np.frombuffer(b"".join(encoded), dtype=_BYTE), lengths)


def _sizes(folder: Path) -> dict[str, int]:
    """The size of every file of a cache but the one that says so."""
    return {path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.name != "cache.json"}

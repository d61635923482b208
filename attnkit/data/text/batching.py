"""Token ids to padded tensors, so many tokens at a time, in an order that depends on seed and epoch alone."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attnkit.data.text.ragged import Integers, Ragged, Rows, concatenate, ragged
from attnkit.data.text.token_cache import TokenCache
from attnkit.errors import DataError
from attnkit.structures.arrays import IntArray

Sampler = Callable[[Integers, int], tuple[Rows, Rows]]
"""Indices of pairs and the epoch to source and target ids, freshly cut."""

_PAIRS_AT_ONCE = 10_000
_MEASURED_PAIRS = 1000
_GROWTH_MARGIN = 1.08
"""Pairs whose lengths vary at random fit together less well: room for the padding that this adds (seen on Multi30k)."""
_LIMIT_STEP = 1.02


@dataclass(frozen=True)
class Batch:
    """Padded pairs. B sentences, S source tokens, T target tokens; padding is on the right."""

    src: Tensor
    """(B, S) int64: the source, then end of sentence."""
    tgt_in: Tensor
    """(B, T) int64: begin of sentence, then the target: what the decoder reads."""
    tgt_out: Tensor
    """(B, T) int64: the target, then end of sentence: what it should say."""
    indices: Integers
    """(B,) int64: which pairs these are."""
    num_tgt_tokens: int
    """Target tokens, end of sentence counted and padding not: what the loss is a mean over."""
    pad_id: int = 0

    def __len__(self) -> int:
        return len(self.indices)

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on a device."""
        src, tgt_in, tgt_out = (ids.to(device, non_blocking=True) for ids in (self.src, self.tgt_in, self.tgt_out))
        return Batch(src, tgt_in, tgt_out, self.indices, self.num_tgt_tokens, self.pad_id)

    def halves(self) -> "tuple[Batch, Batch]":
        """Two batches of half the sentences each; columns that are padding in all of a half are cut off.

        Raises:
            ValueError: there is only one sentence.
        """
        if len(self) < 2:
            raise ValueError("a batch of one sentence cannot be halved")
        middle = len(self) // 2
        return self._part(slice(0, middle)), self._part(slice(middle, len(self)))

    def _part(self, rows: slice) -> "Batch":
        src_width = int((self.src[rows] != self.pad_id).sum(1).max())
        tgt_lengths = (self.tgt_out[rows] != self.pad_id).sum(1)
        tgt_width = int(tgt_lengths.max())
        return Batch(
            src=self.src[rows, :src_width],
            tgt_in=self.tgt_in[rows, :tgt_width],
            tgt_out=self.tgt_out[rows, :tgt_width],
            indices=self.indices[rows],
            num_tgt_tokens=int(tgt_lengths.sum()),
            pad_id=self.pad_id,
        )


class TokenBatches:
    """The batches of every epoch."""

    def __init__(
        self,
        cache: TokenCache,
        *,
        batch_tokens: tuple[int, int],
        seed: int,
        pool: int = 200_000,
        pad_id: int = 0,
        bos_id: int = 2,
        eos_id: int = 3,
        sampler: Sampler | None = None,
        release_every: int = 256,
    ) -> None:
        """Plan batches over a cache.

        Args:
            batch_tokens: rows times columns, padding and end of sentence counted, that the source and the target
                tensor of a batch may have.
            seed: of the shuffling.
            pool: so many pairs at a time are sorted by length and cut into batches.
            sampler: cuts the pairs of a pool again in every epoch. The number of batches is then planned from the
                cached lengths times the mean growth measured on some pairs, so that skipping batches needs no
                sampling; if an epoch turns out longer than planned, its batches exceed their limits by the few
                percent it takes. Nothing is ever truncated.
            release_every: after so many batches mapped pages are let go, so that memory does not grow with the corpus.

        Raises:
            DataError: a single pair is above the limits.
        """
        self._cache = cache
        self._limits = batch_tokens
        self._seed = seed
        self._pool = pool
        self._release_every = release_every
        self._ids = {"pad_id": pad_id, "bos_id": bos_id, "eos_id": eos_id}
        self._sampler = sampler
        self._growth = (1.0, 1.0) if sampler is None else _growth(cache, sampler)
        self._counts: dict[int, int] = {}
        self._check_limits()

    def num_batches(self, epoch: int) -> int:
        """How many batches an epoch has. The first call plans them all, which takes a while for millions of pairs."""
        if epoch not in self._counts:
            self._counts = {epoch: sum(len(cuts) for _, _, cuts in self._plan(epoch))}
        return self._counts[epoch]

    def batches(self, epoch: int, start: int = 0, every: int = 1) -> Iterator[Batch]:
        """The batches of an epoch.

        Args:
            epoch: counted from 0.
            start: so many batches at its beginning are skipped; they are planned, but not made.
            every: of the rest, only the first is made, and every `every`-th one behind it.
        """
        made = 0
        for pool, (pairs, order, cuts) in enumerate(self._plan(epoch)):
            if start >= len(cuts):
                start -= len(cuts)
                continue
            drawn = None
            if self._sampler is not None:
                drawn = _draw(self._sampler, pairs, epoch)
                src_lengths, tgt_lengths = drawn[0].lengths + 1, drawn[1].lengths + 1
                order = by_length(src_lengths, tgt_lengths)
                cuts = cut_into(src_lengths[order], tgt_lengths[order], self._limits, len(cuts))
            self._generator(epoch, pool).shuffle(cuts)
            for first, last in cuts[start::every]:
                chosen = order[first:last]
                indices = pairs[chosen].astype(np.int64)
                src, tgt = (drawn[0].rows(chosen), drawn[1].rows(chosen)) if drawn else self._cache.rows(indices)
                yield _pad(src, tgt, indices, **self._ids)
                made += 1
                if made % self._release_every == 0:
                    self._cache.release()
            start = (start - len(cuts)) % every

    def _plan(self, epoch: int) -> Iterator[tuple[Integers, Integers, Integers]]:
        """For every pool: its pairs, the order that sorts them by length, and where that order is cut."""
        count = len(self._cache)
        everything = np.arange(count, dtype=np.int32 if count < 2**31 else np.int64)
        shuffled = self._generator(epoch).permutation(everything)
        for begin in range(0, count, self._pool):
            pairs = shuffled[begin : begin + self._pool]
            src_lengths, tgt_lengths = self._lengths(pairs)
            order = by_length(src_lengths, tgt_lengths)
            yield pairs, order, cut(src_lengths[order], tgt_lengths[order], self._limits)

    def _lengths(self, pairs: Integers | slice) -> tuple[Integers, Integers]:
        """Tokens with end of sentence, as far as they are known beforehand."""
        cached = self._cache.src_lengths[pairs], self._cache.tgt_lengths[pairs]
        if self._sampler is None:
            return cached[0] + 1, cached[1] + 1
        src, tgt = (np.ceil(lengths * growth) for lengths, growth in zip(cached, self._growth, strict=True))
        return src.astype(np.int32) + 1, tgt.astype(np.int32) + 1

    def _generator(self, *about: int) -> np.random.Generator:
        return np.random.Generator(np.random.PCG64([self._seed, *about]))

    def _check_limits(self) -> None:
        for side, lengths, limit in zip(("src", "tgt"), self._lengths(slice(None)), self._limits, strict=True):
            if (longest := int(lengths.max())) > limit:
                raise DataError(
                    f"batch.{side}_tokens: {limit} is less than the {longest} tokens of the longest training sentence; "
                    f"expected at least that; set it to {longest} or more, or lower filter.max_length"
                )


def make_batch(src: Rows, tgt: Rows, *, pad_id: int = 0, bos_id: int = 2, eos_id: int = 3) -> Batch:
    """Pad pairs that are in memory; `indices` are their places in the lists."""
    return _pad(ragged(src), ragged(tgt), np.arange(len(src)), pad_id=pad_id, bos_id=bos_id, eos_id=eos_id)


def batches_in_order_of_length(
    src: Rows, tgt: Rows, *, batch_tokens: tuple[int, int], pad_id: int = 0, bos_id: int = 2, eos_id: int = 3
) -> Iterator[Batch]:
    """Every pair once, longest first, for validation; `indices` are the places in the lists.

    A pair that alone is above the limits makes a batch of its own.
    """
    src_rows, tgt_rows = ragged(src), ragged(tgt)
    order = by_length(src_rows.lengths, tgt_rows.lengths)
    for first, last in cut(src_rows.lengths[order] + 1, tgt_rows.lengths[order] + 1, batch_tokens)[::-1]:
        chosen = order[first:last]
        yield _pad(src_rows.rows(chosen), tgt_rows.rows(chosen), chosen, pad_id=pad_id, bos_id=bos_id, eos_id=eos_id)


def _growth(cache: TokenCache, sampler: Sampler) -> tuple[float, float]:
    """How many times the cached tokens to plan for, source and target: measured on some pairs, and a margin."""
    some = np.unique(np.linspace(0, len(cache) - 1, num=min(len(cache), _MEASURED_PAIRS), dtype=np.int64))
    src, tgt = sampler(some, 0)
    src_growth = sum(map(len, src)) / int(cache.src_lengths[some].sum())
    tgt_growth = sum(map(len, tgt)) / int(cache.tgt_lengths[some].sum())
    return src_growth * _GROWTH_MARGIN, tgt_growth * _GROWTH_MARGIN


def _draw(sampler: Sampler, pairs: Integers, epoch: int) -> tuple[Ragged, Ragged]:
    """Cut the pairs of a pool again, some at a time."""
    src, tgt = [], []
    for begin in range(0, len(pairs), _PAIRS_AT_ONCE):
        some_src, some_tgt = sampler(pairs[begin : begin + _PAIRS_AT_ONCE], epoch)
        src.append(ragged(some_src))
        tgt.append(ragged(some_tgt))
    return concatenate(src), concatenate(tgt)


def _pad(src: Ragged, tgt: Ragged, indices: Integers, *, pad_id: int, bos_id: int, eos_id: int) -> Batch:
    return Batch(
        src=_rectangle(src, pad_id, last=eos_id),
        tgt_in=_rectangle(tgt, pad_id, first=bos_id),
        tgt_out=_rectangle(tgt, pad_id, last=eos_id),
        indices=np.asarray(indices, dtype=np.int64),
        num_tgt_tokens=int(tgt.lengths.sum()) + len(tgt.lengths),
        pad_id=pad_id,
    )


def _rectangle(rows: Ragged, pad_id: int, *, first: int | None = None, last: int | None = None) -> Tensor:
    """Rows with one id more, before or behind, padded to the longest."""
    lengths = rows.lengths
    width = int(lengths.max(initial=0)) + 1
    shift = 0 if first is None else 1
    columns: IntArray = np.arange(width) - shift
    filled = np.full((len(lengths), width), pad_id, dtype=np.int64)
    filled[(columns >= 0) & (columns < lengths[:, None])] = rows.flat()
    if first is not None:
        filled[:, 0] = first
    if last is not None:
        filled[np.arange(len(lengths)), lengths] = last
    return torch.from_numpy(filled)


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

"""Subword regularisation: the pairs of a batch, cut anew in every epoch."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Protocol

from attnkit.data.text.ragged import IntArray
from attnkit.data.text.token_cache import TokenCache


class SamplingEncoder(Protocol):
    """What is needed of a tokenizer."""

    def sample(self, lines: Sequence[str], /, *, seed: int) -> list[list[int]]:
        """Cut lines at random; the same for the same seed."""


class SubwordSampler:
    """Gives freshly cut ids of pairs; a `sampler` for TokenBatches.

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

    def __call__(self, indices: IntArray, epoch: int) -> tuple[list[list[int]], list[list[int]]]:
        """Cut the pairs of a batch."""
        about = f"{self._seed} {epoch} ".encode() + indices.astype("<i8").tobytes()
        seed = int.from_bytes(hashlib.sha256(about).digest()[:4], "little")
        src, tgt = self._cache.lines(indices)
        return self._src_tokenizer.sample(src, seed=seed), self._tgt_tokenizer.sample(tgt, seed=seed + 1)

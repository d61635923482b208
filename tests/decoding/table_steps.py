"""A decoder whose every probability stands in a table, and an exhaustive search to compare with."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from attnkit.decoding.length_penalty import LengthPenalty
from attnkit.decoding.rules import Rules, make_rules

BOS, EOS = 0, 1

Table = Callable[[tuple[int, ...]], Sequence[float]]
"""From the tokens so far, without `bos`, to the probabilities of the next."""


class TableSteps:
    """A fake decoder: each sentence has its own table. It remembers what it was fed, and checks how it is called."""

    def __init__(self, *tables: Table) -> None:
        self.tables = list(tables)
        self.rows: list[list[tuple[int, ...]]] = [[()] for _ in tables]
        self.num_rows: list[int] = []
        self.reorders = 0

    def step(self, tokens: Tensor) -> Tensor:
        assert tokens.dtype == torch.int64
        assert tokens.shape == (len(self.rows), len(self.rows[0]))
        self.num_rows.append(tokens.numel())
        self.rows = [
            [(*so_far, token) for so_far, token in zip(row, fed, strict=True)]
            for row, fed in zip(self.rows, tokens.tolist(), strict=True)
        ]
        probs = [[list(table(so_far[1:])) for so_far in row] for table, row in zip(self.tables, self.rows, strict=True)]
        return torch.tensor(probs).log()

    def reorder(self, sentences: Tensor, beams: Tensor) -> None:
        assert sentences.dtype == beams.dtype == torch.int64
        assert len(sentences) == len(beams) > 0
        kept = sentences.tolist()
        assert all(old == new or old >= len(kept) for new, old in enumerate(kept))
        assert len(set(kept)) == len(kept)
        self.reorders += 1
        self.tables = [self.tables[sentence] for sentence in kept]
        self.rows = [
            [self.rows[sentence][beam] for beam in row] for sentence, row in zip(kept, beams.tolist(), strict=True)
        ]


def by_position(rows: Sequence[Sequence[float]]) -> Table:
    """Probabilities that depend on the position alone; the last row goes on for ever."""
    return lambda so_far: rows[min(len(so_far), len(rows) - 1)]


def by_history(rows: Mapping[tuple[int, ...], Sequence[float]]) -> Table:
    """Probabilities for the histories that matter; all tokens alike after any other."""
    size = len(rows[()])
    return lambda so_far: rows.get(so_far, [1 / size] * size)


def random_table(vocab_size: int, seed: int) -> Table:
    """Probabilities that depend on all tokens so far."""

    def table(so_far: tuple[int, ...]) -> Sequence[float]:
        generator = np.random.default_rng([seed, len(so_far), *so_far])
        return [float(prob) for prob in generator.dirichlet(np.full(vocab_size, 0.7))]

    return table


def exhaustive(
    table: Table, *, vocab_size: int, eos_id: int, max_length: int, length_penalty: LengthPenalty
) -> list[tuple[float, tuple[int, ...]]]:
    """Every hypothesis there is, (score, tokens without end of sentence), best first."""
    found = []
    others = [token for token in range(vocab_size) if token != eos_id]
    for length in range(max_length + 1):
        for tokens in itertools.product(others, repeat=length):
            taken = tokens if length == max_length else (*tokens, eos_id)
            probs = [np.float32(table(taken[:place])[token]) for place, token in enumerate(taken)]
            found.append((float(np.sum(np.log(probs))) / length_penalty(len(taken)), tokens))
    return sorted(found, key=lambda pair: -pair[0])


def rules_for(*max_lengths: int, forbidden_ids: tuple[int, ...] = (), min_length: int = 0, prefixes=None) -> Rules:
    return make_rules(
        max_lengths=torch.tensor(max_lengths, dtype=torch.int64),
        bos_id=BOS,
        eos_id=EOS,
        forbidden_ids=forbidden_ids,
        min_length=min_length,
        prefixes=prefixes,
    )

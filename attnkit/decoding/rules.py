"""What a search may not decide: which tokens are forbidden, how long outputs are, how they begin."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from attnkit.decoding.steps import IntArray


@dataclass(frozen=True)
class Rules:
    """The rules for a batch of B sentences; step 0 chooses the first token after `bos`."""

    bos_id: int
    eos_id: int
    limits: IntArray
    """(B,) most tokens of an output, end of sentence not counted."""
    min_length: int
    forbidden: Tensor
    """Ids that are never chosen."""
    prefix_table: IntArray
    """(B, longest prefix) forced tokens, -1 where the search is free."""
    device: torch.device

    @property
    def num_sentences(self) -> int:
        """B."""
        return len(self.limits)

    def forbid(self, log_probs: Tensor, step: int) -> None:
        """Set what must not be chosen in this step to minus infinity, in place.

        What is left is not normalised anew, so that a score stays the model's own log-probability.

        Args:
            log_probs: (N, V).
        """
        log_probs.index_fill_(1, self.forbidden, -torch.inf)
        if step < self.min_length:
            log_probs[:, self.eos_id] = -torch.inf

    def forced(self, sentences: IntArray, step: int) -> IntArray:
        """The tokens that `sentences` must take in this step, -1 where they are free."""
        if step < self.prefix_table.shape[1]:
            return self.prefix_table[sentences, step]
        return np.full(len(sentences), -1)

    def start(self) -> Tensor:
        """(B, 1) what is fed first."""
        return torch.full((self.num_sentences, 1), self.bos_id, device=self.device)


def make_rules(
    *,
    max_lengths: Tensor,
    bos_id: int,
    eos_id: int,
    forbidden_ids: Sequence[int] = (),
    min_length: int = 0,
    prefixes: Sequence[Sequence[int]] | None = None,
) -> Rules:
    """Check the rules of a search and bring them into tables.

    Args:
        max_lengths: (B,) int64 on the decoder's device: most output tokens, end of sentence not counted, at least 1.
        forbidden_ids: never chosen (padding, begin of sentence).
        min_length: fewest output tokens, end of sentence not counted; a maximum below it wins.
        prefixes: B lists of forced first tokens, empty where the search is free. They belong to the output and to its
            length, count as certain, and are kept whole even beyond the maximum.

    Raises:
        ValueError: a maximum below 1, `eos_id` forbidden or in a prefix, or not one prefix per sentence.
    """
    limits = max_lengths.cpu().numpy().astype(np.int64)
    if (limits < 1).any():
        raise ValueError(f"max_lengths: {limits.min()} is below 1")
    if eos_id in forbidden_ids:
        raise ValueError(f"forbidden_ids: {eos_id} is the end of sentence; use min_length to hold it back")
    prefixes = [[]] * len(limits) if prefixes is None else prefixes
    if len(prefixes) != len(limits):
        raise ValueError(f"prefixes: {len(prefixes)} for {len(limits)} sentences")
    lengths = np.array([len(prefix) for prefix in prefixes], dtype=np.int64)
    table = np.full((len(limits), lengths.max(initial=0)), -1)
    for row, prefix in zip(table, prefixes, strict=True):
        if eos_id in prefix:
            raise ValueError(f"prefixes: {list(prefix)} has the end of sentence, {eos_id}, in it")
        row[: len(prefix)] = prefix
    return Rules(
        bos_id=bos_id,
        eos_id=eos_id,
        limits=np.maximum(limits, lengths),
        min_length=min_length,
        forbidden=torch.tensor(sorted(set(forbidden_ids)), dtype=torch.int64, device=max_lengths.device),
        prefix_table=table,
        device=max_lengths.device,
    )

"""What a search asks of a model: one step, and to let its rows be rearranged."""

from typing import Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

IntArray = npt.NDArray[np.int64]


class DecoderSteps(Protocol):
    """A batch of B sentences in the middle of being decoded, k hypotheses each.

    It starts with one hypothesis per sentence, of which nothing is fed yet.
    """

    def step(self, tokens: Tensor) -> Tensor:
        """Feed one token to every hypothesis.

        Args:
            tokens: (B, k) int64; in the first call `bos`, with k = 1.

        Returns:
            (B, k, V) float32 logits of the next token. The search may overwrite them.
        """
        ...

    def reorder(self, sentences: Tensor, beams: Tensor) -> None:
        """Go on with other rows: the new row (b, j) continues the old row (sentences[b], beams[b, j]).

        Args:
            sentences: (B',) int64. Each that can keeps its place, and the last ones fill the gaps: sentences[b] is b or
                at least B'. So what is kept per sentence can be moved in place, and where none has left, none moves.
            beams: (B', k') int64; k' may differ from k.
        """
        ...


def close_gaps(stays: npt.NDArray[np.bool_]) -> IntArray:
    """The rows that stay, as `reorder` wants them: each in its place, and the last ones where a row has left."""
    rows = np.flatnonzero(stays)
    kept = np.arange(len(rows))
    kept[~stays[: len(rows)]] = rows[rows >= len(rows)]
    return kept

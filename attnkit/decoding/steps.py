"""What a search asks of a model: one step, and to let its rows be rearranged."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


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
            sentences: (B',) int64, strictly ascending: as many as before means that no sentence left.
            beams: (B', k') int64; k' may differ from k.
        """
        ...

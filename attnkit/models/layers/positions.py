"""How a model is told the order of its tokens. Each scheme gives rows that are added to the token embeddings."""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

Scheme = Literal["sinusoidal", "learned", "index", "fraction"]


def sinusoidal_positions(positions: Int[Tensor, "T"], embed_dim: int) -> Float[Tensor, "T C"]:
    """PE(pos, 2i) = sin(pos / 10000^(2i/C)), PE(pos, 2i+1) = cos of the same: sine and cosine interleaved.

    Source: Vaswani et al. 2017, section 3.5. (tensor2tensor, fairseq and Marian put all sines before all cosines, with
    exponents i / (C/2 - 1): as good, but their weights do not fit this table.)
    """
    exponents = torch.arange(0, embed_dim, 2, dtype=torch.float64, device=positions.device) / embed_dim
    angles = positions.double()[:, None] / 10000.0**exponents  # (T, C/2)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1).float()


class Positions(nn.Module):
    """Position rows by one of four schemes: the paper's, a learned table, and the two naive ones of the lecture."""

    def __init__(self, scheme: Scheme, embed_dim: int, *, max_positions: int) -> None:
        super().__init__()
        self.scheme = scheme
        self.embed_dim = embed_dim
        self.max_positions = max_positions
        if scheme == "learned":
            self.table = nn.Parameter(torch.empty(max_positions, embed_dim).normal_(std=embed_dim**-0.5))
        self._known = torch.empty(0, embed_dim)

    def forward(self, length: int, *, start: int = 0, src_lengths: Int[Tensor, "B"]) -> Float[Tensor, "#B T C"]:
        """The rows of positions start .. start + length - 1.

        Args:
            length: how many rows.
            start: the first position, above 0 while decoding token by token.
            src_lengths: tokens of each source sentence; only `fraction` looks at it. It is the length of the source on
                the target side too, since a decoder does not know how long its output will be.

        Raises:
            ValueError: a learned table is too short.
        """
        if self.scheme == "learned" and start + length > self.max_positions:
            raise ValueError(
                f"learned positions: {start + length} tokens, but the table has {self.max_positions} rows; "
                "train with a larger model.max_positions, or use sinusoidal positions"
            )
        positions = torch.arange(start, start + length, device=src_lengths.device)
        if self.scheme == "sinusoidal":
            return self._sinusoidal(start + length, src_lengths.device)[start:].unsqueeze(0)
        if self.scheme == "learned":
            return self.table[start : start + length].unsqueeze(0)
        index = positions.float()[None, :, None]  # (1, T, 1): the same number on every channel
        if self.scheme == "fraction":
            index = index / src_lengths.float()[:, None, None]
        return index.expand(-1, -1, self.embed_dim)

    def _sinusoidal(self, length: int, device: torch.device) -> Float[Tensor, "T C"]:
        """The first `length` rows; they are computed once and kept, since they never change."""
        if len(self._known) < length or self._known.device != device:
            self._known = sinusoidal_positions(torch.arange(max(length, 256), device=device), self.embed_dim)
        return self._known[:length]

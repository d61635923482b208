"""What a recipe may say about decoding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from attnkit.config import MOST, Config, Count, NonNegative, Positive, Seed
from attnkit.decoding.length_penalty import LengthPenalty, gnmt_penalty, no_penalty, power_penalty

if TYPE_CHECKING:
    from torch import Tensor


class LengthPenaltyConfig(Config):
    """What a hypothesis' log-probability is divided by; L counts the end of sentence."""

    form: Literal["gnmt", "power", "none"] = "gnmt"
    """gnmt: ((5 + L) / 6) ** alpha (Wu et al. 2016), the paper's; power: L ** alpha (fairseq, CTranslate2, Marian)."""
    alpha: NonNegative = 0.6

    def build(self) -> LengthPenalty:
        """The divisor as a function of the length."""
        if self.form == "none":
            return no_penalty
        return gnmt_penalty(self.alpha) if self.form == "gnmt" else power_penalty(self.alpha)


class DecodeConfig(Config):
    """How translations are searched for. The defaults are the paper's."""

    method: Literal["beam", "greedy", "sampling"] = "beam"
    beam_size: Count = 4
    length_penalty: LengthPenaltyConfig = LengthPenaltyConfig()
    max_length_factor: NonNegative = 1.0
    """The output has at most factor * source tokens + extra tokens, end of sentence not counted."""
    max_length_extra: Count = 50
    min_length: int = Field(default=0, ge=0, le=MOST)
    allow_unknown: bool = False
    """Whether the unknown piece may be produced."""
    temperature: Positive = 1.0
    top_k: int = Field(default=0, ge=0, le=MOST)
    """Sample among this many likeliest tokens; 0 is all."""
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    """Sample among the likeliest tokens that together reach this probability."""
    seed: Seed = 1
    """Of sampling; each sentence has its own stream, so that its translation does not depend on its neighbours."""

    @model_validator(mode="after")
    def has_room(self) -> DecodeConfig:
        """Refuse a minimum that the maximum can never reach."""
        if self.min_length > self.max_length_extra and self.max_length_factor == 0:
            raise ValueError(
                f"min_length {self.min_length} is above max_length_extra {self.max_length_extra}; lower one of the two"
            )
        return self

    def max_lengths(self, src_lengths: Tensor) -> Tensor:
        """The most tokens that each output may have, end of sentence not counted.

        Args:
            src_lengths: (B,) tokens of each source, end of sentence not counted.

        Returns:
            (B,) int64.
        """
        return (src_lengths * self.max_length_factor).floor().long() + self.max_length_extra

"""The part of a recipe about decoding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from attnkit.config import MOST, Config, Count, NonNegative, Positive, Seed
from attnkit.decoding.length_penalty import LengthPenalty, gnmt_penalty, no_penalty, power_penalty

if TYPE_CHECKING:
    from torch import Tensor


class LengthPenaltyConfig(Config):
    """The divisor of a hypothesis' log-probability; its length L includes the end of sentence."""

    form: Literal["gnmt", "power", "none"] = "gnmt"
    """The formula: gnmt is the paper's ((5 + L) / 6) ** alpha (Wu et al. 2016), power is the L ** alpha of fairseq,
    CTranslate2 and Marian."""
    alpha: NonNegative = 0.6
    """The exponent; with a larger one, longer translations win."""

    def build(self) -> LengthPenalty:
        """The divisor as a function of the length."""
        if self.form == "none":
            return no_penalty
        return gnmt_penalty(self.alpha) if self.form == "gnmt" else power_penalty(self.alpha)


class DecodeConfig(Config):
    """How translations are searched for, by default as in the paper."""

    method: Literal["beam", "greedy", "sampling"] = "beam"
    """The way of the search: beam keeps several hypotheses, greedy the likeliest token, sampling draws tokens."""
    beam_size: Count = 4
    """Beam search keeps this many hypotheses."""
    length_penalty: LengthPenaltyConfig = LengthPenaltyConfig()
    """How hypotheses of different lengths are compared."""
    max_length_factor: NonNegative = 1.0
    """An output has at most this many times the tokens of its source, plus `max_length_extra`."""
    max_length_extra: Count = 50
    """An output may be this many tokens longer than `max_length_factor` allows."""
    min_length: int = Field(default=0, ge=0, le=MOST)
    """An output has at least this many tokens, not counting the end of sentence."""
    allow_unknown: bool = False
    """Whether an output may have the unknown piece in it."""
    temperature: Positive = 1.0
    """Sampling divides the logits by this number."""
    top_k: int = Field(default=0, ge=0, le=MOST)
    """Sampling chooses among this many of the likeliest tokens; 0 is all."""
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    """Sampling chooses among the likeliest tokens that together reach this probability."""
    seed: Seed = 1
    """The seed of sampling; each sentence has its own random numbers, so its translation does not depend on others."""

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

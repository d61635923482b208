"""What a recipe may say about tokenizers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from attnkit.config import MOST, Config, Count


class SentencePieceConfig(Config):
    """Subword pieces, learned from the training text (Kudo and Richardson 2018, arXiv:1808.06226)."""

    name: Literal["sentencepiece"] = "sentencepiece"
    algorithm: Literal["bpe", "unigram"] = "bpe"
    vocab_size: int = Field(default=8000, ge=16, le=MOST)
    """Number of pieces, with padding, unknown, begin and end."""
    joint: bool = True
    """One vocabulary for both languages; needed for embeddings that are tied across them."""
    byte_fallback: bool = False
    """Spell characters that the vocabulary lacks as UTF-8 bytes instead of the unknown piece."""
    character_coverage: float = Field(default=1.0, gt=0.9, le=1.0)
    sampling: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Subword regularisation in training: BPE dropout (Provilkov et al. 2020), 1/temperature for unigram; 0 is off."""
    lowercase: bool = False
    max_training_lines: Count = 2_000_000
    """The pieces are learned from at most this many lines, drawn with a fixed seed."""


class WhitespaceConfig(Config):
    """Words between spaces, by frequency; for text that is already tokenised."""

    name: Literal["whitespace"]
    vocab_size: int = Field(default=32_000, ge=5, le=MOST)
    """At most this many words, with padding, unknown, begin and end."""
    min_count: Count = 1
    joint: bool = True
    lowercase: bool = False


class CharactersConfig(Config):
    """Single characters, space included."""

    name: Literal["characters"]
    joint: bool = True
    lowercase: bool = False


TokenizerConfig = Annotated[SentencePieceConfig | WhitespaceConfig | CharactersConfig, Field(discriminator="name")]

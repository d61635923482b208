"""The part of a recipe about tokenizers."""

from typing import Annotated, Literal

from pydantic import Field

from attnkit.config import MOST, Config, Count


class SentencePieceConfig(Config):
    """Subword pieces, learned from the training text (Kudo and Richardson 2018, arXiv:1808.06226)."""

    name: Literal["sentencepiece"] = "sentencepiece"
    algorithm: Literal["bpe", "unigram"] = "bpe"
    """How pieces are learned: by merging the most frequent pairs, or by pruning a unigram language model."""
    vocab_size: int = Field(default=8000, ge=16, le=MOST)
    """The number of pieces, including padding, unknown, begin and end."""
    joint: bool = True
    """Whether both languages share one vocabulary, as embeddings that are tied across them need it."""
    byte_fallback: bool = False
    """Whether characters that the vocabulary lacks are spelled as UTF-8 bytes instead of the unknown piece."""
    character_coverage: float = Field(default=1.0, gt=0.9, le=1.0)
    """The share of the characters of the training text that the vocabulary must spell; the rarest are left out."""
    sampling: float = Field(default=0.0, ge=0.0, lt=1.0)
    """The amount of subword regularisation in training: the rate of BPE dropout (Provilkov et al. 2020), or
    1/temperature for unigram; 0 is off."""
    lowercase: bool = False
    """Whether text is put into lower case first."""
    max_training_lines: Count = 2_000_000
    """The pieces are learned from at most this many lines, sampled with a fixed seed."""


class WhitespaceConfig(Config):
    """Words between spaces, by frequency; for text that is already tokenised."""

    name: Literal["whitespace"]
    vocab_size: int = Field(default=32_000, ge=5, le=MOST)
    """The largest number of words, including padding, unknown, begin and end."""
    min_count: Count = 1
    """Words that occur less often than this in the training text are unknown."""
    joint: bool = True
    """Whether both languages share one vocabulary, as embeddings that are tied across them need it."""
    lowercase: bool = False
    """Whether text is put into lower case first."""


class CharactersConfig(Config):
    """Single characters, space included."""

    name: Literal["characters"]
    joint: bool = True
    """Whether both languages share one vocabulary, as embeddings that are tied across them need it."""
    lowercase: bool = False
    """Whether text is put into lower case first."""


TokenizerConfig = Annotated[SentencePieceConfig | WhitespaceConfig | CharactersConfig, Field(discriminator="name")]

"""What a recipe may say about tokenizers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from attnkit.config import MOST, Config, Count

if TYPE_CHECKING:
    from attnkit.tokenizers.tokenizer import Tokenizer


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

    def build(self, lines: Iterable[str], folder: Path) -> Tokenizer:
        """Learn the pieces from `lines`, keep them in `folder`, and return the tokenizer."""
        from attnkit.tokenizers.sentencepiece import train_sentencepiece

        return train_sentencepiece(self, lines, folder)


class WhitespaceConfig(Config):
    """Words between spaces, by frequency; for text that is already tokenised."""

    name: Literal["whitespace"]
    vocab_size: int = Field(default=32_000, ge=5, le=MOST)
    """At most this many words, with padding, unknown, begin and end."""
    min_count: Count = 1
    joint: bool = True
    lowercase: bool = False

    def build(self, lines: Iterable[str], folder: Path) -> Tokenizer:
        """Count the words of `lines`, keep them in `folder`, and return the tokenizer."""
        from attnkit.tokenizers.words import train_words

        return train_words(self, lines, folder)


class CharactersConfig(Config):
    """Single characters, space included."""

    name: Literal["characters"]
    joint: bool = True
    lowercase: bool = False

    def build(self, lines: Iterable[str], folder: Path) -> Tokenizer:
        """Collect the characters of `lines`, keep them in `folder`, and return the tokenizer."""
        from attnkit.tokenizers.characters import train_characters

        return train_characters(self, lines, folder)


TokenizerConfig = Annotated[SentencePieceConfig | WhitespaceConfig | CharactersConfig, Field(discriminator="name")]

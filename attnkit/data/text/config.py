"""What a recipe may say about parallel text."""

from typing import Annotated, Literal

from pydantic import Field

from attnkit.config import MOST, Config, Count, Seed


class PairOfFiles(Config):
    """Two text files; line n of one translates line n of the other. `.gz` is read as it is."""

    src: str
    tgt: str


class TextPairsConfig(Config):
    """Plain text, one sentence per line, a file per language."""

    format: Literal["text"] = "text"
    train: PairOfFiles
    valid: PairOfFiles | None = None
    test: PairOfFiles | None = None


class TsvPairsConfig(Config):
    """One file per split, a pair per line, source and target in two columns."""

    format: Literal["tsv"]
    train: str
    valid: str | None = None
    test: str | None = None
    src_column: Count = 1
    """Counted from 1."""
    tgt_column: Count = 2


class JsonlPairsConfig(Config):
    """One file per split, a JSON object per line."""

    format: Literal["jsonl"]
    train: str
    valid: str | None = None
    test: str | None = None
    src_key: str = "src"
    """A dotted path is followed: `translation.en`."""
    tgt_key: str = "tgt"


class ReverseDigitsConfig(Config):
    """Generated: a line of digits, and the same line reversed. Learnable in seconds, without any file."""

    format: Literal["reverse_digits"]
    train_lines: Count = 4000
    valid_lines: Count = 100
    test_lines: Count = 200
    max_digits: int = Field(default=8, ge=3, le=MOST)
    seed: Seed = 1


class EmbeddedTatoebaConfig(Config):
    """50 thousand short English-German sentence pairs that come with attnkit (tatoeba.org, CC-BY 2.0 FR)."""

    format: Literal["tatoeba_en_de"]


PairsConfig = Annotated[
    TextPairsConfig | TsvPairsConfig | JsonlPairsConfig | ReverseDigitsConfig | EmbeddedTatoebaConfig,
    Field(discriminator="format"),
]


class PairFilterConfig(Config):
    """Which training pairs are left out. Validation and test are never filtered."""

    max_length: Count = 256
    """Tokens of either side, end of sentence not counted."""
    max_ratio: float = Field(default=4.0, ge=1.0, le=1_000.0)
    """Longer side over shorter side, in tokens, where the longer has over ten."""

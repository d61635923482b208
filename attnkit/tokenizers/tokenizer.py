"""What every tokenizer can do: lines of text to lists of ids and back."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

SPECIAL_PIECES = ("<pad>", "<unk>", "<s>", "</s>")
"""The pieces of the ids 0 to 3 of every tokenizer. Text that happens to contain these words never gets these ids."""

UNKNOWN_TEXT = "⁇"
"""How an unknown piece is shown in text."""

_LINE_ENDS = str.maketrans("\n\r", "  ")


class Tokenizer(ABC):
    """A vocabulary, and how text is cut into it.

    Subclasses set `vocab_size`, `fingerprint` and, where they can cut a line in several ways, `sampling`.
    """

    pad_id = 0
    unk_id = 1
    bos_id = 2
    eos_id = 3

    vocab_size: int
    """Number of ids, the four special ones counted."""
    fingerprint: str
    """A hash of everything that decides what `encode` returns. The token cache is keyed by it."""
    sampling: float = 0.0
    """Above zero when `sample` differs from `encode`."""

    @abstractmethod
    def encode(self, lines: Sequence[str]) -> list[list[int]]:
        """Cut lines into ids, without begin and end of sentence. An empty line gives an empty list."""

    def sample(self, lines: Sequence[str], *, seed: int) -> list[list[int]]:
        """Cut lines into ids in one of many ways (subword regularisation).

        Args:
            lines: sentences.
            seed: the same seed and lines always give the same ids, whatever was sampled before and on whichever thread.

        Returns:
            As `encode`, which it equals for tokenizers that know one way only.
        """
        return self.encode(lines)

    @abstractmethod
    def decode(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """Put ids together as plain text.

        Args:
            ids: a list per line. Padding, begin and end of sentence are dropped; unknown pieces show as UNKNOWN_TEXT.

        Returns:
            As many strings as lists, none with a line end in it.
        """

    @abstractmethod
    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The piece of every id, special ones too, as the vocabulary writes it."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Keep everything in a folder, from which `load_tokenizer` reads it again."""


def one_line(text: str) -> str:
    """Replace what would end the line in a file by a space."""
    return text.translate(_LINE_ENDS)

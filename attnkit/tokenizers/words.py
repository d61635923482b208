"""Words between spaces, the most frequent ones; for text that is already tokenised."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from attnkit.errors import DataError
from attnkit.run_dir import write_json
from attnkit.tokenizers.config import WhitespaceConfig
from attnkit.tokenizers.tokenizer import SPECIAL_PIECES, UNKNOWN_TEXT, Tokenizer, one_line


class WhitespaceTokenizer(Tokenizer):
    """Splits at spaces (U+0020 only) and joins by one space."""

    def __init__(self, words: Sequence[str], *, lowercase: bool = False) -> None:
        """Take a vocabulary: word i gets the id i + 4, after the special ids."""
        self._words = list(words)
        self._lowercase = lowercase
        self._ids = {word: i for i, word in enumerate(self._words, start=len(SPECIAL_PIECES))}
        if len(self._ids) != len(self._words):
            raise ValueError("a word stands twice in the vocabulary")
        self._texts = ["", UNKNOWN_TEXT, "", "", *self._words]
        self.vocab_size = len(self._texts)
        content = json.dumps(["whitespace", self._words, lowercase])
        self.fingerprint = hashlib.sha256(content.encode()).hexdigest()

    def encode(self, lines: Sequence[str]) -> list[list[int]]:
        """Look up every word; one that the vocabulary lacks is unknown."""
        look_up, unk = self._ids.get, self.unk_id
        cased = [line.lower() for line in lines] if self._lowercase else lines
        return [[look_up(word, unk) for word in line.split(" ") if word] for line in cased]

    def decode(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """Join words by one space."""
        texts = self._texts
        return [one_line(" ".join(word for i in line if (word := texts[i]))) for line in ids]

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The word of every id."""
        return [SPECIAL_PIECES[i] if i < len(SPECIAL_PIECES) else self._texts[i] for i in ids]

    def save(self, folder: Path) -> None:
        """Write the words in the order of their ids."""
        write_json(
            folder / "tokenizer.json", {"name": "whitespace", "lowercase": self._lowercase, "words": self._words}
        )


def train_words(config: WhitespaceConfig, lines: Iterable[str], folder: Path) -> WhitespaceTokenizer:
    """Count the words of the training text and keep the most frequent; of equally frequent ones, by code points.

    Args:
        config: how many words, and how often each must occur.
        lines: the training text, read once. Memory grows with the number of different words.
        folder: where the tokenizer is saved.

    Raises:
        DataError: no word occurs often enough.
    """
    counts: Counter[str] = Counter()
    for line in lines:
        counts.update((line.lower() if config.lowercase else line).split(" "))
    del counts[""]
    frequent = [word for word, count in counts.items() if count >= config.min_count]
    if not frequent:
        raise DataError(
            f"tokenizer: no word occurs {config.min_count} times in the training text; expected at least one; "
            "lower tokenizer.min_count, or see the data files"
        )
    frequent.sort(key=lambda word: (-counts[word], word))
    words = frequent[: config.vocab_size - len(SPECIAL_PIECES)]
    tokenizer = WhitespaceTokenizer(words, lowercase=config.lowercase)
    tokenizer.save(folder)
    return tokenizer


def load_words(folder: Path) -> WhitespaceTokenizer:
    """Read a saved tokenizer."""
    settings = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    return WhitespaceTokenizer(settings["words"], lowercase=bool(settings["lowercase"]))

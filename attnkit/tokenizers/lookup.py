"""Tokens that are looked up in a list: words between spaces, for text that is already tokenised, and characters."""

import hashlib
import json
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

from attnkit.errors import DataError
from attnkit.run_dir import write_json
from attnkit.tokenizers.config import CharactersConfig, WhitespaceConfig
from attnkit.tokenizers.tokenizer import SPECIAL_PIECES, UNKNOWN_TEXT, Tokenizer, one_line


class LookupTokenizer(Tokenizer):
    """A list of tokens: the one at position i has the id i + 4, after the special ids.

    Subclasses say how a line is split into tokens, what joins them, and what they are called.
    """

    name: ClassVar[str]
    """Of the config that it is learned by."""
    unit: ClassVar[str]
    """What a token is; with an s, the key of the tokens in tokenizer.json."""
    joint: ClassVar[str]
    """What stands between two tokens of a line."""

    def __init__(self, tokens: Sequence[str], *, lowercase: bool = False) -> None:
        self._tokens = tokens
        self._lowercase = lowercase
        self._ids = {token: i for i, token in enumerate(tokens, start=len(SPECIAL_PIECES))}
        if len(self._ids) != len(tokens):
            raise ValueError(f"a {self.unit} stands twice in the vocabulary")
        self._texts = ["", UNKNOWN_TEXT, "", "", *tokens]
        self.vocab_size = len(self._texts)
        content = json.dumps([self.name, tokens, lowercase])
        self.fingerprint = hashlib.sha256(content.encode()).hexdigest()

    @staticmethod
    @abstractmethod
    def split(line: str) -> Iterable[str]:
        """The tokens of a line."""

    def encode(self, lines: Sequence[str]) -> list[list[int]]:
        """Look up every token; one that the vocabulary lacks is unknown."""
        look_up, unk = self._ids.get, self.unk_id
        cased = [line.lower() for line in lines] if self._lowercase else lines
        return [[look_up(token, unk) for token in self.split(line)] for line in cased]

    def decode(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """Join the tokens."""
        texts = self._texts
        return [one_line(self.joint.join(text for i in line if (text := texts[i]))) for line in ids]

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The token of every id."""
        return [SPECIAL_PIECES[i] if i < len(SPECIAL_PIECES) else self._texts[i] for i in ids]

    def save(self, folder: Path) -> None:
        """Write the tokens in the order of their ids."""
        settings = {"name": self.name, "lowercase": self._lowercase, f"{self.unit}s": self._tokens}
        write_json(folder / "tokenizer.json", settings)


class WhitespaceTokenizer(LookupTokenizer):
    """Splits at spaces (U+0020 only) and joins by one space."""

    name = "whitespace"
    unit = "word"
    joint = " "

    @staticmethod
    def split(line: str) -> list[str]:
        """The words between spaces."""
        return [word for word in line.split(" ") if word]


class CharactersTokenizer(LookupTokenizer):
    """Every character (Unicode code point) is a token, space included, so text comes back exactly."""

    name = "characters"
    unit = "character"
    joint = ""

    @staticmethod
    def split(line: str) -> str:
        """The characters of a line."""
        return line


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


def train_characters(config: CharactersConfig, lines: Iterable[str], folder: Path) -> CharactersTokenizer:
    """Collect the characters of the training text, in the order of their code points, and keep them in a folder.

    Raises:
        DataError: there is no text.
    """
    found: set[str] = set()
    for line in lines:
        found.update(line.lower() if config.lowercase else line)
    found -= {"\n", "\r"}
    if not found:
        raise DataError("tokenizer: no training text; expected at least one line that is not empty; see the data files")
    tokenizer = CharactersTokenizer("".join(sorted(found)), lowercase=config.lowercase)
    tokenizer.save(folder)
    return tokenizer


def load_lookup(folder: Path, kind: type[LookupTokenizer]) -> LookupTokenizer:
    """Read a saved tokenizer of a kind."""
    settings = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    return kind(settings[f"{kind.unit}s"], lowercase=bool(settings["lowercase"]))

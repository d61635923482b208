"""Single characters (Unicode code points), space included."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from attnkit.errors import DataError
from attnkit.run_dir import write_json
from attnkit.tokenizers.config import CharactersConfig
from attnkit.tokenizers.tokenizer import SPECIAL_PIECES, UNKNOWN_TEXT, Tokenizer, one_line


class CharactersTokenizer(Tokenizer):
    """Every character is a token, so text comes back exactly."""

    def __init__(self, characters: str, *, lowercase: bool = False) -> None:
        """Take a vocabulary: character i gets the id i + 4, after the special ids."""
        self._characters = characters
        self._lowercase = lowercase
        self._ids = {character: i for i, character in enumerate(characters, start=len(SPECIAL_PIECES))}
        if len(self._ids) != len(characters):
            raise ValueError("a character stands twice in the vocabulary")
        self._texts = ["", UNKNOWN_TEXT, "", "", *characters]
        self.vocab_size = len(self._texts)
        content = json.dumps(["characters", characters, lowercase])
        self.fingerprint = hashlib.sha256(content.encode()).hexdigest()

    def encode(self, lines: Sequence[str]) -> list[list[int]]:
        """Look up every character; one that the vocabulary lacks is unknown."""
        look_up, unk = self._ids.get, self.unk_id
        cased = [line.lower() for line in lines] if self._lowercase else lines
        return [[look_up(character, unk) for character in line] for line in cased]

    def decode(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """Join characters."""
        texts = self._texts
        return [one_line("".join([texts[i] for i in line])) for line in ids]

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The character of every id."""
        return [SPECIAL_PIECES[i] if i < len(SPECIAL_PIECES) else self._texts[i] for i in ids]

    def save(self, folder: Path) -> None:
        """Write the characters in the order of their ids."""
        settings = {"name": "characters", "lowercase": self._lowercase, "characters": self._characters}
        write_json(folder / "tokenizer.json", settings)


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


def load_characters(folder: Path) -> CharactersTokenizer:
    """Read a saved tokenizer."""
    settings = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    return CharactersTokenizer(settings["characters"], lowercase=bool(settings["lowercase"]))

"""Pairs of sentences, streamed from whatever a recipe names as its data."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from importlib.resources import files as package_files
from importlib.resources.abc import Traversable
from itertools import zip_longest
from typing import NamedTuple

from attnkit.data.config import (
    Split,
)
from attnkit.data.files import find_file, hash_file, read_lines
from attnkit.errors import DataError


class Pair(NamedTuple):
    """A sentence and its translation."""

    src: str
    tgt: str


class ParallelText(ABC):
    """Sentence pairs that can be read again and again, one at a time."""

    @abstractmethod
    def __iter__(self) -> Iterator[Pair]:
        """Read the pairs from the first one on.

        Raises:
            DataError: a file is missing, empty, broken or misaligned. Some of this shows only at the end.
        """

    @abstractmethod
    def describe(self) -> str:
        """The files, as an error or a report names them."""

    @abstractmethod
    def fingerprint(self) -> str:
        """A hash of the content: of the files' bytes, and of how they are read."""

    @abstractmethod
    def src_place(self, number: int) -> str:
        """`file:line` of the source of a pair; pairs are counted from 1."""

    @abstractmethod
    def tgt_place(self, number: int) -> str:
        """`file:line` of the target of a pair; pairs are counted from 1."""

    def files(self) -> list[tuple[str, Traversable]]:
        """The name and the place of every file; none if the pairs are generated."""
        return []

    def src_lines(self) -> Iterator[str]:
        """The source sentences alone."""
        return (pair.src for pair in self)

    def tgt_lines(self) -> Iterator[str]:
        """The target sentences alone."""
        return (pair.tgt for pair in self)

    def read(self) -> tuple[list[str], list[str]]:
        """All sources and all targets, in memory: for validation and test, which are small."""
        src: list[str] = []
        tgt: list[str] = []
        for pair in self:
            src.append(pair.src)
            tgt.append(pair.tgt)
        return src, tgt


class TextPairs(ParallelText):
    """Two text files; line n of one translates line n of the other."""

    def __init__(self, src: str, tgt: str) -> None:
        """Find the two files.

        Raises:
            DataError: one of them is not found, or both, which makes two lines.
        """
        self._names = src, tgt
        self._files = _find_both(src, tgt)

    def __iter__(self) -> Iterator[Pair]:
        src = read_lines(self._files[0], self._names[0])
        tgt = read_lines(self._files[1], self._names[1])
        count = 0
        for src_line, tgt_line in zip_longest(src, tgt):
            if src_line is None or tgt_line is None:
                self._refuse(
                    count, longer=1 + sum(1 for _ in (tgt if src_line is None else src)), src_ended=src_line is None
                )
            yield Pair(src_line, tgt_line)
            count += 1
        if not count:
            raise DataError(f"{self.describe()}: both are empty; expected a sentence per line; see the data files")

    def _refuse(self, count: int, *, longer: int, src_ended: bool) -> None:
        counts = (count, count + longer) if src_ended else (count + longer, count)
        raise DataError(
            f"{self._names[0]}: {counts[0]} lines, but {self._names[1]} has {counts[1]}; "
            "expected line n of one to translate line n of the other; see where they begin to differ"
        )

    def src_lines(self) -> Iterator[str]:
        """The lines of the source file; the target file is not read."""
        return read_lines(self._files[0], self._names[0])

    def tgt_lines(self) -> Iterator[str]:
        """The lines of the target file; the source file is not read."""
        return read_lines(self._files[1], self._names[1])

    def files(self) -> list[tuple[str, Traversable]]:
        """Both files."""
        return list(zip(self._names, self._files, strict=True))

    def describe(self) -> str:
        """Both names."""
        return f"{self._names[0]} and {self._names[1]}"

    def fingerprint(self) -> str:
        """A hash of both contents."""
        hashes = [hash_file(file, name) for name, file in self.files()]
        return hashlib.sha256(" ".join(["text", *hashes]).encode()).hexdigest()

    def src_place(self, number: int) -> str:
        """Line `number` of the source file."""
        return f"{self._names[0]}:{number}"

    def tgt_place(self, number: int) -> str:
        """Line `number` of the target file."""
        return f"{self._names[1]}:{number}"


def _find_both(src: str, tgt: str) -> tuple[Traversable, Traversable]:
    found: list[Traversable] = []
    mistakes: list[str] = []
    for name in (src, tgt):
        try:
            found.append(find_file(name))
        except DataError as error:
            mistakes.append(str(error))
    if mistakes:
        raise DataError("\n".join(mistakes))
    return found[0], found[1]


class EmbeddedPairs(TextPairs):
    """Two text files that come with the package."""

    def __init__(self, src: Traversable, tgt: Traversable) -> None:
        """Take two files of the package."""
        self._names = src.name, tgt.name
        self._files = src, tgt


def embedded_tatoeba(split: Split) -> ParallelText:
    """Short English-German sentences that come with attnkit; tatoeba.org, CC-BY 2.0 FR, see their ATTRIBUTION.md."""
    folder = package_files("attnkit.data.text") / "tatoeba_en_de"
    return EmbeddedPairs(folder / f"{split}.en.gz", folder / f"{split}.de.gz")

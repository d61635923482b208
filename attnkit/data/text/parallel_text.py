"""Pairs of sentences, streamed from whatever a recipe names as its data; and those that are generated."""

import hashlib
import random
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from importlib.resources.abc import Traversable
from itertools import islice
from typing import NamedTuple
from zlib import crc32

from attnkit.data.config import Split
from attnkit.data.text.config import ReverseDigitsConfig

_PAIRS_AT_ONCE = 10_000
_PARTS = 10
"""A line belongs to the split that its hash modulo this says, so no line is in two splits."""
_VALID_PART, _TEST_PART = 0, 1


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

    def src_place(self, number: int) -> str:
        """`file:line` of the source of a pair, or what stands for it; pairs are counted from 1."""
        return f"{self.describe()}:{number}"

    def tgt_place(self, number: int) -> str:
        """`file:line` of the target of a pair, or what stands for it; pairs are counted from 1."""
        return f"{self.describe()}:{number}"

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


def chunks(pairs: Iterable[Pair]) -> Iterator[list[Pair]]:
    """Pairs, several thousands at a time."""
    left = iter(pairs)
    while chunk := list(islice(left, _PAIRS_AT_ONCE)):
        yield chunk


def language_of(file: str) -> str | None:
    """The two-letter code that a file name ends in: `train.de`, `train.de.gz`; none if it ends otherwise."""
    ending = file.removesuffix(".gz").rpartition(".")[2]
    return ending if len(ending) == 2 and ending.isascii() and ending.isalpha() and ending.islower() else None


class ReverseDigits(ParallelText):
    """Lines such as `3 1 4` and `4 1 3`; the same for the same seed, everywhere."""

    def __init__(self, config: ReverseDigitsConfig, split: Split) -> None:
        self._config = config
        self._split = split
        self._count: int = getattr(config, f"{split}_lines")

    def __iter__(self) -> Iterator[Pair]:
        generator = random.Random(f"{self._config.seed} {self._split}")
        left = self._count
        while left:
            length = 1 + int(generator.random() * self._config.max_digits)
            digits = [str(int(generator.random() * 10)) for _ in range(length)]
            src = " ".join(digits)
            if _split_of(src) == self._split:
                yield Pair(src, " ".join(reversed(digits)))
                left -= 1

    def describe(self) -> str:
        """What is generated."""
        return f"reverse_digits {self._split}"

    def fingerprint(self) -> str:
        """A hash of the settings."""
        return hashlib.sha256(f"{self._split} {self._config.model_dump_json()}".encode()).hexdigest()


def _split_of(line: str) -> Split:
    part = crc32(line.encode()) % _PARTS
    return "valid" if part == _VALID_PART else "test" if part == _TEST_PART else "train"

"""Generated pairs: a line of digits, and the same line reversed. The smallest task that needs attention."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from zlib import crc32

from attnkit.data.config import Split
from attnkit.data.text.config import ReverseDigitsConfig
from attnkit.data.text.parallel_text import Pair, ParallelText

_PARTS = 10
"""A line belongs to the split that its hash modulo this says, so no line is in two splits."""
_VALID_PART, _TEST_PART = 0, 1


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

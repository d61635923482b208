"""The check of the lines of a text: odd characters in them, and what is removed silently when they are read."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from itertools import islice

import numpy as np

from attnkit.data.files import BYTE_ORDER_MARK, raw_lines
from attnkit.data.finding import Finding
from attnkit.structures.arrays import BoolArray

_SPACES = "\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
_ODD_SPACE = re.compile(f"[{_SPACES}]")
_INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u2028\u2029\ufeff\ufffd]")
_TAB = re.compile("\t")
_ODD = re.compile(f"{_ODD_SPACE.pattern}|{_INVISIBLE.pattern}|{_TAB.pattern}")

Place = Callable[[int], str]
"""`file:line` of what has a number, counted from 1."""


@dataclass
class Occurrences:
    """One kind of trouble."""

    count: int = 0
    first: int = 0
    """Its number; 0 is nowhere."""
    example: str = ""
    """What was found there."""

    def add(self, number: int, example: str = "") -> None:
        """Count one more."""
        if not self.count:
            self.first, self.example = number, example
        self.count += 1

    def add_where(self, which: BoolArray, first: int) -> None:
        """Count what holds in a chunk, where the first has the number `first`."""
        if count := int(which.sum()):
            if not self.count:
                self.first = first + int(np.argmax(which))
            self.count += count

    def warning(self, place: Place, what: str, why: str, fix: str) -> list[Finding]:
        """One warning for all of them, if there are any."""
        if not self.count:
            return []
        more = f" (and {self.count - 1} more)" if self.count > 1 else ""
        return [Finding("warning", place(self.first), what + more, why, fix)]


class OddCharacters:
    """Those in the sentences of one side."""

    def __init__(self) -> None:
        self._spaces, self._invisible, self._tabs = Occurrences(), Occurrences(), Occurrences()

    def add(self, lines: list[str], first: int) -> None:
        """Check some lines; the first of them has the number `first`, counted from 1."""
        if not _ODD.search("\n".join(lines)):
            return
        for number, line in enumerate(lines, start=first):
            for occurrences, pattern in ((self._spaces, _ODD_SPACE), (self._invisible, _INVISIBLE), (self._tabs, _TAB)):
                if match := pattern.search(line):
                    occurrences.add(number, f"U+{ord(match[0]):04X}")

    def findings(self, place: Place) -> list[Finding]:
        """What was found; `place` names a line."""
        return [
            *self._spaces.warning(
                place,
                f"a space that is not the ordinary one ({self._spaces.example})",
                "SentencePiece reads it as a space, whitespace and character tokenizers do not, and scorers differ",
                "nothing to do with SentencePiece; else replace it by a space",
            ),
            *self._invisible.warning(
                place,
                f"an invisible character, or one that replaces a broken one ({self._invisible.example})",
                "it often comes from a wrong conversion, and the model learns to write it",
                "remove it, or convert the original again",
            ),
            *self._tabs.warning(
                place,
                "a tab inside the sentence",
                "it often means that a column was read as text",
                "replace it by a space, or see whether the format is tsv",
            ),
        ]


def check_file(name: str, file: Traversable, *, limit: int | None) -> list[Finding]:
    """Find a byte order mark and carriage returns in a file, or in so many lines at its beginning."""
    marks, returns = Occurrences(), Occurrences()
    for number, raw in enumerate(islice(raw_lines(file, name), limit), start=1):
        if number == 1 and raw.startswith(BYTE_ORDER_MARK):
            marks.add(number)
        if raw.endswith(b"\r"):
            returns.add(number)

    def place(number: int) -> str:
        return f"{name}:{number}"

    return [
        *marks.warning(
            place,
            "a byte order mark",
            "attnkit skips it, other tools read it as part of the first sentence",
            "save the file as UTF-8 without it",
        ),
        *returns.warning(
            place,
            "the line ends in CR LF",
            "attnkit skips the CR, other tools read it as part of the sentence",
            "convert the file with dos2unix",
        ),
    ]

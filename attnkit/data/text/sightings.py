"""What the check of text keeps of one kind of trouble: how often it was seen, and where first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attnkit.data.finding import Finding

Place = Callable[[int], str]
"""`file:line` of what has a number, counted from 1."""


@dataclass
class Sightings:
    """One kind of trouble."""

    count: int = 0
    first: int = 0
    """Its number; 0 is nowhere."""
    example: str = ""
    """What was seen there."""

    def add(self, number: int, example: str = "") -> None:
        """Count one more."""
        if not self.count:
            self.first, self.example = number, example
        self.count += 1

    def add_where(self, which: NDArray[np.bool_], first: int) -> None:
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

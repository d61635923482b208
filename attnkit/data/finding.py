"""One thing that a check of data found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """What is wrong, why it matters, and how to mend it."""

    severity: Literal["error", "warning"]
    """An error is what would make training or scoring stop."""
    place: str
    """`file:line` of the first case, or a file, or a key of the recipe."""
    what: str
    why: str
    fix: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what}; {self.why}; {self.fix}"

    @classmethod
    def from_error(cls, message: str) -> Finding:
        """Take one line of a DataError apart: `place: what; expected; fix`."""
        place, _, rest = message.partition(": ")
        what, _, rest = rest.partition("; ")
        why, _, fix = rest.partition("; ")
        return cls("error", place, what, why, fix)

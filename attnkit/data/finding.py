"""What a check of data found."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from attnkit.data.config import Split
from attnkit.errors import DataError

Stats = TypeVar("Stats")

WHY_HELD_OUT: dict[Split, str] = {
    "valid": "the best checkpoint cannot be chosen, nor training stopped early",
    "test": "the model cannot be scored on {} it was not trained on",
}
"""Why a set is missed; of what it would be is filled in."""
MOST_NAMED = 10
"""Cases that a message names one by one; it counts the others."""


@dataclass(frozen=True)
class Finding:
    """What is wrong, why it matters, and how to fix it."""

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
    def from_error(cls, message: str) -> "Finding":
        """Take one line of a DataError apart: `place: what; expected; fix`."""
        place, _, rest = message.partition(": ")
        what, _, rest = rest.partition("; ")
        why, _, fix = rest.partition("; ")
        return cls("error", place, what, why, fix)


@dataclass
class DataReport(Generic[Stats]):
    """What was found."""

    findings: list[Finding] = field(default_factory=list)
    """Errors first, then by split: train, valid, test."""
    stats: dict[Split, Stats] = field(default_factory=dict)
    """Of the splits that could be read: train, valid, test."""

    @property
    def ok(self) -> bool:
        """Whether training can go ahead: nothing is an error."""
        return not any(finding.severity == "error" for finding in self.findings)

    def raise_errors(self) -> None:
        """Stop on errors.

        Raises:
            DataError: a line for each.
        """
        if not self.ok:
            raise DataError("\n".join(str(finding) for finding in self.findings if finding.severity == "error"))

    def raise_or_warn(self, warn: Callable[[str], None]) -> None:
        """Stop on errors; without any, call `warn` for each finding.

        Raises:
            DataError: a line for each error.
        """
        self.raise_errors()
        for finding in self.findings:
            warn(str(finding))


def and_more(count: int, *, verbs: tuple[str, str] = ("is", "are"), total: int | None = None) -> str:
    """What to add to a finding that stands for `count` like it.

    Args:
        count: of the cases, the named one included.
        verbs: what one case, and several, do.
        total: of how many these are.
    """
    if count < 2:
        return ""
    return f", and so {verbs[count > 2]} {count - 1} more" + ("" if total is None else f" of {total}")


def warning_at_first(places: Sequence[str], what: str, why: str, fix: str) -> list[Finding]:
    """One warning for all places, at the first of them; none where there is no place."""
    return [Finding("warning", places[0], f"{what}{and_more(len(places))}", why, fix)] if places else []


DO = "does", "do"
"""Verbs for `and_more`."""


def listed(names: Sequence[object]) -> str:
    """The first few names or numbers, and how many there are besides."""
    shown = ", ".join(map(str, names[:MOST_NAMED])) or "none"
    return shown if len(names) <= MOST_NAMED else f"{shown} and {len(names) - MOST_NAMED} more"

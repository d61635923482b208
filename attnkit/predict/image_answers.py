"""What commands on images have in common when they answer: one image after the other, and the bad ones are counted."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import typer

from attnkit.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor


class Answer(Protocol):
    """What is said of one image."""

    @property
    def problem(self) -> str | None:
        """What was wrong with it."""


A = TypeVar("A", bound=Answer)


@dataclass(frozen=True)
class Said:
    """How many images were answered for."""

    total: int
    failed: int

    def check(self, done: str) -> None:
        """Leave with an error if some images had no answer.

        Args:
            done: what should have happened to them, such as segmented.

        Raises:
            DataError: so it is.
        """
        if self.failed:
            raise DataError(
                f"{self.failed} of {self.total} images could not be {done}; expected images; "
                "mend or remove them, the others are done"
            )


def say(answers: Iterable[A], write: Callable[[A], str], *, name_problems: bool) -> Said:
    """Print answers as they come.

    Args:
        answers: in the order of the images.
        write: makes text of one.
        name_problems: whether what was wrong goes to stderr too.
    """
    total = failed = 0
    for answer in answers:
        total += 1
        put(write(answer))
        if answer.problem is not None:
            failed += 1
            if name_problems:
                typer.echo(answer.problem, err=True)
    return Said(total, failed)


def put(text: str) -> None:
    """Write to stdout. Names of files may hold bytes that are not UTF-8; they go out as they came in."""
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
    sys.stdout.buffer.flush()


def decode(path: Path) -> Tensor:
    """The pixels of a file that a user named, as people see it."""
    from attnkit.data.images.decode import decode_image

    return decode_image(path, str(path))


def decode_as_stored(path: Path) -> Tensor:
    """The same without turning it as its EXIF data says: what annotations of data sets are for."""
    from attnkit.data.images.decode import decode_image

    return decode_image(path, str(path), turned=False)

"""What `attnkit classify` does between reading and printing; knows a classifier only by what it can do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

from attnkit.data.formats.class_list import ImageClasses, NamedClass
from attnkit.predict.decode_ahead import Decoded
from attnkit.report.growing_table import GrowingTable, shown

ONE_LINE = 3
"""Up to so many classes the table has one line per image."""


class Guess(Protocol):
    """One class that an image may be of."""

    @property
    def index(self) -> int:
        """Its number, from 0."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def probability(self) -> float:
        """From 0 to 1."""


class Classifier(Protocol):
    """What turns images into classes."""

    def classify(self, images: Sequence[Any], *, top: int) -> Sequence[Sequence[Guess]]:
        """The most probable classes of each image, best first."""


def classify_groups(
    classifier: Classifier, groups: Iterable[Sequence[Decoded[Any]]], *, top: int
) -> Iterator[list[ImageClasses]]:
    """Classify groups of images, and give the answers of each as soon as they are known, one per image, in order."""
    for group in groups:
        guesses = iter(classifier.classify([one.image for one in group if one.problem is None], top=top))
        yield [ImageClasses(one.name, () if one.problem else _named(next(guesses)), one.problem) for one in group]


def _named(guesses: Sequence[Guess]) -> tuple[NamedClass, ...]:
    return tuple(NamedClass(one.name, one.index, one.probability) for one in guesses)


class AnswerTable:
    """Writes answers as aligned text.

    Up to three classes stand on the image's line; more of them below each other. An image that could not be read has
    no line here.
    """

    def __init__(self, *, top: int) -> None:
        self._top = top
        self._table = GrowingTable()
        self._started = False

    def write(self, answers: Iterable[ImageClasses]) -> str:
        """The lines of some images; the first time behind a line of headings."""
        read = [answer for answer in answers if answer.problem is None]
        rows = self._wide(read) if self._top <= ONE_LINE else self._long(read)
        if rows and not self._started:
            self._started = True
            heads = ["file", *["class", "prob."] * self._top] if self._top <= ONE_LINE else _LONG_HEADS
            rows.insert(0, heads)
        return self._table.lines(rows)

    def _wide(self, answers: Iterable[ImageClasses]) -> list[list[str]]:
        return [
            [shown(answer.input or ""), *(cell for guess in answer.classes for cell in _cells(guess))]
            for answer in answers
        ]

    def _long(self, answers: Iterable[ImageClasses]) -> list[list[str]]:
        return [
            [shown(answer.input or "") if rank == 1 else "", str(rank), *_cells(guess)]
            for answer in answers
            for rank, guess in enumerate(answer.classes, start=1)
        ]


_LONG_HEADS = ["file", "rank", "class", "prob."]


def _cells(guess: NamedClass) -> list[str]:
    return [shown(guess.name or ""), f"{guess.probability:.4f}"]

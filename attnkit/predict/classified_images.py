"""What `attnkit classify` does between reading and printing; knows a classifier only by what it can do."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from attnkit.predict.decode_ahead import Decoded
from attnkit.report.growing_table import GrowingTable, shown

CSV_COLUMNS = ("input", "rank", "class", "index", "probability", "error")
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


@dataclass(frozen=True)
class Answer:
    """What is said of one image: its classes, best first, or what was wrong with it."""

    name: str
    guesses: Sequence[Guess]
    problem: str | None = None


def classify_groups(
    classifier: Classifier, groups: Iterable[Sequence[Decoded[Any]]], *, top: int
) -> Iterator[list[Answer]]:
    """Classify groups of images, and give the answers of each as soon as they are known, one per image, in order."""
    for group in groups:
        guesses = iter(classifier.classify([one.image for one in group if one.problem is None], top=top))
        yield [Answer(one.name, () if one.problem else next(guesses), one.problem) for one in group]


def as_json(answers: Iterable[Answer]) -> str:
    """A JSON object per image, one per line."""
    return "".join(json.dumps(_plain(answer), ensure_ascii=False) + "\n" for answer in answers)


def _plain(answer: Answer) -> dict[str, Any]:
    if answer.problem is not None:
        return {"input": answer.name, "error": answer.problem}
    predictions = [
        {"class": guess.name, "index": guess.index, "probability": _rounded(guess.probability)}
        for guess in answer.guesses
    ]
    return {"input": answer.name, "predictions": predictions}


def as_csv(answers: Iterable[Answer]) -> str:
    """A row per predicted class; an image that could not be read has one row, with the error. Without the header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for answer in answers:
        if answer.problem is not None:
            writer.writerow([answer.name, "", "", "", "", answer.problem])
        for rank, guess in enumerate(answer.guesses, start=1):
            writer.writerow([answer.name, rank, guess.name, guess.index, _rounded(guess.probability), ""])
    return text.getvalue()


CSV_HEADER = ",".join(CSV_COLUMNS) + "\n"


def _rounded(probability: float) -> float:
    """Six digits: more would be noise of the arithmetic."""
    return float(f"{probability:.6g}")


class AnswerTable:
    """Writes answers as aligned text.

    Up to three classes stand on the image's line; more of them below each other. An image that could not be read has
    no line here.
    """

    def __init__(self, *, top: int) -> None:
        self._top = top
        self._table = GrowingTable()
        self._started = False

    def write(self, answers: Iterable[Answer]) -> str:
        """The lines of some images; the first time behind a line of headings."""
        read = [answer for answer in answers if answer.problem is None]
        rows = self._wide(read) if self._top <= ONE_LINE else self._long(read)
        if rows and not self._started:
            self._started = True
            heads = ["file", *["class", "prob."] * self._top] if self._top <= ONE_LINE else _LONG_HEADS
            rows.insert(0, heads)
        return self._table.lines(rows)

    def _wide(self, answers: Iterable[Answer]) -> list[list[str]]:
        return [
            [shown(answer.name), *(cell for guess in answer.guesses for cell in _cells(guess))] for answer in answers
        ]

    def _long(self, answers: Iterable[Answer]) -> list[list[str]]:
        return [
            [shown(answer.name) if rank == 1 else "", str(rank), *_cells(guess)]
            for answer in answers
            for rank, guess in enumerate(answer.guesses, start=1)
        ]


_LONG_HEADS = ["file", "rank", "class", "prob."]


def _cells(guess: Guess) -> list[str]:
    return [shown(guess.name), f"{guess.probability:.4f}"]

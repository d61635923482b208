"""What a model says of images: computed one after the other, and printed as a table or as lines of JSON."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import typer

from attnkit.errors import DataError
from attnkit.predict.image_inputs import Decoded
from attnkit.report.growing_table import GrowingTable, shown

T = TypeVar("T")


@dataclass(frozen=True)
class ImageAnswer(Generic[T]):
    """What was found on an image, or why there is no answer."""

    name: str
    """The path of the image, as it was named."""
    found: Sequence[T] = ()
    """Classes, areas or objects, the most important first."""
    size: tuple[int, int] = (0, 0)
    """Height and width of the image in pixels, where the answer is about pixels."""
    files: Mapping[str, Path] = field(default_factory=dict)
    """The files that were written for the image, by what they are."""
    problem: str | None = None
    """What was wrong with the image; None where it was answered."""


def answer_pixels(
    groups: Iterable[Sequence[Decoded[Any]]],
    answer: Callable[[str, int, Any], ImageAnswer[T]],
    *,
    enough_memory: str,
) -> Iterator[list[ImageAnswer[T]]]:
    """Answer groups of images, each group as soon as it is known. Whatever is wrong with one image, the others go on.

    Args:
        groups: of images.
        answer: is given the name, the number from 1, and the pixels (3, H, W) of an image.
        enough_memory: for the message where memory runs out: how much is expected, and what to do.
    """
    number = 0
    for group in groups:
        answers = []
        for image in group:
            number += 1
            answers.append(_answer(image, number, answer, enough_memory))
        yield answers


def _answer(
    image: Decoded[Any], number: int, answer: Callable[[str, int, Any], ImageAnswer[T]], enough_memory: str
) -> ImageAnswer[T]:
    from attnkit.engine.memory import is_out_of_memory

    if image.problem is not None:
        return ImageAnswer(image.name, problem=image.problem)
    assert image.image is not None
    try:
        return answer(image.name, number, image.image)
    except DataError as error:
        return ImageAnswer(image.name, problem=str(error))
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        height, width = image.image.shape[1:]
        problem = f"{image.name}: {height}x{width} pixels need more memory than there is; {enough_memory}"
        return ImageAnswer(image.name, problem=problem)


class AnswerTable(Generic[T]):
    """Writes answers as aligned text, the heading once. An image that could not be read has no line."""

    def __init__(
        self,
        heading: Sequence[str],
        rows: Callable[[ImageAnswer[T]], Sequence[Sequence[str]]],
        *,
        right: Sequence[int] = (),
    ) -> None:
        """Begin a table.

        Args:
            heading: of the columns behind that of the file.
            rows: makes the cells of these columns from an answer; the file is named in its first row.
            right: numbers of the columns, that of the file counted, that are aligned on the right.
        """
        self._heading: list[list[str]] = [["file", *heading]]
        self._rows = rows
        self._table = GrowingTable(right=right)

    def write(self, answers: Iterable[ImageAnswer[T]]) -> str:
        """The lines of some answers; the first time behind a line of headings."""
        rows = [
            ["" if number else shown(answer.name), *cells]
            for answer in answers
            if answer.problem is None
            for number, cells in enumerate(self._rows(answer))
        ]
        if rows:
            rows, self._heading = [*self._heading, *rows], []
        return self._table.lines(rows)


def json_lines(answers: Iterable[ImageAnswer[T]], things: str, describe: Callable[[T], dict[str, Any]]) -> str:
    """A JSON object per image, one per line.

    Args:
        answers: about pixels.
        things: the key of what was found.
        describe: makes a JSON object of one thing that was found.
    """
    return "".join(json.dumps(_plain(answer, things, describe), ensure_ascii=False) + "\n" for answer in answers)


def _plain(answer: ImageAnswer[T], things: str, describe: Callable[[T], dict[str, Any]]) -> dict[str, Any]:
    if answer.problem is not None:
        return {"input": answer.name, "error": answer.problem}
    height, width = answer.size
    files = {what: str(path) for what, path in answer.files.items()}
    found = [describe(thing) for thing in answer.found]
    return {"input": answer.name, "height": height, "width": width, things: found, **files}


@dataclass(frozen=True)
class Printed:
    """How many images were answered, and how many of them have a problem instead."""

    total: int
    failed: int

    def check(self) -> None:
        """Raise an error if any image has a problem.

        Raises:
            DataError: there is a problem.
        """
        if self.failed:
            raise DataError(
                f"{self.failed} of {self.total} images could not be processed; expected images; "
                "fix or remove them, the others are done"
            )


def print_answers(
    groups: Iterable[Sequence[ImageAnswer[T]]],
    write: Callable[[Sequence[ImageAnswer[T]]], str],
    *,
    name_problems: bool,
) -> Printed:
    """Print answers as they come.

    Args:
        groups: of answers, in the order of the images.
        write: makes text of a group.
        name_problems: whether problems go to stderr too.
    """
    total = failed = 0
    for answers in groups:
        print_text(write(answers))
        problems = [answer.problem for answer in answers if answer.problem is not None]
        total, failed = total + len(answers), failed + len(problems)
        if name_problems:
            for problem in problems:
                typer.echo(problem, err=True)
    return Printed(total, failed)


def print_text(text: str) -> None:
    """Write to stdout. Names of files may hold bytes that are not UTF-8; they go out as they came in."""
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
    sys.stdout.buffer.flush()

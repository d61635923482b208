"""The most probable classes of images, as a table, JSON or CSV."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from attnkit.data.formats.class_list import ImageClasses, NamedClass, format_csv, format_json
from attnkit.predict.image_answers import AnswerTable, ImageAnswer
from attnkit.predict.image_inputs import Decoded
from attnkit.report.growing_table import shown

if TYPE_CHECKING:
    from attnkit.recipes.classification.classifier import Classifier, Guess

_ONE_LINE = 3
"""Up to this number of classes the table has a single line per image."""


def classify_images(
    classifier: Classifier, groups: Iterable[Sequence[Decoded[Any]]], *, top: int
) -> Iterator[list[ImageAnswer[Guess]]]:
    """Classify groups of images, and give the answers of each as soon as they are known, one per image, in order."""
    for group in groups:
        guesses = iter(classifier.classify([image.image for image in group if image.image is not None], top=top))
        yield [
            ImageAnswer(image.name, () if image.problem else next(guesses), problem=image.problem) for image in group
        ]


def class_table(*, top: int) -> AnswerTable[Guess]:
    """A table of up to three classes on the image's line, or of more of them below each other."""
    if top <= _ONE_LINE:
        return AnswerTable(
            ["class", "prob."] * top, lambda answer: [[cell for guess in answer.found for cell in _cells(guess)]]
        )
    return AnswerTable(["rank", "class", "prob."], _ranked_rows)


def _ranked_rows(answer: ImageAnswer[Guess]) -> list[list[str]]:
    return [[str(rank), *_cells(guess)] for rank, guess in enumerate(answer.found, start=1)]


def _cells(guess: Guess) -> list[str]:
    return [shown(guess.name), f"{guess.probability:.4f}"]


def classes_as_json(answers: Iterable[ImageAnswer[Guess]]) -> str:
    """A JSON object per image, one per line."""
    return format_json(map(_image_classes, answers))


def classes_as_csv(answers: Iterable[ImageAnswer[Guess]]) -> str:
    """A CSV row per class, without the heading."""
    return format_csv(map(_image_classes, answers))


def _image_classes(answer: ImageAnswer[Guess]) -> ImageClasses:
    classes = tuple(NamedClass(guess.name, guess.index, guess.probability) for guess in answer.found)
    return ImageClasses(answer.name, classes, answer.problem)

"""The objects on images, as a table of how many there are of each class, or JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnkit.predict.image_answers import AnswerTable, ImageAnswer, answer_pixels, json_lines
from attnkit.predict.image_inputs import Decoded
from attnkit.report.growing_table import shown

if TYPE_CHECKING:
    from attnkit.recipes.detection.detector import Detector
    from attnkit.structures.detections import Detections

    SaveObjects = Callable[[str, int, Any, Detections, Sequence["FoundObject"]], Path]
    """Writes the overlay of an image and keeps its results: its name, its number from 1, its pixels, what was found on
    it, and the same in plain numbers."""


@dataclass(frozen=True)
class FoundObject:
    """An object on an image."""

    index: int
    """The number of its class, from 0."""
    name: str
    """The name of its class."""
    category_id: int
    """What files of results call its class."""
    score: float
    box: tuple[float, float, float, float]
    """x1 y1 x2 y2 in pixels."""
    area: int | None = None
    """Pixels of the mask; None where there is none."""
    code: dict[str, Any] | None = None
    """The run-length code of the mask."""


def detect_images(
    detector: Detector,
    groups: Iterable[Sequence[Decoded[Any]]],
    save: SaveObjects | None,
    *,
    mask_threshold: float | None,
) -> Iterator[list[ImageAnswer[FoundObject]]]:
    """Detect objects, and give the answers of each group as soon as they are known; their overlays are written by then.

    Args:
        detector: the model at work.
        groups: of images.
        save: None where nothing is saved.
        mask_threshold: a pixel belongs to an object from this probability on; None leaves masks out.
    """

    def answer(name: str, number: int, pixels: Any) -> ImageAnswer[FoundObject]:
        size = tuple(pixels.shape[1:])
        found = detector.detect(pixels)
        objects = objects_of(detector, found, size, mask_threshold)
        files = {"overlay": save(name, number, pixels, found, objects)} if save else {}
        return ImageAnswer(name, objects, size, files)

    enough = "expected room for the image in the size that the model is given; name a smaller one with --sizes"
    return answer_pixels(groups, answer, enough_memory=enough)


def objects_of(
    detector: Detector, found: Detections, size: tuple[int, int], mask_threshold: float | None
) -> list[FoundObject]:
    """What was found, in plain numbers.

    Args:
        detector: that found it.
        found: in pixels of the image.
        size: height and width of the image.
        mask_threshold: see `detect_images`.
    """
    from pycocotools import mask as run_lengths

    from attnkit.recipes.detection.average_precision import mask_codes

    codes = [None] * len(found) if mask_threshold is None else mask_codes(found, size, mask_threshold)
    rows = zip(found.labels.tolist(), found.scores.tolist(), found.boxes.tolist(), codes, strict=True)
    return [
        FoundObject(
            index=label,
            name=detector.class_names[label],
            category_id=detector.category_ids[label],
            score=score,
            box=tuple(box),
            area=None if code is None else int(run_lengths.area(code)),
            code=code,
        )
        for label, score, box, code in rows
    ]


@dataclass(frozen=True)
class ClassCount:
    """The objects of a class on an image."""

    index: int
    name: str
    objects: int
    best: float
    """The highest score."""


def counts_of(objects: Sequence[FoundObject]) -> list[ClassCount]:
    """The classes that were found, those with most objects first, among equal ones that of the highest score.

    Args:
        objects: in order of falling score.
    """
    first: dict[int, FoundObject] = {}
    counts: dict[int, int] = {}
    for found in objects:
        first.setdefault(found.index, found)
        counts[found.index] = counts.get(found.index, 0) + 1
    classes = [ClassCount(index, best.name, counts[index], best.score) for index, best in first.items()]
    return sorted(classes, key=lambda of_class: (-of_class.objects, -of_class.best))


def objects_as_json(answers: Iterable[ImageAnswer[FoundObject]]) -> str:
    """A JSON object per image, one per line."""
    return json_lines(answers, "objects", _plain)


def _plain(found: FoundObject) -> dict[str, Any]:
    area = {} if found.area is None else {"area": found.area}
    return {
        "class": found.name,
        "index": found.index,
        "category_id": found.category_id,
        "score": float(f"{found.score:.6g}"),
        "box": [round(value, 2) for value in found.box],
        **area,
    }


def count_table() -> AnswerTable[FoundObject]:
    """A table with a line per class."""
    return AnswerTable(["class", "objects", "best"], _rows, right=(2, 3))


def _rows(answer: ImageAnswer[FoundObject]) -> list[list[str]]:
    counts = [[shown(count.name), str(count.objects), f"{count.best:.2f}"] for count in counts_of(answer.found)]
    return counts or [["nothing", "0", ""]]

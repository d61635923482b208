"""What `attnkit detect` does between reading and printing; knows a detector only by what it can do."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from attnkit.predict.decode_ahead import Decoded
from attnkit.report.growing_table import GrowingTable, shown

if TYPE_CHECKING:
    from attnkit.structures.detections import Detections


@dataclass(frozen=True)
class FoundObject:
    """An object on an image."""

    index: int
    """Of its class, from 0."""
    name: str
    """Of its class."""
    category_id: int
    """What files of results call its class."""
    score: float
    box: tuple[float, float, float, float]
    """x1 y1 x2 y2 in pixels."""
    area: int | None = None
    """Pixels of the mask; None where there is none."""
    code: dict[str, Any] | None = None
    """The mask's run-length code."""


@dataclass(frozen=True)
class Answer:
    """What is said of one image: its size and its objects, the surest first, or what was wrong with it."""

    name: str
    size: tuple[int, int] = (0, 0)
    objects: Sequence[FoundObject] = ()
    overlay: Path | None = None
    """Where it was written, if it was."""
    problem: str | None = None


class Detector(Protocol):
    """What finds objects."""

    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]

    def detect(self, pixels: Any) -> Detections:
        """From uint8 (3, H, W) to what is found on it."""


class Saver(Protocol):
    """What keeps findings."""

    def save(self, name: str, number: int, pixels: Any, found: Detections, objects: Sequence[FoundObject]) -> Path:
        """Write the overlay of an image, the first having number 1; and keep its results."""


def detect_images(
    detector: Detector,
    groups: Iterable[Sequence[Decoded[Any]]],
    saver: Saver | None,
    *,
    mask_threshold: float | None,
) -> Iterator[Answer]:
    """Detect on images, and give what is said of each as soon as it is known, in order; its overlay lies there by then.

    Args:
        detector: at work.
        groups: of images.
        saver: None where nothing is saved.
        mask_threshold: a pixel belongs to an object from this probability on; None leaves masks out.
    """
    number = 0
    for group in groups:
        for one in group:
            number += 1
            if one.problem:
                yield Answer(one.name, problem=one.problem)
            else:
                yield _detected(detector, one, number, saver, mask_threshold)


def _detected(
    detector: Detector, one: Decoded[Any], number: int, saver: Saver | None, mask_threshold: float | None
) -> Answer:
    from attnkit.engine.memory import is_out_of_memory
    from attnkit.errors import DataError

    assert one.image is not None
    height, width = one.image.shape[1:]
    try:
        found = detector.detect(one.image)
        objects = objects_of(detector, found, (height, width), mask_threshold)
        overlay = saver.save(one.name, number, one.image, found, objects) if saver else None
    except DataError as error:
        return Answer(one.name, problem=str(error))
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        problem = (
            f"{one.name}: {height}x{width} pixels need more memory than there is; expected room for the image in the "
            "size that it is looked at; name a smaller one with --sizes"
        )
        return Answer(one.name, problem=problem)
    return Answer(one.name, (height, width), objects, overlay)


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

    from attnkit.recipes.detection.scored_objects import mask_codes

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
    """Score of the surest."""


def counts_of(objects: Sequence[FoundObject]) -> list[ClassCount]:
    """The classes that were found, those with most objects first, of equal ones the surest.

    Args:
        objects: the surest first.
    """
    first: dict[int, FoundObject] = {}
    counts: dict[int, int] = {}
    for one in objects:
        first.setdefault(one.index, one)
        counts[one.index] = counts.get(one.index, 0) + 1
    found = [ClassCount(index, one.name, counts[index], one.score) for index, one in first.items()]
    return sorted(found, key=lambda of_class: (-of_class.objects, -of_class.best))


def as_json(answer: Answer) -> str:
    """A JSON object on a line."""
    return json.dumps(_plain(answer), ensure_ascii=False) + "\n"


def _plain(answer: Answer) -> dict[str, Any]:
    if answer.problem is not None:
        return {"input": answer.name, "error": answer.problem}
    height, width = answer.size
    overlay = {} if answer.overlay is None else {"overlay": str(answer.overlay)}
    objects = [_plain_object(one) for one in answer.objects]
    return {"input": answer.name, "height": height, "width": width, "objects": objects, **overlay}


def _plain_object(one: FoundObject) -> dict[str, Any]:
    area = {} if one.area is None else {"area": one.area}
    return {
        "class": one.name,
        "index": one.index,
        "category_id": one.category_id,
        "score": float(f"{one.score:.6g}"),
        "box": [round(value, 2) for value in one.box],
        **area,
    }


class CountTable:
    """Writes what was found as aligned text, a line per class. An image that could not be read has no line here."""

    def __init__(self) -> None:
        self._table = GrowingTable(right=(2, 3))
        self._started = False

    def write(self, answer: Answer) -> str:
        """The lines of an image; the first time behind a line of headings."""
        if answer.problem is not None:
            return ""
        counts = [[shown(one.name), str(one.objects), f"{one.best:.2f}"] for one in counts_of(answer.objects)]
        name = shown(answer.name)
        rows = [["" if number else name, *cells] for number, cells in enumerate(counts or [["nothing", "0", ""]])]
        if not self._started:
            self._started = True
            rows.insert(0, ["file", "class", "objects", "best"])
        return self._table.lines(rows)

"""COCO's json of results, a list with an object per detection, read and written."""

import json
import os
from array import array
from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import isfinite
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple

import numpy as np
from pycocotools import mask

from attnkit.data.formats.coco import CocoJson
from attnkit.data.formats.coco_fields import NOT_DRAWN, brief
from attnkit.data.formats.outlines import cannot_be_drawn, code_unchecked, first_broken, why_empty
from attnkit.errors import DataError
from attnkit.structures.image_objects import ImageFound, Rle

_FORM = (
    "expected a list of detections, each with image_id, category_id, score and bbox (left, top, width, height) or "
    "segmentation, as COCO's results have"
)
_NO_BOX = (0.0, 0.0, 0.0, 0.0)
_LARGEST = 1e300
"""Numbers beyond it cannot be calculated with; NaN is not below it either."""


class CocoResults:
    """The detections by image. Each becomes numbers as soon as it is read, for as Python objects they would take ten
    times the memory.
    """

    def __init__(self, content: bytes, place: str, truth: CocoJson, truth_place: str) -> None:
        """Read a json.

        Raises:
            DataError: it is none, or a detection in it is not as it should be, or of another image or category.
        """
        reader = _Reader(place, truth, truth_place)
        reader.read(content)
        self._truth, self._place = truth, place
        self._codes, self._coded = reader.codes, reader.coded
        self._empty = reader.empty
        self._images = np.frombuffer(reader.images, dtype=np.int64)
        self._labels = np.frombuffer(reader.labels, dtype=np.int64)
        self._scores = np.frombuffer(reader.scores)
        self._boxes = np.frombuffer(reader.boxes).reshape(-1, 4)
        self.has_masks = truth.has_outlines and bool(reader.codes)
        """Whether any detection has one, and the truth has them too."""
        self.saw_outlines = reader.saw_outlines
        """Whether any detection has one, whatever the truth has."""

    def __len__(self) -> int:
        """How many detections there are."""
        return len(self._scores)

    def by_image(self) -> list[ImageFound]:
        """What was found on each image, in the order of the truth's. A detection without a mask has an empty one where
        others have some.
        """
        order = self._images.argsort(kind="stable")
        ends = np.searchsorted(self._images[order], np.arange(len(self._truth.images) + 1))
        codes = self._filled() if self.has_masks else None
        return [
            ImageFound(
                xywh=self._boxes[rows],
                labels=self._labels[rows],
                scores=self._scores[rows],
                rles=None if codes is None else [codes[row] for row in rows],
            )
            for rows in (order[start:end] for start, end in pairwise(ends))
        ]

    def _filled(self) -> list[Rle]:
        """The code of each detection, of nothing where it has none."""
        if len(self._codes) == len(self):
            return self._codes
        codes = dict(zip(self._coded, self._codes, strict=True))
        sizes = [(self._truth.images[number].height, self._truth.images[number].width) for number in self._images]
        empty = {size: code_unchecked(None, *size) for size in set(sizes)}
        return [codes.get(row) or empty[size] for row, size in enumerate(sizes)]

    def notes(self) -> list[str]:
        """Warnings about the masks."""
        found = []
        if self._truth.has_outlines and not self.has_masks:
            found.append(f"{self._place}: none of {len(self)} detections has a segmentation; boxes alone are scored")
        if self.has_masks and len(self._codes) < len(self):
            first = next(row for row, coded in enumerate([*self._coded, -1]) if row != coded) + 1
            found.append(
                f"{self._place}: {len(self) - len(self._codes)} of {len(self)} detections have no segmentation, such "
                f"as detection {first}; their masks are empty, and wrong in mask AP"
            )
        if self._empty:
            number, why = self._empty[0]
            found.append(f"{self._place}: detection {number}: {why}; {len(self._empty)} outlines like it cover nothing")
        return found

    def share_outside(self) -> float:
        """The share of boxes that reach beyond their image: of nearly all where corners were written."""
        if not len(self):
            return 0.0
        limits = np.array([(image.width, image.height) for image in self._truth.images])[self._images] + 1.0
        return float((self._boxes[:, :2] + self._boxes[:, 2:] > limits).any(axis=1).mean())


class _Reader:
    """Takes each object of the json as it is parsed, and keeps its numbers."""

    def __init__(self, place: str, truth: CocoJson, truth_place: str) -> None:
        self._place, self._truth, self._truth_place = place, truth, truth_place
        self._numbers: dict[object, int] = {image.id: number for number, image in enumerate(truth.images)}
        self._known: dict[object, int] = {category: label for label, category in enumerate(truth.ids)}
        self._sizes = [(image.height, image.width) for image in truth.images]
        self.images, self.labels, self.scores, self.boxes = array("q"), array("q"), array("d"), array("d")
        self.codes: list[Rle] = []
        self.coded = array("q")
        """The detections that have codes."""
        self.empty: list[tuple[int, str]] = []
        """The detections whose polygons have no area, counted from 1, and why."""
        self.saw_outlines = False
        self._boxed: list[int] = []
        """The codes that boxes are computed from."""

    def read(self, content: bytes) -> None:
        try:
            if content.lstrip()[:1] == b"{":
                raise DataError(f"{self._place}: an object, as the truth is; {_FORM}; correct the path")
            found = json.loads(content, object_hook=self._take)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{self._place}: not JSON ({error}); {_FORM}; correct the path") from error
        if not isinstance(found, list):
            raise DataError(f"{self._place}: not a list; {_FORM}; correct the path")
        for number, left in enumerate(found, start=1):
            if left is not None:
                raise self._error(number, f"{brief(left)} has no image_id; {_FORM}; fix the file")
        self._check_codes()
        self._box_masks()

    def _take(self, found: dict[str, Any]) -> dict[str, Any] | None:
        """Every object of the json comes here: detections, and the run-length codes in them, which stay.

        There may be hundreds of thousands, and nearly always all are right: only where one is not, it is examined why.
        """
        if "image_id" not in found:
            return found
        try:
            image, label, score = self._numbers[found["image_id"]], self._known[found["category_id"]], found["score"]
            box: Any = found.get("bbox")
            code = self._code(found["segmentation"], image, boxed=bool(box)) if "segmentation" in found else None
            box = box or (() if code is None else _NO_BOX)
            x, y, width, height = box
            fine = width >= 0 and height >= 0 and isfinite(x + y + width + height) and isfinite(score)
        except NOT_DRAWN:
            fine = False
        if not fine:
            raise self._error(len(self.scores) + 1, _what_is_wrong(found, self._truth, self._truth_place))
        if box is _NO_BOX:
            self._boxed.append(len(self.codes))
        if code is not None:
            self.coded.append(len(self.scores))
            self.codes.append(code)
        self.images.append(image)
        self.labels.append(label)
        self.scores.append(score)
        self.boxes.extend(box)
        return None

    def _code(self, outline: Any, image: int, *, boxed: bool) -> Rle | None:
        """The mask; None where the truth has no masks to compare it with, unless the box is computed from it."""
        if not outline or not any(outline):  # [[]] is empty too
            return None
        self.saw_outlines = True
        if boxed and not self._truth.has_outlines:
            return None
        height, width = self._sizes[image]
        why = why_empty(outline) if isinstance(outline, list) else None
        if why is None:
            return code_unchecked(outline, height, width)
        self.empty.append((len(self.scores) + 1, why))
        return code_unchecked(None, height, width)

    def _check_codes(self) -> None:
        broken = first_broken(self.codes)
        if broken is not None:
            code = self.codes[broken]
            outline = {"size": code["size"], "counts": code["counts"].decode()}
            raise self._error(self.coded[broken] + 1, cannot_be_drawn(outline, *code["size"]))

    def _box_masks(self) -> None:
        """The box around each mask that came without one."""
        if self._boxed:
            rows = [self.coded[number] for number in self._boxed]
            boxes = mask.toBbox([self.codes[number] for number in self._boxed])
            np.frombuffer(self.boxes).reshape(-1, 4)[rows] = boxes

    def _error(self, number: int, what: str) -> DataError:
        return DataError(f"{self._place}: detection {number}: {what}")


def _what_is_wrong(found: dict[str, Any], truth: CocoJson, truth_place: str) -> str:
    """The end of a message: what is wrong with a detection of `truth`, what was expected, what to do."""
    image, category, score = found["image_id"], found.get("category_id"), found.get("score")
    ids = [one.id for one in truth.images]
    if not _is_among(image, ids):
        return (
            f"image_id {brief(image)} is not among the {len(ids)} images of {truth_place}; expected one of its ids, "
            f"such as {_first_of(ids)}; give the truth of these images, or write its ids"
        )
    if not _is_among(category, truth.ids):
        return (
            f"category_id {brief(category)} is not among the {len(truth.ids)} categories of {truth_place}; expected "
            f"one of its ids, such as {_first_of(truth.ids)}; write these ids, and not numbers of classes from 0"
        )
    if not _is_number(score):
        return f"score {brief(score)}; expected a number; fix the file"
    outline = found.get("segmentation")
    if (found.get("bbox") or not outline) and not _is_box(found.get("bbox")):
        return f"bbox {brief(found.get('bbox'))}; expected four numbers: left, top, width and height; fix the file"
    height, width = next((one.height, one.width) for one in truth.images if one.id == image)
    return cannot_be_drawn(outline, height, width)


def _is_among(value: Any, ids: Sequence[int]) -> bool:
    return isinstance(value, int | float) and value in ids


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST


def _is_box(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 4 and all(map(_is_number, value)) and min(value[2:]) >= 0


def _first_of(values: Sequence[int]) -> str:
    return ", ".join(map(str, values[:3]))


class CocoResult(NamedTuple):
    """A detection that is to be written."""

    category_id: int
    score: float
    box: tuple[float, float, float, float]
    """x1 y1 x2 y2 in pixels."""
    code: Rle | None = None
    """The mask, where there are masks."""


class CocoResultsWriter:
    """A file of results while it grows, a line per detection, so that none has to stay in memory. Under its own name it
    is there only once it is whole: leave the context without an error.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(path.name + ".partial")
        self._file: IO[str] | None = None
        self._empty = True

    def __enter__(self) -> "CocoResultsWriter":
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._partial.open("w", encoding="utf-8")
        self._file.write("[")
        return self

    def add(self, image_id: int, file_name: str, results: Iterable[CocoResult]) -> None:
        """Write the detections on an image."""
        assert self._file is not None, "inside the context"
        for result in results:
            line = json.dumps({"image_id": image_id, "file_name": file_name, **_as_json(result)})
            self._file.write(("\n" if self._empty else ",\n") + line)
            self._empty = False

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._file is not None, "it was entered"
        try:
            with self._file as file:
                if error is None:
                    file.write("]\n" if self._empty else "\n]\n")
                    file.flush()
                    os.fsync(file.fileno())
            if error is None:
                self._partial.replace(self._path)
        finally:
            self._partial.unlink(missing_ok=True)


def _as_json(one: CocoResult) -> dict[str, Any]:
    x1, y1, x2, y2 = one.box
    result: dict[str, Any] = {
        "category_id": one.category_id,
        "bbox": [_digits(value) for value in (x1, y1, x2 - x1, y2 - y1)],
        "score": _digits(one.score),
    }
    if one.code is not None:
        result["segmentation"] = {"size": list(one.code["size"]), "counts": one.code["counts"].decode("ascii")}
    return result


def _digits(value: float) -> float:
    """As many digits as float32 has, so that written results score the same."""
    return float(f"{value:.9g}")

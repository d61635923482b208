"""Anyone's detections, in COCO's json of results: a list with an object per detection."""

from __future__ import annotations

import json
from array import array
from itertools import pairwise
from math import isfinite
from typing import TYPE_CHECKING, Any

from attnkit.data.formats.coco_fields import NOT_DRAWN
from attnkit.data.formats.outlines import brief, cannot_be_drawn, code_unchecked, why_empty
from attnkit.data.formats.wrong_detection import what_is_wrong
from attnkit.errors import DataError

if TYPE_CHECKING:
    from attnkit.data.formats.coco_json import CocoJson
    from attnkit.structures.image_objects import ImageFound, Rle

_FORM = (
    "expected a list of detections, each with image_id, category_id, score and bbox (left, top, width, height) or "
    "segmentation, as COCO's results have"
)
_NO_BOX = (0.0, 0.0, 0.0, 0.0)


class CocoResults:
    """The detections by image. Each becomes numbers as soon as it is read, for as Python objects they would take ten
    times the memory.
    """

    def __init__(self, content: bytes, place: str, truth: CocoJson, truth_place: str) -> None:
        """Read a json.

        Args:
            content: its bytes.
            place: its name in errors.
            truth: what it is about.
            truth_place: the name of that.

        Raises:
            DataError: it is none, or a detection in it is not as it should be, or of another image or category.
        """
        import numpy as np

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
        import numpy as np

        from attnkit.structures.image_objects import ImageFound

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
        """What is strange about the masks."""
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
        import numpy as np

        if not len(self):
            return 0.0
        limits = np.array([(image.width, image.height) for image in self._truth.images])[self._images] + 1.0
        return float((self._boxes[:, :2] + self._boxes[:, 2:] > limits).any(axis=1).mean())


class _Reader:
    """Takes each object of the json as it comes, and keeps its numbers."""

    def __init__(self, place: str, truth: CocoJson, truth_place: str) -> None:
        self._place, self._truth, self._truth_place = place, truth, truth_place
        self._numbers: dict[object, int] = {image.id: number for number, image in enumerate(truth.images)}
        self._known: dict[object, int] = {category: label for label, category in enumerate(truth.ids)}
        self._sizes = [(image.height, image.width) for image in truth.images]
        self.images, self.labels, self.scores, self.boxes = array("q"), array("q"), array("d"), array("d")
        self.codes: list[Rle] = []
        self.coded = array("q")
        """Which detections have them."""
        self.empty: list[tuple[int, str]] = []
        """Which detections have polygons without an area, counted from 1, and why."""
        self.saw_outlines = False
        self._boxed: list[int] = []
        """Which codes tell where the box is."""

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
                raise self._error(number, f"{brief(left)} has no image_id; {_FORM}; mend the file")
        self._check_codes()
        self._box_masks()

    def _take(self, found: dict[str, Any]) -> dict[str, Any] | None:
        """Every object of the json comes here: detections, and the run-length codes in them, which stay.

        There may be hundreds of thousands, and nearly always all are right: only of one that is not it is asked why.
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
            raise self._error(len(self.scores) + 1, what_is_wrong(found, self._truth, self._truth_place))
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
        """The mask; where nothing is to be compared with, it is as if there were none, unless the box is that of it."""
        if not outline or not any(outline):  # [[]] says nothing either
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
        from attnkit.data.formats.run_length_codes import first_broken

        broken = first_broken(self.codes)
        if broken is not None:
            code = self.codes[broken]
            outline = {"size": code["size"], "counts": code["counts"].decode()}
            raise self._error(self.coded[broken] + 1, cannot_be_drawn(outline, *code["size"]))

    def _box_masks(self) -> None:
        """The box around each mask that came without one."""
        import numpy as np
        from pycocotools import mask

        if self._boxed:
            rows = [self.coded[number] for number in self._boxed]
            boxes = mask.toBbox([self.codes[number] for number in self._boxed])
            np.frombuffer(self.boxes).reshape(-1, 4)[rows] = boxes

    def _error(self, number: int, what: str) -> DataError:
        return DataError(f"{self._place}: detection {number}: {what}")

"""Anyone's detections, in COCO's json of results: a list with an object per detection."""

from __future__ import annotations

import json
from array import array
from itertools import pairwise
from math import isfinite
from typing import TYPE_CHECKING, Any

from attnkit.cli.evaluation.wrong_detection import brief, cannot_be_drawn, what_is_wrong
from attnkit.errors import DataError

if TYPE_CHECKING:
    from attnkit.data.images.coco_json import CocoJson
    from attnkit.metrics.image_objects import ImageFound, Rle

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
        self._truth, self._codes = truth, reader.codes
        self._images = np.frombuffer(reader.images, dtype=np.int64)
        self._labels = np.frombuffer(reader.labels, dtype=np.int64)
        self._scores = np.frombuffer(reader.scores)
        self._boxes = np.frombuffer(reader.boxes).reshape(-1, 4)
        self.has_masks = bool(reader.codes)
        """Whether each detection has a mask."""

    def __len__(self) -> int:
        """How many detections there are."""
        return len(self._scores)

    def by_image(self) -> list[ImageFound]:
        """What was found on each image, in the order of the truth's."""
        import numpy as np

        from attnkit.metrics.image_objects import ImageFound

        order = self._images.argsort(kind="stable")
        ends = np.searchsorted(self._images[order], np.arange(len(self._truth.images) + 1))
        return [
            ImageFound(
                xywh=self._boxes[rows],
                labels=self._labels[rows],
                scores=self._scores[rows],
                rles=[self._codes[row] for row in rows] if self._codes else None,
            )
            for rows in (order[start:end] for start, end in pairwise(ends))
        ]

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
        self.images, self.labels, self.scores, self.boxes = array("q"), array("q"), array("d"), array("d")
        self.codes: list[Rle] = []
        self._without_box: list[int] = []

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
            code = self._code(found["segmentation"], image) if "segmentation" in found else None
            box: Any = found.get("bbox") or (() if code is None else _NO_BOX)
            x, y, width, height = box
            fine = width >= 0 and height >= 0 and isfinite(x + y + width + height) and isfinite(score)
            fine = fine and ((code is not None) == bool(self.codes) or not self.scores)
        except (KeyError, ValueError, TypeError, IndexError, AttributeError, OverflowError):
            fine = False
        if not fine:
            masks = bool(self.codes) if self.scores else None
            wrong = what_is_wrong(found, self._truth, self._truth_place, masks=masks)
            raise self._error(len(self.scores) + 1, wrong)
        if box is _NO_BOX:
            self._without_box.append(len(self.scores))
        if code is not None:
            self.codes.append(code)
        self.images.append(image)
        self.labels.append(label)
        self.scores.append(score)
        self.boxes.extend(box)
        return None

    def _code(self, outline: Any, image: int) -> Rle | None:
        """The mask; where nothing is to be compared with, it is as if there were none."""
        if not outline or not self._truth.has_outlines:
            return None
        size = [self._truth.images[image].height, self._truth.images[image].width]
        if isinstance(outline, dict) and isinstance(outline["counts"], str):
            if outline["size"] != size:
                raise ValueError("another size")
            return {"size": size, "counts": outline["counts"].encode()}
        from attnkit.data.images.coco_codes import code_of

        return code_of(outline, *size)

    def _check_codes(self) -> None:
        import numpy as np

        from attnkit.cli.evaluation.run_length_codes import first_broken

        pixels = np.array([height * width for height, width in (code["size"] for code in self.codes)], dtype=np.int64)
        broken = first_broken([code["counts"] for code in self.codes], pixels)
        if broken is not None:
            code = self.codes[broken]
            outline = {"size": code["size"], "counts": code["counts"].decode()}
            raise self._error(broken + 1, cannot_be_drawn(outline, *code["size"]))

    def _box_masks(self) -> None:
        """The box around each mask that came without one."""
        from pycocotools import mask

        for row, box in zip(
            self._without_box, mask.toBbox([self.codes[row] for row in self._without_box]).tolist(), strict=True
        ):
            self.boxes[4 * row : 4 * row + 4] = array("d", box)

    def _error(self, number: int, what: str) -> DataError:
        return DataError(f"{self._place}: detection {number}: {what}")

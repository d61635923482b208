"""Two files of COCO, detections and the truth, read to be compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import typer
from pycocotools import mask

from attnkit.data.files import find_file, raw_lines
from attnkit.data.formats.coco import CocoImage, CocoJson, CocoObject, read_coco_json
from attnkit.data.formats.coco_fields import NOT_DRAWN
from attnkit.data.formats.coco_results import CocoResults
from attnkit.data.formats.outlines import (
    can_have_masks,
    cannot_be_drawn,
    code_unchecked,
    first_broken,
    is_outline,
    why_empty,
)
from attnkit.errors import DataError
from attnkit.metrics.detection_scores import DetectionScoring
from attnkit.structures.arrays import FloatArray
from attnkit.structures.image_objects import ImageFound, ImageTruth, Rle

_MOST_OUTSIDE = 0.5
"""If a larger share of the boxes reaches beyond their images, they look like corners."""


@dataclass(frozen=True)
class DetectionFiles:
    """What two files say."""

    class_names: tuple[str, ...]
    """By the ids of the categories."""
    has_masks: bool
    """Whether masks are to be scored: some detections and nearly all objects have one."""
    images: Sequence[tuple[int, ImageTruth, ImageFound]]
    """Id of the image, what is there, what was found."""


def score_files(predictions: str, ground_truth: str, *, max_detections: int) -> DetectionScoring:
    """Compare detections with the truth: boxes; and masks, if both files have them.

    Args:
        predictions: COCO's json of results.
        ground_truth: COCO's json of instances.
        max_detections: most of a class on an image that count.

    Raises:
        DataError: as `read_files`.
    """
    files = read_files(predictions, ground_truth)
    scoring = DetectionScoring(files.class_names, masks=files.has_masks, max_detections=max_detections)
    for image_id, truth, found in files.images:
        scoring.add(truth, found, image_id=image_id)
    return scoring


def read_files(predictions: str, ground_truth: str) -> DetectionFiles:
    """Read detections and the truth, and say on stderr what is unusual about them.

    Args:
        predictions: COCO's json of results.
        ground_truth: COCO's json of instances.

    Raises:
        DataError: a file is missing, or is not as COCO's are, or the two are not about the same images and categories,
            or there is an object or detection that cannot be scored.
    """
    about = _read_instances(_content(ground_truth), ground_truth)
    results = CocoResults(_content(predictions), predictions, about, ground_truth)
    truth = _CocoTruth(about, ground_truth, masks=results.has_masks)
    if results.share_outside() > _MOST_OUTSIDE:
        typer.echo(
            f"{predictions}: {100 * results.share_outside():.0f} % of the boxes reach beyond their images; expected "
            "left, top, width and height; write these if they are corners",
            err=True,
        )
    for note in (*results.notes(), *truth.notes(masks_found=results.saw_outlines)):
        typer.echo(note, err=True)
    ids = [image.id for image in about.images]
    images = list(zip(ids, truth.images, results.by_image(), strict=True))
    return DetectionFiles(about.names, results.has_masks, images)


def _content(name: str) -> bytes:
    return b"\n".join(raw_lines(find_file(name), name))


def _read_instances(content: bytes, place: str) -> CocoJson:
    """Take a json of instances apart, and say which annotations are left out."""
    about = read_coco_json(content, place)
    if about.kind == "panoptic":
        raise DataError(
            f"{place}: a panoptic json; expected one of instances, as instances_val2017.json; give the instances"
        )
    if not about.images:
        raise DataError(f"{place}: lists no images; expected those that were detected on; correct the path")
    if about.images_unknown:
        typer.echo(
            f"{place}: {len(about.images_unknown)} annotations are of images that it does not list, such as "
            f"{about.images_unknown[0]}; they are left out",
            err=True,
        )
    return about


class _CocoTruth:
    """The objects of all images. One without an outline has an empty mask where there are masks, as in a run's data.

    What needs pycocotools waits until all codes are known to be whole.
    """

    def __init__(self, about: CocoJson, place: str, *, masks: bool) -> None:
        """Read the objects.

        Args:
            about: the json.
            place: its name in messages.
            masks: whether they are to have masks.

        Raises:
            DataError: an object has no box, or an outline that cannot be drawn; or an image is too large for masks.
        """
        self._place, self._masks = place, masks
        self._objects = self._outlined = 0
        """Counted without crowds."""
        self._bare: list[str] = []
        """Annotations without an outline."""
        self._empty: list[tuple[str, str]] = []
        """Annotations whose polygons have no area, and why."""
        self._unchecked: list[tuple[str, Rle]] = []
        self._boxed: list[tuple[FloatArray, Rle]] = []
        """Boxes that the masks tell."""
        self._measured: list[tuple[FloatArray, FloatArray, Rle | None]] = []
        """Areas that the masks tell, or else the boxes."""
        if masks:
            self._check_sizes(about)
        self.images = [self._read(image) for image in about.images]
        """In the order of the json."""
        self._check_codes()
        self._fill_in()

    def notes(self, *, masks_found: bool) -> list[str]:
        """What had to be guessed, and what is unusual about the masks.

        Args:
            masks_found: whether detections have masks.
        """
        found = []
        if self._measured:
            found.append(
                f"{self._place}: {len(self._measured)} annotations have no area, which says how large an object is; "
                "that of the mask, or else of the box, is taken"
            )
        if not masks_found:
            return found
        if self._empty:
            annotation, why = self._empty[0]
            found.append(
                f"{self._place}: annotation {annotation}: {why}; {len(self._empty)} outlines like it cover nothing"
            )
        if not self._masks and self._objects:
            found.append(
                f"{self._place}: {self._outlined} of {self._objects} objects have an outline; expected nine tenths "
                "or more to score masks; boxes alone are scored"
            )
        elif self._bare:
            found.append(
                f"{self._place}: {len(self._bare)} annotations have no segmentation, such as {self._bare[0]}; their "
                "masks are empty, so that nothing finds them in mask AP"
            )
        return found

    def _check_sizes(self, about: CocoJson) -> None:
        for image in about.images:
            if not can_have_masks(image.height, image.width):
                raise DataError(
                    f"{self._place}: image {image.id}: {image.width} x {image.height} pixels; expected below 2^32 of "
                    "them, for masks are drawn on it; fix the file"
                )

    def _read(self, image: CocoImage) -> ImageTruth:
        """The objects of an image; boxes and areas that are not said are 0 so far."""
        objects = image.objects()
        codes = [self._code(one, image, outlined=self._is_outlined(one)) for one in objects]
        boxes = np.array([self._box(one) for one in objects], dtype=np.float64).reshape(-1, 4)
        areas = np.array([one.area or 0.0 for one in objects], dtype=np.float64)
        for row, (one, code) in enumerate(zip(objects, codes, strict=True)):
            if one.box is None and code is not None:
                self._boxed.append((boxes[row], code))
            if one.area is None:
                self._measured.append((areas[row : row + 1], boxes[row], code))
        return ImageTruth(
            xywh=boxes,
            labels=np.array([one.category for one in objects], dtype=np.int64),
            areas=areas,
            crowd=np.array([one.crowd for one in objects], dtype=np.bool_),
            rles=[code for code in codes if code is not None] if self._masks else None,
        )

    def _check_codes(self) -> None:
        """Refuse a code that is broken."""
        codes = [code for _, code in self._unchecked]
        broken = first_broken(codes)
        if broken is not None:
            outline = {"size": codes[broken]["size"], "counts": codes[broken]["counts"].decode()}
            raise self._not_drawn(self._unchecked[broken][0], outline, *outline["size"])

    def _fill_in(self) -> None:
        """Compute the boxes and areas that the file does not say."""
        for boxed, outline in self._boxed:
            boxed[:] = mask.toBbox(outline)
        for area, box, code in self._measured:
            area[:] = (0 if code is None else mask.area(code)) or box[2] * box[3]

    def _is_outlined(self, one: CocoObject) -> bool:
        """Whether there is something to draw; counted."""
        why = why_empty(one.segmentation)
        outlined = why is None and is_outline(one.segmentation)
        self._objects += not one.crowd
        self._outlined += outlined and not one.crowd
        if why is not None:
            self._empty.append((one.id, why))
        elif not outlined:
            self._bare.append(one.id)
        return outlined

    def _code(self, one: CocoObject, image: CocoImage, *, outlined: bool) -> Rle | None:
        if not self._masks and one.box is not None:
            return None
        if not outlined and one.box is None:
            raise self._error(one, "no bbox and no segmentation", "expected it in each")
        try:
            code = code_unchecked(one.segmentation if outlined else None, image.height, image.width)
        except NOT_DRAWN as error:
            raise self._not_drawn(one.id, one.segmentation, image.height, image.width) from error
        if isinstance(one.segmentation, dict):
            self._unchecked.append((one.id, code))
        return code

    def _box(self, one: CocoObject) -> list[float]:
        if one.box is None:
            return [0.0] * 4
        if len(one.box) != 4 or not all(abs(value) < float("inf") for value in one.box):
            raise self._error(one, f"bbox {one.box}", "expected four numbers: left, top, width and height")
        return one.box

    def _not_drawn(self, annotation: str, outline: Any, height: int, width: int) -> DataError:
        return DataError(f"{self._place}: annotation {annotation}: {cannot_be_drawn(outline, height, width)}")

    def _error(self, one: CocoObject, what: str, expected: str) -> DataError:
        return DataError(f"{self._place}: annotation {one.id}: {what}; {expected}; fix the file")

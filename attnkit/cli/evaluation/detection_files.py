"""Two files of COCO, detections and truth, put beside each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from attnkit.cli.evaluation.coco_results import CocoResults
from attnkit.cli.evaluation.detection_scores import DetectionScoring
from attnkit.errors import DataError

if TYPE_CHECKING:
    from attnkit.data.images.coco_json import CocoImage, CocoJson, CocoObject
    from attnkit.metrics.image_objects import ImageFound, ImageTruth, Rle

_MOST_OUTSIDE = 0.5
"""From this share of boxes beyond their images on they look like corners."""


@dataclass(frozen=True)
class DetectionFiles:
    """What two files say."""

    class_names: tuple[str, ...]
    """By the ids of the categories."""
    has_masks: bool
    """Whether all that is there and all that was found has a mask."""
    images: Iterator[tuple[ImageTruth, ImageFound]]
    """By their ids, for of equal scores the one on the image of the lower id comes first."""


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
    for truth, found in files.images:
        scoring.add(truth, found)
    return scoring


def read_files(predictions: str, ground_truth: str) -> DetectionFiles:
    """Read detections and the truth.

    Args:
        predictions: COCO's json of results.
        ground_truth: COCO's json of instances.

    Raises:
        DataError: a file is missing, or is not as COCO's are, or the two are not about the same images and categories;
            what is wrong with an object is said when its image comes.
    """
    truth = _truth(ground_truth)
    results = CocoResults(_content(predictions), predictions, truth, ground_truth)
    if results.share_outside() > _MOST_OUTSIDE:
        typer.echo(
            f"{predictions}: {100 * results.share_outside():.0f} % of the boxes reach beyond their images; expected "
            "left, top, width and height; write these if they are corners",
            err=True,
        )
    return DetectionFiles(truth.names, results.has_masks, _by_id(truth, results, ground_truth))


def _by_id(truth: CocoJson, results: CocoResults, ground_truth: str) -> Iterator[tuple[ImageTruth, ImageFound]]:
    reader = _Objects(ground_truth, masks=results.has_masks)
    for image, found in sorted(zip(truth.images, results.by_image(), strict=True), key=lambda pair: pair[0].id):
        yield reader.read(image), found
    reader.note()


def _content(name: str) -> bytes:
    from attnkit.data.files import find_file, raw_lines

    return b"\n".join(raw_lines(find_file(name), name))


def _truth(name: str) -> CocoJson:
    from attnkit.data.images.coco_json import read_coco_json

    truth = read_coco_json(_content(name), name)
    if truth.kind == "panoptic":
        raise DataError(
            f"{name}: a panoptic json; expected one of instances, as instances_val2017.json; give the instances"
        )
    if not truth.images:
        raise DataError(f"{name}: lists no images; expected those that were detected on; correct the path")
    if truth.images_unknown:
        typer.echo(
            f"{name}: {len(truth.images_unknown)} annotations are of images that it does not list, such as "
            f"{truth.images_unknown[0]}; they are left out",
            err=True,
        )
    return truth


class _Objects:
    """Reads what is on an image."""

    def __init__(self, place: str, *, masks: bool) -> None:
        self._place, self._masks = place, masks
        self._without_area = 0

    def read(self, image: CocoImage) -> ImageTruth:
        """The objects of an image.

        Raises:
            DataError: one has no box, or no mask where there should be one.
        """
        import numpy as np

        from attnkit.metrics.image_objects import ImageTruth

        objects = image.objects()
        codes = [self._code(one, image) if self._masks or one.box is None else None for one in objects]
        boxes = [self._box(one, code) for one, code in zip(objects, codes, strict=True)]
        areas = [self._area(*parts) for parts in zip(objects, codes, boxes, strict=True)]
        return ImageTruth(
            xywh=np.array(boxes, dtype=np.float64).reshape(-1, 4),
            labels=np.array([one.category for one in objects], dtype=np.int64),
            areas=np.array(areas, dtype=np.float64),
            crowd=np.array([one.crowd for one in objects], dtype=np.bool_),
            rles=[code for code in codes if code is not None] if self._masks else None,
        )

    def note(self) -> None:
        """Say what had to be guessed."""
        if self._without_area:
            typer.echo(
                f"{self._place}: {self._without_area} annotations have no area, which says how large an object is; "
                "that of the mask, or else of the box, is taken",
                err=True,
            )

    def _code(self, one: CocoObject, image: CocoImage) -> Rle:
        from attnkit.data.images.coco_codes import code_of

        if not one.segmentation:
            missing = "segmentation, but others have one" if self._masks else "bbox and no segmentation"
            raise self._error(one, f"no {missing}", "expected it in each")
        try:
            return code_of(one.segmentation, image.height, image.width)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            raise self._error(
                one,
                f"a segmentation that cannot be drawn ({type(error).__name__}: {error})",
                f"expected polygons, or a run-length code of {image.height} x {image.width}",
            ) from error

    def _box(self, one: CocoObject, code: Rle | None) -> list[float]:
        if one.box is None:
            from pycocotools import mask

            tight: list[float] = mask.toBbox(code).tolist()
            return tight
        if len(one.box) != 4 or not all(abs(value) < float("inf") for value in one.box):
            raise self._error(one, f"bbox {one.box}", "expected four numbers: left, top, width and height")
        return one.box

    def _area(self, one: CocoObject, code: Rle | None, box: list[float]) -> float:
        if one.area is not None:
            return one.area
        self._without_area += 1
        if code is None:
            return box[2] * box[3]
        from pycocotools import mask

        return float(mask.area(code))

    def _error(self, one: CocoObject, what: str, expected: str) -> DataError:
        return DataError(f"{self._place}: annotation {one.id}: {what}; {expected}; mend the file")

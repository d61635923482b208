"""Two files of COCO, detections and truth, put beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from attnkit.data.formats.coco_results import CocoResults
from attnkit.evaluation.coco_truth import CocoTruth, read_instances
from attnkit.metrics.detection_scores import DetectionScoring

if TYPE_CHECKING:
    from attnkit.structures.image_objects import ImageFound, ImageTruth

_MOST_OUTSIDE = 0.5
"""From this share of boxes beyond their images on they look like corners."""


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
    """Read detections and the truth, and say on stderr what is strange about them.

    Args:
        predictions: COCO's json of results.
        ground_truth: COCO's json of instances.

    Raises:
        DataError: a file is missing, or is not as COCO's are, or the two are not about the same images and categories,
            or there is an object or detection that cannot be scored.
    """
    about = read_instances(_content(ground_truth), ground_truth)
    results = CocoResults(_content(predictions), predictions, about, ground_truth)
    truth = CocoTruth(about, ground_truth, masks=results.has_masks)
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
    from attnkit.data.files import find_file, raw_lines

    return b"\n".join(raw_lines(find_file(name), name))

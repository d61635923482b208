"""What is wrong with a detection in COCO's json of results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from attnkit.data.formats.outlines import brief, cannot_be_drawn

if TYPE_CHECKING:
    from attnkit.data.formats.coco_json import CocoJson

_LARGEST = 1e300
"""Numbers beyond are none to reckon with; NaN is not below it either."""


def what_is_wrong(found: dict[str, Any], truth: CocoJson, truth_place: str) -> str:
    """The end of a message: what is wrong, what was expected, what to do.

    Args:
        found: the detection.
        truth: what it is about.
        truth_place: the name of that.
    """
    image, category, score = found["image_id"], found.get("category_id"), found.get("score")
    ids = [one.id for one in truth.images]
    if not _is_among(image, ids):
        return (
            f"image_id {brief(image)} is not among the {len(ids)} images of {truth_place}; expected one of its ids, "
            f"such as {_some(ids)}; give the truth of these images, or write its ids"
        )
    if not _is_among(category, truth.ids):
        return (
            f"category_id {brief(category)} is not among the {len(truth.ids)} categories of {truth_place}; expected "
            f"one of its ids, such as {_some(truth.ids)}; write these ids, and not numbers of classes from 0"
        )
    if not _is_number(score):
        return f"score {brief(score)}; expected a number; mend the file"
    outline = found.get("segmentation")
    if (found.get("bbox") or not outline) and not _is_box(found.get("bbox")):
        return f"bbox {brief(found.get('bbox'))}; expected four numbers: left, top, width and height; mend the file"
    height, width = next((one.height, one.width) for one in truth.images if one.id == image)
    return cannot_be_drawn(outline, height, width)


def _is_among(value: Any, ids: Sequence[int]) -> bool:
    return isinstance(value, int | float) and value in ids


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST


def _is_box(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 4 and all(map(_is_number, value)) and min(value[2:]) >= 0


def _some(values: Sequence[int]) -> str:
    return ", ".join(map(str, values[:3]))

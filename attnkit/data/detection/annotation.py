"""Objects as a file of annotations has them, and made into boxes and masks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from pycocotools import mask as rle
from torch import Tensor

from attnkit.data.formats.coco_fields import NOT_DRAWN
from attnkit.data.formats.outlines import code_of, is_outline
from attnkit.errors import DataError
from attnkit.structures.boxes import box_areas
from attnkit.structures.masks import Masks
from attnkit.structures.objects import Objects
from attnkit.structures.run_lengths import Code

Box = tuple[float, float, float, float]


class Annotation(NamedTuple):
    """One object, before anything is corrected."""

    label: int
    """The number of its class."""
    id: str
    """What to call it in messages."""
    box: Box | None
    """x1 y1 x2 y2 in pixels, which may lie outside; None where there is only an outline."""
    outline: Any = None
    """Polygons or a run-length code, as COCO has them; None or empty: there is but a box."""
    area: float | None = None
    """None where it is not said."""
    crowd: bool = False
    difficult: bool = False


def objects_of(
    annotations: Sequence[Annotation], size: tuple[int, int], *, masks: bool, difficult: bool, place: str
) -> Objects:
    """What is on an image. Boxes are clipped to it, and may be left empty; an object without outline has an empty mask.

    Args:
        annotations: R of them.
        size: H, W of the image.
        masks: whether outlines are drawn.
        difficult: whether the data has that word.
        place: what to call the annotations of the image in errors.

    Raises:
        DataError: an outline cannot be drawn, or a box is none.
    """
    drawn = Masks.from_rle([_code(one, size, place) for one in annotations], size) if masks else None
    raw = [box_of(one, size, place) for one in annotations]
    boxes = _clipped(torch.tensor(raw, dtype=torch.float32).view(-1, 4), size)
    areas = box_areas(boxes)
    if drawn is not None:
        areas = torch.where(drawn.areas() > 0, drawn.areas(), areas)
    said = torch.tensor([math.nan if one.area is None else one.area for one in annotations], dtype=torch.float32)
    return Objects(
        boxes=boxes,
        labels=torch.tensor([one.label for one in annotations], dtype=torch.int64),
        areas=torch.where(said.isnan(), areas, said),
        crowd=torch.tensor([one.crowd for one in annotations], dtype=torch.bool),
        masks=drawn,
        difficult=torch.tensor([one.difficult for one in annotations], dtype=torch.bool) if difficult else None,
    )


def box_of(annotation: Annotation, size: tuple[int, int], place: str) -> Box:
    """The box of an object, or that of its outline where there is none; not clipped.

    Raises:
        DataError: it has neither, or not four finite numbers.
    """
    if annotation.box is None and is_outline(annotation.outline):
        x, y, width, height = rle.toBbox(_code(annotation, size, place)).tolist()
        return x, y, x + width, y + height
    box = annotation.box
    if box is None or not all(map(math.isfinite, box)):
        raise DataError(
            f"{place}: object {annotation.id} has {'no box' if box is None else f'the box {list(box)}'}; expected four "
            "numbers, or an outline; fix the file"
        )
    return box


def _code(annotation: Annotation, size: tuple[int, int], place: str) -> Code:
    try:
        return code_of(annotation.outline or None, *size)
    except NOT_DRAWN as error:
        raise DataError(
            f"{place}: the outline of object {annotation.id} cannot be drawn ({type(error).__name__}: {error}); "
            f"expected polygons, or a run-length code of {size[0]} x {size[1]}; fix the file"
        ) from error


def _clipped(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """What lies outside has no width or no height then."""
    height, width = size
    first = torch.minimum(boxes[:, :2].clamp(min=0), boxes.new_tensor([width, height]))
    last = torch.minimum(boxes[:, 2:].clamp(min=0), boxes.new_tensor([width, height]))
    return torch.cat([first, torch.maximum(first, last)], dim=1)

"""COCO's polygons, run-length codes and panoptic PNGs as a class per pixel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from attnkit.data.data_root import Files
from attnkit.data.formats.coco import CocoImage
from attnkit.data.formats.coco_fields import NOT_DRAWN
from attnkit.data.formats.outlines import runs_of
from attnkit.data.images.mask_image import decode_mask
from attnkit.data.segmentation.segmentation_set import LabelMap
from attnkit.errors import DataError
from attnkit.structures.arrays import IGNORE


def draw_instances(labels: LabelMap, annotations: Sequence[tuple[int, Any]], first: int, place: str) -> None:
    """Draw instances over a label map, the largest first.

    Args:
        labels: (H, W), changed in place.
        annotations: number of category, and polygons or run-length code, of each.
        first: the class of category 0.
        place: what to call them in errors.

    Raises:
        DataError: a code is broken, or of another size.
    """
    try:
        drawn = [(number, runs_of(segmentation, *labels.shape)) for number, segmentation in annotations]
        columns = labels.T.flatten()  # runs go down the columns, one after the other
        for number, runs in sorted(drawn, key=lambda one: -int(one[1][1::2].sum())):
            ends = runs.cumsum().tolist()
            for start, end in zip(ends[::2], ends[1::2], strict=False):
                columns[start:end] = number + first
        labels[:] = columns.reshape(labels.shape[::-1]).T
    except NOT_DRAWN as error:
        raise DataError(
            f"{place}: a segmentation cannot be drawn ({type(error).__name__}: {error}); expected polygons, or a "
            f"run-length code of {labels.shape[0]} x {labels.shape[1]}; fix the file"
        ) from error


def segments_of(image: CocoImage, folder: Files | None, mask_place: str) -> LabelMap:
    """The label map of a panoptic PNG: its colours are numbers of segments, red the lowest byte; 0 is of none.

    Args:
        image: with the categories of its segments.
        folder: of the PNGs.
        mask_place: what to call its annotation in errors.

    Raises:
        DataError: the PNG is missing or broken, or holds other segments.
    """
    if image.panoptic_file is None or folder is None:
        return np.full((image.height, image.width), IGNORE, dtype=np.uint8)
    number = folder.find(image.panoptic_file)
    if number is None:
        raise DataError(
            f"{mask_place}: its PNG {image.panoptic_file} is not in {folder.place}; expected it there; copy the folder "
            "again, or name the right one as panoptic of the split"
        )
    place = folder.tree.place(number)
    values = decode_mask(folder.tree.read(number), place).astype(np.int64)
    colours = values if values.ndim == 3 else np.repeat(values[..., None], 3, axis=-1)  # a grey is a colour here
    segments, where = np.unique(colours @ np.array([1, 1 << 8, 1 << 16]), return_inverse=True)
    known = image.segments() | {0: IGNORE}
    if unknown := [segment for segment in segments.tolist() if segment not in known]:
        raise DataError(
            f"{place}: segment {unknown[0]} is not in {mask_place}; expected the segments of its segments_info; copy "
            "both again"
        )
    return np.array([known[one] for one in segments.tolist()], dtype=np.uint8)[where].reshape(colours.shape[:2])

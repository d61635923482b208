"""Objects of one image pasted onto another.

Source: Ghiasi et al. 2020, Simple copy-paste, arXiv:2012.07177, section 3: a random subset, without blending.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from attnkit.data.detection.object_image import ObjectImage
from attnkit.structures.arrays import Size
from attnkit.structures.masks import Masks
from attnkit.structures.objects import Objects

_MOST = 100
"""Objects that are pasted, as mmdetection has it."""
_LEAST_LEFT = 0.1
"""Share of an object's pixels: one that is covered more is no longer to be found. A number of them, as in mmdetection,
would be a whole nucleus and a corner of a bus."""


def paste(source: ObjectImage, onto: ObjectImage, rng: np.random.Generator) -> ObjectImage:
    """Paste some objects, at least one where any is seen. They keep their size, and their places to one another.

    What they cover is no longer part of the objects beneath: masks lose it, and boxes are drawn around what is left.

    Args:
        source: where they are taken from; its objects have masks, none of them empty.
        onto: where they are pasted; likewise. It stays as it is.
        rng: what decides which, and where an image lies on one of another size.

    Returns:
        The image with the objects that were on it, then the pasted ones.
    """
    part, top, left = _laid(source, onto.size, rng)
    if not len(part.objects):
        return onto
    count = int(rng.integers(1, min(len(part.objects), _MOST), endpoint=True))
    chosen = part.objects[np.sort(rng.permutation(len(part.objects))[:count]).tolist()]
    pasted = _moved(chosen, top, left, onto.size)
    covered = _covered(pasted)
    place = slice(top, top + part.size[0]), slice(left, left + part.size[1])
    return ObjectImage(
        _replaced(onto.pixels, part.pixels, covered, place),
        _joined(_uncovered(onto.objects, covered), pasted),
        None
        if onto.semantic is None or part.semantic is None
        else _replaced(onto.semantic, part.semantic, covered, place),
    )


def _laid(source: ObjectImage, size: Size, rng: np.random.Generator) -> tuple[ObjectImage, int, int]:
    """What of an image lies on one of another size, and the row and column there of its upper left."""
    high, wide = min(source.size[0], size[0]), min(source.size[1], size[1])
    y1, x1 = (int(rng.integers(more, endpoint=True)) for more in (source.size[0] - high, source.size[1] - wide))
    top, left = (int(rng.integers(more, endpoint=True)) for more in (size[0] - high, size[1] - wide))
    return source.cut((x1, y1, x1 + wide, y1 + high)).learned(), top, left


def _moved(objects: Objects, top: int, left: int, size: Size) -> Objects:
    """On a larger image, there at a row and a column."""
    masks = objects.masks
    assert masks is not None
    shift = torch.tensor([left, top, left, top])
    return replace(objects, boxes=objects.boxes + shift, masks=Masks(masks.pixels, masks.windows + shift, size))


def _covered(objects: Objects) -> Tensor:
    """(H, W) the pixels of any."""
    assert objects.masks is not None
    covered = torch.zeros(objects.masks.size, dtype=torch.bool)
    for crop, (x1, y1, x2, y2) in zip(objects.masks.crops(), objects.masks.windows.tolist(), strict=True):
        covered[y1:y2, x1:x2] |= crop.bool()
    return covered


def _uncovered(objects: Objects, covered: Tensor) -> Objects:
    """What is left of objects that are partly covered; the boxes of others stay as they were."""
    assert objects.masks is not None
    masks = objects.masks.without(covered)
    before, after = objects.masks.areas(), masks.areas()
    boxes = torch.where((after < before)[:, None], masks.boxes(), objects.boxes)
    return replace(objects, boxes=boxes, masks=masks, areas=after)[after >= _LEAST_LEFT * before]


def _joined(first: Objects, second: Objects) -> Objects:
    """The objects of both."""
    assert first.masks is not None
    assert second.masks is not None
    both = (first, second)
    difficult = [one.difficult for one in both if one.difficult is not None]
    return Objects(
        boxes=torch.cat([one.boxes for one in both]),
        labels=torch.cat([one.labels for one in both]),
        areas=torch.cat([one.areas for one in both]),
        crowd=torch.cat([one.crowd for one in both]),
        masks=Masks.joined(first.masks, second.masks),
        difficult=torch.cat(difficult) if len(difficult) == len(both) else None,
    )


def _replaced(onto: Tensor, part: Tensor, covered: Tensor, place: tuple[slice, slice]) -> Tensor:
    """What is covered (H, W) taken from a part, which lies at a place; (..., H, W)."""
    replaced = onto.clone()
    replaced[(..., *place)] = torch.where(covered[place], part, onto[(..., *place)])
    return replaced

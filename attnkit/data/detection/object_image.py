"""An image and all that is known of it, changed together; and objects of one image pasted onto another.

A part is cut out of the image before it is resized, so that a large image costs little more than what is shown of it.

Source of pasting: Ghiasi et al. 2020, Simple copy-paste, arXiv:2012.07177, section 3: a random subset, no blending.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import clip_boxes_to_image
from torchvision.transforms.v2 import functional

from attnkit.structures.arrays import Size
from attnkit.structures.boxes import box_areas, flip_boxes, scale_boxes
from attnkit.structures.masks import Masks
from attnkit.structures.objects import Objects

Window = tuple[int, int, int, int]
"""x1 y1 x2 y2 of a part, in pixels; the far ones exclusive."""
_MOST_PASTED = 100
"""Objects that are pasted at most, as mmdetection has it."""
_LEAST_VISIBLE = 0.1
"""Share of an object's pixels: an object that is covered more is dropped. A number of pixels, as in mmdetection, would
be a whole nucleus and a corner of a bus."""


def resize_pixels(pixels: Tensor, size: Size) -> Tensor:
    """An image, uint8 (3, H, W), in another size; bilinear, antialiased."""
    if (pixels.shape[1], pixels.shape[2]) == size:
        return pixels
    resized: Tensor = functional.resize(pixels, list(size), antialias=True)
    return resized


@dataclass(frozen=True)
class ObjectImage:
    """H x W pixels with R objects."""

    pixels: Tensor
    """uint8 (3, H, W)."""
    objects: Objects
    """In these pixels."""
    semantic: Tensor | None = None
    """A class per pixel, uint8 (H, W); None where the data has none."""

    @property
    def size(self) -> Size:
        """Height and width."""
        return self.pixels.shape[1], self.pixels.shape[2]

    def learned(self) -> ObjectImage:
        """Without what is not learned: crowds, boxes of under a pixel in height or width, empty masks."""
        objects = self.objects
        sides = objects.boxes[:, 2:] - objects.boxes[:, :2]
        kept = ~objects.crowd & (sides >= 1).all(dim=1)
        if objects.masks is not None:
            kept &= objects.masks.areas() > 0
        return self if bool(kept.all()) else replace(self, objects=objects[kept])

    def cut(self, window: Window) -> ObjectImage:
        """A part of it.

        Boxes are clipped to it, and not drawn closer around what is left of their masks: so mmdetection did, by which
        the published detectors were trained. What lies outside has no area.
        """
        x1, y1, x2, y2 = window
        if (y2 - y1, x2 - x1) == self.size:
            return self
        boxes, masks = self.objects.boxes, self.objects.masks
        boxes = clip_boxes_to_image(boxes - boxes.new_tensor([x1, y1, x1, y1]), (y2 - y1, x2 - x1))
        return ObjectImage(
            self.pixels[:, y1:y2, x1:x2],
            self._moved(boxes, None if masks is None else masks.cropped(window)),
            None if self.semantic is None else self.semantic[y1:y2, x1:x2],
        )

    def resized(self, size: Size) -> ObjectImage:
        """In another size; pixels of masks and maps are the nearest ones, by one rule."""
        if size == self.size:
            return self
        (height, width), masks, semantic = self.size, self.objects.masks, self.semantic
        boxes = scale_boxes(self.objects.boxes, (size[1] / width, size[0] / height))
        return ObjectImage(
            resize_pixels(self.pixels, size),
            self._moved(boxes, None if masks is None else masks.resized(size)),
            None if semantic is None else F.interpolate(semantic[None, None], size, mode="nearest-exact")[0, 0],
        )

    def flip(self) -> ObjectImage:
        """Mirrored left to right."""
        boxes, masks = flip_boxes(self.objects.boxes, self.size[1]), self.objects.masks
        return ObjectImage(
            self.pixels.flip(-1),
            self._moved(boxes, None if masks is None else masks.flip()),
            None if self.semantic is None else self.semantic.flip(-1),
        )

    def flip_vertical(self) -> ObjectImage:
        """Mirrored upside down."""
        swapped = [1, 0, 3, 2]
        boxes, masks = flip_boxes(self.objects.boxes[:, swapped], self.size[0])[:, swapped], self.objects.masks
        return ObjectImage(
            self.pixels.flip(-2),
            self._moved(boxes, None if masks is None else masks.flip_vertical()),
            None if self.semantic is None else self.semantic.flip(-2),
        )

    def _moved(self, boxes: Tensor, masks: Masks | None) -> Objects:
        """The same objects elsewhere."""
        return replace(
            self.objects, boxes=boxes, masks=masks, areas=box_areas(boxes) if masks is None else masks.areas()
        )


def paste(source: ObjectImage, onto: ObjectImage, rng: np.random.Generator) -> ObjectImage:
    """Paste some objects, at least one where any is visible. They keep their sizes, and where they lie to each other.

    What they cover is no longer part of the objects beneath: masks lose it, and boxes are drawn around what is left.

    Args:
        source: where they are taken from; its objects have masks, none of them empty.
        onto: where they are pasted, with masks too; it is not changed.
        rng: decides which, and where an image lies on one of another size.

    Returns:
        The image with the objects that were on it, then the pasted ones.
    """
    part, top, left = _laid(source, onto.size, rng)
    if not len(part.objects):
        return onto
    count = int(rng.integers(1, min(len(part.objects), _MOST_PASTED), endpoint=True))
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
    return replace(objects, boxes=boxes, masks=masks, areas=after)[after >= _LEAST_VISIBLE * before]


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

"""An image and all that is known of it, changed together.

A part is cut out of the image before it is resized, so that a large image costs little more than what is shown of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

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

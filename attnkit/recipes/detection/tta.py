"""In which sizes an image is looked at, mirrored or not, and where a box lies in each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from attnkit.data.detection.config import DetectionImageConfig
from attnkit.data.detection.detection_transforms import detection_input
from attnkit.data.detection.resizing import STRIDE
from attnkit.recipes.detection.recipe import DetectionInferenceConfig
from attnkit.structures.arrays import Size
from attnkit.structures.boxes import flip_boxes, scale_boxes


@dataclass(frozen=True)
class Look:
    """A way to look at images."""

    image: DetectionImageConfig
    """The size that they are brought to."""
    mirrored: bool = False
    """Left and right are exchanged in front of the network."""

    def at(self, pixels: Tensor) -> tuple[Tensor, View]:
        """An image, uint8 (3, H, W), looked at in this way.

        Returns:
            What a network is shown: float32 (1, 3, height, width), zero where there is no image; and where it lies.
        """
        shown = detection_input(pixels, self.image)
        height, width = shown.shape[1:]
        if self.mirrored:
            shown = shown.flip(-1)
        padded = F.pad(shown, (0, -width % STRIDE, 0, -height % STRIDE))
        return padded[None], View((height, width), (pixels.shape[1], pixels.shape[2]), self.mirrored)


@dataclass(frozen=True)
class View:
    """Where an image lies in what a network is shown."""

    size: Size
    """Of the image there, at the top left."""
    original: Size
    """Of the image in its file."""
    mirrored: bool

    def in_image(self, boxes: Tensor) -> Tensor:
        """Where boxes (..., 4) of the view lie in the image."""
        boxes = flip_boxes(boxes, self.size[1]) if self.mirrored else boxes
        return scale_boxes(boxes, (self.original[1] / self.size[1], self.original[0] / self.size[0]))

    def in_view(self, boxes: Tensor) -> Tensor:
        """Where boxes (..., 4) of the image lie in the view."""
        boxes = scale_boxes(boxes, (self.size[1] / self.original[1], self.size[0] / self.original[0]))
        return flip_boxes(boxes, self.size[1]) if self.mirrored else boxes

    def upright(self, masks: Tensor) -> Tensor:
        """Masks (R, M, M) that were drawn in boxes of the view, as they are in the image."""
        return masks.flip(-1) if self.mirrored else masks


def looks(image: DetectionImageConfig, inference: DetectionInferenceConfig) -> Iterator[Look]:
    """Every way in which an image is looked at.

    Args:
        image: the size without further ado. Where there are others, the bound of the longer side goes with them, or
            they would be one size for long images.
        inference: which sizes, and whether mirrored too.
    """
    for side in inference.short_sides or (image.short_side,):
        longest = max(1, round(image.long_side * side / image.short_side))
        resized = image.changed(short_side=side, long_side=longest)
        yield Look(resized)
        if inference.flip:
            yield Look(resized, mirrored=True)

"""Test-time augmentation: an image in several sizes, flipped or not, and where its boxes lie in each."""

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
class Augmentation:
    """One way to augment an image."""

    image: DetectionImageConfig
    """The size that it is resized to."""
    flipped: bool = False
    """Whether left and right are exchanged."""

    def apply(self, pixels: Tensor) -> "tuple[Tensor, AugmentedImage]":
        """Augment an image, uint8 (3, H, W).

        Returns:
            The input of a network: float32 (1, 3, height, width), padded with zeros; and where the image lies in it.
        """
        resized = detection_input(pixels, self.image)
        height, width = resized.shape[1:]
        if self.flipped:
            resized = resized.flip(-1)
        padded = F.pad(resized, (0, -width % STRIDE, 0, -height % STRIDE))
        return padded[None], AugmentedImage((height, width), (pixels.shape[1], pixels.shape[2]), self.flipped)


@dataclass(frozen=True)
class AugmentedImage:
    """Where an image lies in the input that an augmentation made of it."""

    size: Size
    """Height and width of the image in the input, at its top left."""
    original: Size
    """Height and width of the image in its file."""
    flipped: bool

    def to_image(self, boxes: Tensor) -> Tensor:
        """Bring boxes (..., 4) from the pixels of the input to those of the image."""
        boxes = flip_boxes(boxes, self.size[1]) if self.flipped else boxes
        return scale_boxes(boxes, (self.original[1] / self.size[1], self.original[0] / self.size[0]))

    def from_image(self, boxes: Tensor) -> Tensor:
        """Bring boxes (..., 4) from the pixels of the image to those of the input."""
        boxes = scale_boxes(boxes, (self.size[1] / self.original[1], self.size[0] / self.original[0]))
        return flip_boxes(boxes, self.size[1]) if self.flipped else boxes

    def unflip(self, masks: Tensor) -> Tensor:
        """Turn masks (R, M, M) that were predicted on the input the way round that the image has."""
        return masks.flip(-1) if self.flipped else masks


def augmentations(image: DetectionImageConfig, inference: DetectionInferenceConfig) -> Iterator[Augmentation]:
    """Every augmentation that an inference config asks for.

    Args:
        image: the size where none is asked for. Where others are, the bound of the longer side grows and shrinks with
            them, or they would be one size for long images.
        inference: which sizes, and whether flipped too.
    """
    for side in inference.short_sides or (image.short_side,):
        longest = max(1, round(image.long_side * side / image.short_side))
        of_size = image.changed(short_side=side, long_side=longest)
        yield Augmentation(of_size)
        if inference.flip:
            yield Augmentation(of_size, flipped=True)

"""From decoded images and their objects to the input and the targets of a detector."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from attnkit.data.detection.config import DetectionAugmentConfig, DetectionImageConfig
from attnkit.data.detection.object_image import ObjectImage, Window, resize_pixels
from attnkit.data.detection.resizing import NUM_UNIFORMS, Crops, LargeScaleJitter, MultiScale, Resizing, detection_size
from attnkit.data.images.distortion import distort, normalise
from attnkit.data.images.image_randomness import UIntArray, uniforms
from attnkit.structures.arrays import IntArray

_FLIP, _FLIP_VERTICAL, _PASTE = range(NUM_UNIFORMS, NUM_UNIFORMS + 3)


def detection_input(pixels: Tensor, image: DetectionImageConfig) -> Tensor:
    """Bring an image to the input of a detector: what evaluation and use do; antialiased.

    Args:
        pixels: uint8 (3, H, W).

    Returns:
        float32 (3, h, w), normalised.
    """
    size = detection_size((pixels.shape[1], pixels.shape[2]), image)
    return normalise(resize_pixels(pixels, size).to(torch.float32), image.mean, image.std)


@dataclass(frozen=True)
class DetectionVariation:
    """Varies images with their objects; what is drawn for an image depends on its seed alone, and its size does so
    without its being decoded.
    """

    image: DetectionImageConfig
    augment: DetectionAugmentConfig

    @property
    def resizing(self) -> Resizing:
        """How crops and sizes are drawn."""
        image, augment = self.image, self.augment
        if augment.jitter is not None:
            return LargeScaleJitter(augment.jitter.scale, augment.jitter.size)
        return MultiScale(augment.short_sides or (image.short_side,), image.long_side, augment.crop_branch)

    def padded_sizes(self, sizes: IntArray, seeds: UIntArray) -> IntArray:
        """(N, 2) what images of sizes (N, 2) are padded to, each for itself, when their seeds (N,) show them."""
        resizing = self.resizing
        return resizing.padded(resizing.draw(sizes, uniforms(seeds, NUM_UNIFORMS)).sizes)

    def shown(self, given: ObjectImage, seed: int) -> ObjectImage:
        """The drawn part of an image, in its drawn size, mirrored or not; with what is learned there."""
        random = uniforms(np.array([seed], dtype=np.uint64), _PASTE)
        crops = self.resizing.draw(np.array([given.size]), random[:, :NUM_UNIFORMS])
        part = given.learned().cut(_window(crops)).learned()
        height, width = crops.sizes[0].tolist()
        shown = part.resized((height, width)).learned()
        if random[0, _FLIP] < self.augment.flip:
            shown = shown.flip()
        if random[0, _FLIP_VERTICAL] < self.augment.flip_vertical:
            shown = shown.flip_vertical()
        return shown

    def pastes(self, seed: int) -> bool:
        """Whether the image of a seed gets objects of another."""
        if not self.augment.copy_paste:
            return False
        return bool(uniforms(np.array([seed], dtype=np.uint64), _PASTE + 1)[0, _PASTE] < self.augment.copy_paste)

    def write(self, pixels: Tensor, seed: int, onto: Tensor) -> None:
        """Change the colours, and normalise, into the upper left of what it is for.

        Args:
            pixels: uint8 (3, h, w).
            onto: float32 (3, H, W), at least as large.
        """
        varied = onto[:, : pixels.shape[1], : pixels.shape[2]].copy_(pixels)
        if self.augment.photometric:
            distort(varied, np.random.default_rng(seed))
        normalise(varied, self.image.mean, self.image.std)


def _window(crops: Crops) -> Window:
    x1, y1, x2, y2 = crops.windows[0].tolist()
    return x1, y1, x2, y2

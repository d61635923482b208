"""From decoded images and their labels to the input and the target of a segmentation model.

Only the part of an image that its crop shows is resized, by Pillow, which finds the same pixels there as in the whole
(to its rounding); colours are changed on the crop. A pixel's label is that of the nearest one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional

from attnkit.data.images.distortion import distort, normalise
from attnkit.data.segmentation.config import SegmentationAugmentConfig, SegmentationImageConfig
from attnkit.data.segmentation.segmentation_set import LabelMap
from attnkit.structures.arrays import IGNORE, Size

_MOST_REDRAWN = 10


def segmentation_size(size: Size, image: SegmentationImageConfig, factor: float = 1.0) -> Size:
    """The size that an image is brought to, its ratio kept.

    Args:
        factor: times which it is resized beyond that.
    """
    scale = image.short_side / min(size) if image.short_side else 1.0
    if image.long_side:
        scale = min(scale, image.long_side / max(size))
    height, width = (max(1, int(side * scale * factor + 0.5)) for side in size)
    return height, width


def segmentation_input(pixels: Tensor, image: SegmentationImageConfig) -> Tensor:
    """Bring an image to the input of a model, whole: what evaluation and use do; antialiased.

    Args:
        pixels: uint8 (3, H, W).

    Returns:
        float32 (3, h, w), normalised.
    """
    before = (pixels.shape[-2], pixels.shape[-1])
    size = segmentation_size(before, image)
    if size != before:
        pixels = functional.resize(pixels, list(size), antialias=True)
    return normalise(pixels.to(torch.float32), image.mean, image.std)


@dataclass(frozen=True)
class SegmentationVariation:
    """Varies images and their labels together; what is drawn for an image depends on its seed alone.

    Source of order and amounts: MMSegmentation's usual pipeline (resize, crop, flip, distort, pad), after which most
    published results were made.
    """

    image: SegmentationImageConfig
    augment: SegmentationAugmentConfig

    def __call__(self, samples: Sequence[tuple[Tensor, Tensor]], seeds: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Vary several images.

        Args:
            samples: images, uint8 (3, H, W), with their labels, uint8 (H, W); of any sizes.
            seeds: of all that is drawn, one for each.

        Returns:
            float32 (B, 3, h, w), normalised, zero where there is no image; int64 (B, h, w), IGNORE there. These are of
            the size of the crop.
        """
        pixels = torch.zeros(len(samples), 3, *self.image.crop)
        labels = torch.full((len(samples), *self.image.crop), IGNORE)
        for row, (sample, seed) in enumerate(zip(samples, seeds, strict=True)):
            self._vary(*sample, np.random.default_rng(seed), pixels[row], labels[row])
        return pixels, labels

    def _vary(
        self, pixels: Tensor, labels: Tensor, rng: np.random.Generator, varied: Tensor, varied_labels: Tensor
    ) -> None:
        """Write a variation into the upper left of what it is for: allocating it for each step would be slow."""
        size = segmentation_size((pixels.shape[1], pixels.shape[2]), self.image, rng.uniform(*self.augment.scale))
        window, target = self._crop(labels.numpy(), size, rng)
        shown = window.of_pixels(pixels)
        if rng.random() < self.augment.flip:
            shown, target = shown.transpose(Image.Transpose.FLIP_LEFT_RIGHT), target[:, ::-1].copy()
        varied = varied[:, : window.height, : window.width].copy_(functional.pil_to_tensor(shown))
        if self.augment.photometric:
            distort(varied, rng)
        normalise(varied, self.image.mean, self.image.std)
        varied_labels[: window.height, : window.width] = torch.from_numpy(target)

    def _crop(self, labels: LabelMap, size: Size, rng: np.random.Generator) -> "tuple[_Window, LabelMap]":
        """Where to crop, and the labels there; drawn again while they are nearly all of one class."""
        windows = self._drawn(size, rng)
        window = next(windows)
        target = window.of_labels(labels)
        if window.is_whole or self.augment.most_of_one_class == 1:
            return window, target
        for _ in range(_MOST_REDRAWN):
            if share_of_commonest(target) <= self.augment.most_of_one_class:
                break
            window = next(windows)
            target = window.of_labels(labels)
        return window, target

    def _drawn(self, size: Size, rng: np.random.Generator) -> "Iterator[_Window]":
        height, width = (min(side, most) for side, most in zip(size, self.image.crop, strict=True))
        while True:
            top = int(rng.integers(size[0] - height, endpoint=True))
            left = int(rng.integers(size[1] - width, endpoint=True))
            yield _Window(size, top, left, height, width)


@dataclass(frozen=True)
class _Window:
    """A part of a resized image."""

    size: Size
    """Of the whole, resized."""
    top: int
    left: int
    height: int
    width: int

    @property
    def is_whole(self) -> bool:
        """Whether there is nothing outside."""
        return (self.height, self.width) == self.size

    def of_pixels(self, pixels: Tensor) -> Image.Image:
        """That part of uint8 (3, H, W), resized; bilinear, antialiased."""
        first_row, last_row, above, below = _source(pixels.shape[1], self.size[0], self.top, self.height)
        first_column, last_column, left, right = _source(pixels.shape[2], self.size[1], self.left, self.width)
        around = pixels[:, first_row:last_row, first_column:last_column].permute(1, 2, 0)
        source = Image.fromarray(around.contiguous().numpy())
        box = (left, above, right, below)
        return source.resize((self.width, self.height), Image.Resampling.BILINEAR, box=box)

    def of_labels(self, labels: LabelMap) -> LabelMap:
        """The labels of that part of (H, W): of the pixel whose middle is the nearest."""
        (height, width), (high, wide) = labels.shape, self.size
        rows = ((np.arange(self.height) + self.top + 0.5) * height / high).astype(np.int64)
        columns = ((np.arange(self.width) + self.left + 0.5) * width / wide).astype(np.int64)
        nearest: LabelMap = labels[rows].take(columns, axis=1)
        return nearest


def _source(before: int, after: int, start: int, length: int) -> tuple[int, int, float, float]:
    """What a part of a resized side is made from.

    Args:
        before: pixels of the side.
        after: pixels of the resized side.
        start: of the part, in the resized side.
        length: of the part.

    Returns:
        The first pixel that counts, the one after the last; the part's own edges, in pixels from the first.
    """
    step = before / after
    low, high = start * step, min((start + length) * step, before)
    reach = max(1.0, step) + 1  # of the filter, and one for rounding
    first, last = max(0, int(low - reach)), min(before, int(high + reach) + 1)
    return first, last, low - first, high - first


def share_of_commonest(labels: LabelMap) -> float:
    """The largest share that one class has of the labelled pixels; 1 where none is labelled."""
    counts = Image.fromarray(labels).histogram()
    del counts[IGNORE]
    labelled = sum(counts)
    return max(counts) / labelled if labelled else 1.0

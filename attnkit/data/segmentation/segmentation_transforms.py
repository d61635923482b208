"""From decoded images and their labels to the input and the target of a segmentation model.

Only the part of an image that its crop shows is resized, by Pillow, which finds the same pixels there as in the whole
(to its rounding); colours are changed on the crop. A pixel's label is that of the nearest one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional

from attnkit.data.segmentation.config import SceneAugmentConfig, SceneConfig
from attnkit.data.segmentation.segmentation_set import LabelMap
from attnkit.structures.arrays import IGNORE, Size

_MOST_REDRAWN = 10
_BRIGHTNESS = 32
"""Of 255, added."""
_CONTRAST = _SATURATION = (0.5, 1.5)
"""Factors."""
_HUE = 18 / 180
"""Of a turn, either way."""


def scene_size(size: Size, image: SceneConfig, factor: float = 1.0) -> Size:
    """The size that an image is brought to, its ratio kept.

    Args:
        size: of the image.
        image: which sides to bring it to.
        factor: times which it is resized beyond that.
    """
    scale = image.short_side / min(size) if image.short_side else 1.0
    if image.long_side:
        scale = min(scale, image.long_side / max(size))
    height, width = (max(1, int(side * scale * factor + 0.5)) for side in size)
    return height, width


def scene_input(pixels: Tensor, image: SceneConfig) -> Tensor:
    """Bring an image to the input of a model, whole: what evaluation and use do; antialiased.

    Args:
        pixels: uint8 (3, H, W).
        image: the size, and what the model takes for zero and one.

    Returns:
        float32 (3, h, w), normalised.
    """
    before = (pixels.shape[-2], pixels.shape[-1])
    size = scene_size(before, image)
    if size != before:
        pixels = functional.resize(pixels, list(size), antialias=True)
    return _normalise(pixels.to(torch.float32), image)


def _normalise(pixels: Tensor, image: SceneConfig) -> Tensor:
    """In place, from 0 to 255."""
    normalised: Tensor = functional.normalize(pixels.div_(255), list(image.mean), list(image.std), inplace=True)
    return normalised


@dataclass(frozen=True)
class SceneVariation:
    """Varies images and their labels together; what is drawn for an image depends on its seed alone.

    Source of order and amounts: MMSegmentation's usual pipeline (resize, crop, flip, distort, pad), after which most
    published results were made.
    """

    image: SceneConfig
    augment: SceneAugmentConfig

    def __call__(self, scenes: Sequence[tuple[Tensor, Tensor]], seeds: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Vary several images.

        Args:
            scenes: images, uint8 (3, H, W), with their labels, uint8 (H, W); of any sizes.
            seeds: of all that is drawn, one for each.

        Returns:
            float32 (B, 3, h, w), normalised, zero where there is no image; int64 (B, h, w), IGNORE there. These are of
            the size of the crop.
        """
        pixels = torch.zeros(len(scenes), 3, *self.image.crop)
        labels = torch.full((len(scenes), *self.image.crop), IGNORE)
        for row, (scene, seed) in enumerate(zip(scenes, seeds, strict=True)):
            self._vary(*scene, np.random.default_rng(seed), pixels[row], labels[row])
        return pixels, labels

    def _vary(
        self, pixels: Tensor, labels: Tensor, rng: np.random.Generator, varied: Tensor, varied_labels: Tensor
    ) -> None:
        """Write a variation into the upper left of what it is for: memory is slow to get anew for each step."""
        size = scene_size((pixels.shape[1], pixels.shape[2]), self.image, rng.uniform(*self.augment.scale))
        window, seen = self._crop(labels.numpy(), size, rng)
        shown = window.of_pixels(pixels)
        if rng.random() < self.augment.flip:
            shown, seen = shown.transpose(Image.Transpose.FLIP_LEFT_RIGHT), seen[:, ::-1].copy()
        varied = varied[:, : window.height, : window.width].copy_(functional.pil_to_tensor(shown))
        if self.augment.photometric:
            distort(varied, rng)
        _normalise(varied, self.image)
        varied_labels[: window.height, : window.width] = torch.from_numpy(seen)

    def _crop(self, labels: LabelMap, size: Size, rng: np.random.Generator) -> tuple[_Window, LabelMap]:
        """Where to crop, and the labels there; drawn again while they are nearly all of one class."""
        windows = self._drawn(size, rng)
        window = next(windows)
        seen = window.of_labels(labels)
        if window.is_whole or self.augment.most_of_one_class == 1:
            return window, seen
        for _ in range(_MOST_REDRAWN):
            if share_of_commonest(seen) <= self.augment.most_of_one_class:
                break
            window = next(windows)
            seen = window.of_labels(labels)
        return window, seen

    def _drawn(self, size: Size, rng: np.random.Generator) -> Iterator[_Window]:
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
        """That part, resized; bilinear, antialiased.

        Args:
            pixels: uint8 (3, H, W), not resized.
        """
        first_row, last_row, above, below = _source(pixels.shape[1], self.size[0], self.top, self.height)
        first_column, last_column, left, right = _source(pixels.shape[2], self.size[1], self.left, self.width)
        around = pixels[:, first_row:last_row, first_column:last_column].permute(1, 2, 0)
        source = Image.fromarray(around.contiguous().numpy())
        box = (left, above, right, below)
        return source.resize((self.width, self.height), Image.Resampling.BILINEAR, box=box)

    def of_labels(self, labels: LabelMap) -> LabelMap:
        """The labels of that part: of the pixel whose middle is the nearest.

        Args:
            labels: (H, W), not resized.
        """
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


def distort(pixels: Tensor, rng: np.random.Generator) -> None:
    """Change brightness, contrast, saturation and hue, each half of the time, contrast before or after the colours.

    Source: Liu et al. 2015, SSD, arXiv:1512.02325, after Howard 2013, arXiv:1312.5402.

    Args:
        pixels: float32 (3, H, W), 0 to 255; changed in place, and not rounded.
        rng: what decides.
    """
    brightness = rng.uniform(-_BRIGHTNESS, _BRIGHTNESS) if rng.random() < 0.5 else 0.0
    contrast = rng.uniform(*_CONTRAST) if rng.random() < 0.5 else 1.0
    saturation = rng.uniform(*_SATURATION) if rng.random() < 0.5 else 1.0
    hue = rng.uniform(-_HUE, _HUE) if rng.random() < 0.5 else 0.0
    contrast_first = rng.random() < 0.5
    if brightness:
        pixels.add_(brightness).clamp_(0, 255)
    if contrast_first:
        pixels.mul_(contrast).clamp_(0, 255)
    if saturation != 1:
        saturate(pixels, saturation)
    if hue:
        turn_hue(pixels, hue)
    if not contrast_first:
        pixels.mul_(contrast).clamp_(0, 255)


def saturate(pixels: Tensor, factor: float) -> None:
    """Multiply the saturation of HSV, up to pure colours.

    Args:
        pixels: float32 (3, H, W), changed in place.
        factor: of the distance between a pixel's channels and the largest of them.
    """
    value = pixels.amax(0)
    most = value / (value - pixels.amin(0)).clamp_(min=1e-3)
    pixels.sub_(value).mul_(most.clamp_(max=factor)).add_(value)


def turn_hue(pixels: Tensor, turn: float) -> None:
    """Turn the hue of HSV.

    Args:
        pixels: float32 (3, H, W), changed in place.
        turn: part of a whole turn; a third makes red green.
    """
    red, green, blue = pixels
    value = pixels.amax(0)
    chroma = value - pixels.amin(0)
    per_chroma = chroma.clamp(min=1e-3).reciprocal_()
    from_green, from_blue = (blue - red).mul_(per_chroma).add_(2), (red - green).mul_(per_chroma).add_(4)
    sixths = torch.where(value == green, from_green, from_blue)
    sixths = torch.where(value == red, (green - blue).mul_(per_chroma), sixths).add_(6 * turn)
    for channel, offset in zip(pixels, (5, 3, 1), strict=True):
        place = (sixths + offset).remainder_(6)
        torch.sub(value, torch.minimum(place, 4 - place).clamp_(0, 1).mul_(chroma), out=channel)

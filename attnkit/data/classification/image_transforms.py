"""From decoded images of any size to the input of a model.

What torchvision has is taken from torchvision.transforms.v2. Geometry works on tensors; colours are changed on Pillow's
images, which is several times as fast for these operations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional

from attnkit.data.classification.config import AugmentConfig, ImageConfig
from attnkit.data.images.image_randomness import UIntArray, torch_generator, uniforms
from attnkit.structures.arrays import FloatArray

_GREY = 128
_BINS = 31
"""Magnitudes of torchvision's RandAugment: 0 to 30."""


@dataclass(frozen=True)
class EvalTransform:
    """What images go through in evaluation and use."""

    image: ImageConfig

    def __call__(self, pixels: Tensor) -> Tensor:
        """Bring one image, or several of one size, to the input of a model.

        Args:
            pixels: uint8 (..., 3, H, W).

        Returns:
            float32 (..., 3, S, S), normalised.
        """
        return normalise(resize(pixels, self.image), self.image)


def resize(pixels: Tensor, image: ImageConfig) -> Tensor:
    """Bring images to the size of the input; antialiased.

    Args:
        pixels: uint8 (..., 3, H, W).

    Returns:
        uint8 (..., 3, S, S).
    """
    size, (height, width) = image.size, pixels.shape[-2:]
    if image.resize == "squash":
        return _scaled(pixels, size, size, image)
    if image.resize == "pad":
        scale = size / max(height, width)
        high, wide = max(1, round(height * scale)), max(1, round(width * scale))
        left, top = (size - wide) // 2, (size - high) // 2
        sides = [left, top, size - wide - left, size - high - top]
        return functional.pad(_scaled(pixels, high, wide, image), sides, fill=_GREY)
    shorter = int(size / image.crop_fraction)  # rounded down, as timm does
    high = shorter if height <= width else int(shorter * height / width)
    wide = shorter if width <= height else int(shorter * width / height)
    return functional.center_crop(_scaled(pixels, high, wide, image), [size, size])


def _scaled(pixels: Tensor, height: int, width: int, image: ImageConfig) -> Tensor:
    if pixels.shape[-2:] == (height, width):
        return pixels
    mode = InterpolationMode(image.interpolation)
    return functional.resize(pixels, [height, width], interpolation=mode, antialias=True)


def normalise(pixels: Tensor, image: ImageConfig) -> Tensor:
    """0..255 to the mean and standard deviation that the model wants: float32."""
    shift = torch.tensor(image.mean)[:, None, None] * 255
    scale = torch.tensor(image.std)[:, None, None] * 255
    return pixels.to(torch.float32).sub_(shift).div_(scale)


class TrainTransform:
    """Varies images; what is drawn for an image depends on its seed alone."""

    def __init__(self, image: ImageConfig, augment: AugmentConfig) -> None:
        self._image, self._augment = image, augment
        self._whole = image if augment.crop == "none" else image.changed(crop_fraction=1.0)
        self._mean = torch.tensor([round(255 * part) for part in image.mean], dtype=torch.uint8)
        self._geometry = [_random_resized_crop(image, augment), v2.RandomHorizontalFlip(augment.flip)]
        self._colours = _colour_steps(augment, fill=self._mean.tolist())
        self._erase = v2.RandomErasing(p=1.0, scale=(0.02, 1 / 3), value="random", inplace=True)

    @property
    def is_fast(self) -> bool:
        """Whether whole batches of small images are varied at once, by tens of thousands of images per second."""
        return self._augment.crop != "random_resized" and not self._colours and not self._augment.erase

    def __call__(self, pixels: Tensor) -> Tensor:
        """Vary one image, by a seed from torch's generator.

        Args:
            pixels: uint8 (3, H, W).

        Returns:
            float32 (3, S, S), normalised.
        """
        return self.batch([pixels], torch.randint(1 << 62, (1,)).numpy().astype(np.uint64))[0]

    def batch(self, images: Sequence[Tensor] | Tensor, seeds: UIntArray) -> Tensor:
        """Vary several images; torch's generator is left as it was.

        Args:
            images: uint8 (3, H, W) each, or one tensor (B, 3, H, W).
            seeds: (B,) one for each.

        Returns:
            float32 (B, 3, S, S), normalised.
        """
        draws = uniforms(seeds, 4)
        if self._augment.crop == "random_resized":
            varied = self._one_by_one([*self._geometry, *self._colours], images, seeds)
        else:
            resized = [resize(part, self._whole) for part in ([images] if isinstance(images, Tensor) else images)]
            whole = resized[0] if isinstance(images, Tensor) else torch.stack(resized)
            padding = self._augment.padding if self._augment.crop == "shift" else 0
            varied = shift_and_flip(whole, draws[:, :3], padding=padding, flip=self._augment.flip, fill=self._mean)
            if self._colours:
                varied = self._one_by_one(self._colours, varied, seeds)
        result = normalise(varied, self._image)
        self._erase_some(result, draws[:, 3], seeds)
        return result

    def _one_by_one(self, steps: Sequence[_Step], images: Sequence[Tensor] | Tensor, seeds: UIntArray) -> Tensor:
        varied = []
        with torch_generator() as generator:
            for image, seed in zip(images, seeds.tolist(), strict=True):
                generator.manual_seed(seed)
                for step in steps:
                    image = step(image)
                varied.append(image)
        return torch.stack(varied)

    def _erase_some(self, images: Tensor, draws: FloatArray, seeds: UIntArray) -> None:
        """Put noise over a rectangle of some of the images, in place."""
        chosen = np.flatnonzero(draws < self._augment.erase).tolist()
        if not chosen:
            return
        with torch_generator() as generator:
            for row in chosen:
                generator.manual_seed(int(seeds[row]) ^ 1)  # other numbers than those of the steps before
                self._erase(images[row])


_Step = Callable[[Any], Any]


def shift_and_flip(images: Tensor, draws: FloatArray, *, padding: int, flip: float, fill: Tensor) -> Tensor:
    """Move each image of a batch by up to `padding` pixels either way, and mirror some: all of them in one step.

    Args:
        images: uint8 (B, 3, H, W).
        draws: (B, 3) from 0 up to 1: how far down, how far right, whether to mirror.
        padding: in pixels; every shift is equally likely.
        flip: share of the images that are mirrored left and right.
        fill: (3,) uint8, the colour of what was outside.

    Returns:
        uint8 (B, 3, H, W).
    """
    count, channels, height, width = images.shape
    padded = fill[None, :, None, None].repeat(count, 1, height + 2 * padding, width + 2 * padding)
    padded[:, :, padding : padding + height, padding : padding + width] = images
    down, right = torch.from_numpy((draws[:, :2] * (2 * padding + 1)).astype(np.int64)).unbind(1)
    rows = down[:, None] + torch.arange(height)
    columns = torch.arange(width).expand(count, width).clone()
    mirrored = torch.from_numpy(draws[:, 2] < flip)
    columns[mirrored] = columns[mirrored].flip(1)
    columns = columns + right[:, None]
    within = rows[:, :, None] * padded.shape[3] + columns[:, None, :]  # (B, H, W)
    places = within.view(count, 1, -1).expand(-1, channels, -1)
    return padded.view(count, channels, -1).gather(2, places).view(images.shape)


def _random_resized_crop(image: ImageConfig, augment: AugmentConfig) -> _Step:
    return v2.RandomResizedCrop(
        image.size,
        scale=augment.scale,
        ratio=augment.ratio,
        interpolation=InterpolationMode(image.interpolation),
        antialias=True,
    )


def _colour_steps(augment: AugmentConfig, *, fill: list[int]) -> list[_Step]:
    """RandAugment and its like, and jitter, between a way to Pillow and one back."""
    steps: list[_Step] = []
    bilinear = InterpolationMode.BILINEAR
    if augment.auto == "rand":
        steps.append(NoisyRandAugment(augment, fill=fill))
    elif augment.auto == "trivial":
        steps.append(v2.TrivialAugmentWide(interpolation=bilinear, fill=fill))
    elif augment.auto == "three":
        steps.append(three_augment())
    if augment.color_jitter:
        steps.append(v2.ColorJitter(*[augment.color_jitter] * 3))
    return [functional.to_pil_image, *steps, functional.pil_to_tensor] if steps else []


class NoisyRandAugment:
    """RandAugment whose magnitude is drawn for each operation, as timm's mstd has it.

    Source: Cubuk et al. 2019, arXiv:1909.13719; the operations are torchvision's.
    """

    def __init__(self, augment: AugmentConfig, *, fill: list[int]) -> None:
        """Take the settings; `fill` is the colour of what was outside of the image."""
        self._augment = augment
        self._one = v2.RandAugment(1, 0, _BINS, interpolation=InterpolationMode.BILINEAR, fill=fill)

    def __call__(self, image: Any) -> Any:
        """Apply so many operations, by torch's generator."""
        for _ in range(self._augment.rand_ops):
            self._one.magnitude = self._magnitude()
            image = self._one(image)
        return image

    def _magnitude(self) -> int:
        noise = self._augment.rand_noise * torch.randn(()).item() if self._augment.rand_noise else 0.0
        return min(max(round(self._augment.rand_magnitude + noise), 0), _BINS - 1)


def three_augment() -> _Step:
    """One of grey, solarised and blurred.

    Source: Touvron et al. 2022, DeiT III, arXiv:2204.07118, section 4.
    """
    grey = v2.Grayscale(num_output_channels=3)
    return v2.RandomChoice([grey, v2.RandomSolarize(threshold=128, p=1.0), v2.GaussianBlur(9, sigma=(0.1, 2.0))])

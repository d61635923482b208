"""Changes of an image's colours: by the channels of HSV, and to what a model takes for zero and one."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

_BRIGHTNESS = 32
"""Of 255, added."""
_CONTRAST = _SATURATION = (0.5, 1.5)
"""Factors."""
_HUE = 18 / 180
"""Of a turn, either way."""


def distort(pixels: Tensor, rng: np.random.Generator) -> None:
    """Change brightness, contrast, saturation and hue, each half of the time, contrast before or after the colours.

    Source: Liu et al. 2015, SSD, arXiv:1512.02325, after Howard 2013, arXiv:1312.5402.

    Args:
        pixels: float32 (3, H, W), 0 to 255; changed in place, and not rounded.
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


def normalise(pixels: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Bring float32 (3, H, W) from 0..255 to a mean and a standard deviation on 0..1, in place."""
    normalised: Tensor = functional.normalize(pixels.div_(255), list(mean), list(std), inplace=True)
    return normalised


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

"""Mixup and CutMix: images of a batch blended with one another, and their labels likewise.

mixup: Zhang et al. 2017, arXiv:1710.09412. CutMix: Yun et al. 2019, arXiv:1905.04899.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from attnkit.data.classification.config import AugmentConfig


def mix(
    images: Tensor, labels: Tensor, augment: AugmentConfig, *, num_classes: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor] | None:
    """Blend the batch with itself in reverse order, or leave it be, by chance.

    Args:
        images: float32 (B, 3, H, W); changed in place.
        labels: (B,) int64.
        augment: how strongly, and how often.
        num_classes: K.
        rng: what is drawn from.

    Returns:
        Images (B, 3, H, W) and targets (B, K), the shares of the classes; None where the batch is left as it is.
    """
    if not (augment.mixup or augment.cutmix) or rng.random() >= augment.mix_probability:
        return None
    cuts = bool(augment.cutmix) and (not augment.mixup or rng.random() < 0.5)
    alpha = augment.cutmix if cuts else augment.mixup
    share = float(rng.beta(alpha, alpha))
    if cuts:
        share = _cut(images, share, rng)
    else:
        images = images * share + images.flip(0) * (1 - share)
    truth = functional.one_hot(labels, num_classes).to(torch.float32)
    return images, truth * share + truth.flip(0) * (1 - share)


def _cut(images: Tensor, share: float, rng: np.random.Generator) -> float:
    """Put a rectangle of the reversed batch into each image; give the share of the image that is left of it.

    The rectangle has 1 - share of the area before it is cut off at the border; its centre is anywhere.
    """
    height, width = images.shape[2:]
    side = np.sqrt(1 - share)
    high, wide = int(height * side), int(width * side)
    y, x = int(rng.integers(height)), int(rng.integers(width))
    top, bottom = max(y - high // 2, 0), min(y + high // 2, height)
    left, right = max(x - wide // 2, 0), min(x + wide // 2, width)
    images[:, :, top:bottom, left:right] = images.flip(0)[:, :, top:bottom, left:right]
    return 1 - (bottom - top) * (right - left) / (height * width)

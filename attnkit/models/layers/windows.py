"""Cutting a map into windows that may be shifted, and putting it together again (Liu et al. 2021, section 3.2).

Letters: B batch, H W tokens of the map, C channels, M side of a window, n windows of a map, N = M * M tokens of one.

The order is that of the official code: pad on the right and at the bottom, then roll, then cut. (timm rolls first, and
so differs at sizes that windows do not cover.) Padded tokens are zeros that everyone may attend to; the mask only parts
what the roll has brought together.
"""

import math
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

FORBIDDEN = -math.inf
"""Added to the scores of pairs that the shift alone has made neighbours; every token sees itself. The official code
adds -100; e^-100 is as good as nothing, but takes a CPU long, for it is below what float32 holds at full precision."""

Shift = tuple[int, int]
"""Tokens by which the map is rolled up and to the left."""


def padded_size(height: int, width: int, window: int) -> tuple[int, int]:
    """The size of the map once whole windows cover it."""
    return -(-height // window) * window, -(-width // window) * window


def classifier_shift(height: int, width: int, window: int) -> Shift:
    """Half a window, but none along an axis on which one window covers the map.

    This is torchvision's rule. The official classifier decides once, from the size that it was made for, and for both
    axes together; the official backbones for detection and segmentation always shift.
    """
    padded = padded_size(height, width, window)
    return tuple(0 if side <= window else window // 2 for side in padded)  # type: ignore[return-value]


def to_windows(x: Float[Tensor, "B H W C"], window: int, shift: Shift) -> Float[Tensor, "B n N C"]:
    """The windows of a map, row by row, each with its tokens row by row."""
    batch, height, width, channels = x.shape
    padded_height, padded_width = padded_size(height, width, window)
    if (padded_height, padded_width) != (height, width):
        x = F.pad(x, (0, 0, 0, padded_width - width, 0, padded_height - height))
    if any(shift):
        x = x.roll((-shift[0], -shift[1]), dims=(1, 2))
    x = x.view(batch, padded_height // window, window, padded_width // window, window, channels)
    return x.transpose(2, 3).reshape(batch, -1, window * window, channels)


def from_windows(
    windows: Float[Tensor, "B n N C"], height: int, width: int, window: int, shift: Shift
) -> Float[Tensor, "B {height} {width} C"]:
    """The map again, without its padding: what `to_windows` did is undone."""
    batch, _, _, channels = windows.shape
    padded_height, padded_width = padded_size(height, width, window)
    x = windows.view(batch, padded_height // window, padded_width // window, window, window, channels)
    x = x.transpose(2, 3).reshape(batch, padded_height, padded_width, channels)
    if any(shift):
        x = x.roll(shift, dims=(1, 2))
    return x[:, :height, :width]


def shift_mask(height: int, width: int, window: int, shift: Shift, device: torch.device) -> Float[Tensor, "n N N"]:
    """What is added to the scores of a shifted map: 0, or `FORBIDDEN` between tokens that are no neighbours.

    The rolled map has up to nine regions: along each axis all but the last window, then the two parts of the last one.
    The mask follows from its arguments alone, so those of the last few sizes are kept.

    Args:
        height: of the map before padding.
        width: likewise.
        window: M.
        shift: by how much the map is rolled.
        device: where the mask is wanted.
    """
    sides = padded_size(height, width, window)
    if torch.compiler.is_compiling():
        return _make_mask(*sides, window, shift).to(device)
    return _kept_mask(*sides, window, shift, device)


@lru_cache(maxsize=32)
def _kept_mask(height: int, width: int, window: int, shift: Shift, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # it may be made while predicting and used while training
        return _make_mask(height, width, window, shift).to(device)


def _make_mask(height: int, width: int, window: int, shift: Shift) -> Float[Tensor, "n N N"]:
    rows, columns = _regions(height, window, shift[0]), _regions(width, window, shift[1])
    regions = (3 * rows[:, None] + columns).view(1, height, width, 1)
    windows = to_windows(regions, window, (0, 0)).flatten(2)[0]  # (n, N)
    differs = windows[:, :, None] != windows[:, None, :]
    return torch.zeros(differs.shape, device="cpu").masked_fill(differs, FORBIDDEN)


def _regions(side: int, window: int, shift: int) -> Float[Tensor, "{side}"]:
    """The region of each row, or column, of the rolled map."""
    place = torch.arange(side, device="cpu")
    return ((place >= side - window).float() + (place >= side - shift).float()) * (shift > 0)

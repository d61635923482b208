"""Attention inside the windows of a map, which may be shifted, with a bias for every relative position (Liu et al.
2021, arXiv:2103.14030, section 3.2).

Letters: B batch, H W tokens of the map, C channels, h heads, d = C / h, M side of a window, n windows of a map,
N = M * M tokens of a window.

The order is that of the official code: pad on the right and at the bottom, then roll, then cut. (timm rolls first, and
so differs at sizes that windows do not cover.) Padded tokens are zeros that everyone may attend to; the mask only
separates what the roll has brought together.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from attnkit.models.kernels.linear import Linear
from attnkit.models.layers.dropout import Dropout

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


def relative_position_index(window: int, device: torch.device | None = None) -> Int[Tensor, "N N"]:
    """Which row of the table belongs to a pair of tokens: (row of query - row of key, column of query - of key).

    Both differences are moved to begin at 0; the row counts 2M - 1 times as much as the column. It follows from the
    size of the window alone, so it is no part of a model's state.
    """
    if torch.compiler.is_compiling():
        return _make_index(window).to(device)
    return _kept_index(window, device)


@lru_cache(maxsize=32)
def _kept_index(window: int, device: torch.device | None) -> Tensor:
    with torch.inference_mode(False):  # it may be made while predicting and used while training
        return _make_index(window).to(device)


def _make_index(window: int) -> Int[Tensor, "N N"]:
    place = torch.arange(window, device="cpu")
    difference = place[:, None] - place + window - 1  # (M, M): of query, of key
    rows, columns = difference[:, None, :, None], difference[None, :, None, :]
    index = rows * (2 * window - 1) + columns  # (M, M, M, M): row and column of the query, of the key
    return index.reshape(window * window, window * window)


def read_bias(table: Float[Tensor, "offsets h"], window: int) -> Float[Tensor, "h N N"]:
    """The bias of every query and key of a window."""
    index = relative_position_index(window, table.device)
    return F.embedding(index, table).permute(2, 0, 1).contiguous()  # it is read once for every window


def resize_bias_table(table: Float[Tensor, "old_offsets h"], window: int) -> Float[Tensor, "offsets h"]:
    """A table for another window, so that weights can be used with it: bicubic, corners not aligned.

    This is how the official code goes from 7 to 12; timm resamples over
    offsets that lie denser near 0, as BEiT does, which gives other numbers.

    Args:
        table: (2m - 1)^2 rows for a window of side m.
        window: the side M of the new window.

    Returns:
        (2M - 1)^2 rows; the same table where the window is the same.

    Raises:
        ValueError: the rows make no odd square.
    """
    old, new = _side(table), 2 * window - 1
    if old == new:
        return table
    grid = table.float().t().reshape(1, -1, old, old)
    resized = F.interpolate(grid, size=(new, new), mode="bicubic", align_corners=False)
    return resized.view(-1, new * new).t().contiguous().to(table.dtype)


def _side(table: Tensor) -> int:
    side = round(len(table) ** 0.5)
    if side * side != len(table) or side % 2 == 0:
        raise ValueError(f"bias table: {len(table)} rows; expected (2M - 1)^2 of them for a window of side M")
    return side


@dataclass(frozen=True)
class WindowWeights:
    """What the tokens of a map looked at inside their windows."""

    weights: Float[Tensor, "B n h N N"]
    """By windows, row by row, of the map after padding and rolling; rows sum to one."""
    size: tuple[int, int]
    """Height and width of the map, before padding."""
    window: int
    shift: Shift
    """By how many tokens the padded map was rolled up and to the left."""


class WindowAttention(nn.Module):
    """(S)W-MSA: softmax(q k^T / sqrt(d) + bias) v inside each window; the caller says by how much they are shifted."""

    def __init__(self, embed_dim: int, num_heads: int, window_size: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        if embed_dim % num_heads:
            raise ValueError(f"attention: {embed_dim} channels do not divide into {num_heads} heads")
        self.num_heads = num_heads
        self.window_size = window_size
        self.qkv = Linear(embed_dim, 3 * embed_dim)
        self.out = Linear(embed_dim, embed_dim)
        self.bias_table = nn.Parameter(torch.empty((2 * window_size - 1) ** 2, num_heads))
        nn.init.trunc_normal_(self.bias_table, std=0.02)
        self.dropout = Dropout(dropout)

    def forward(
        self, x: Float[Tensor, "B H W C"], shift: Shift = (0, 0), *, capture: list[WindowWeights] | None = None
    ) -> Float[Tensor, "B H W C"]:
        """Attend from each token to those of its window; `capture` is a list to which the weights are appended."""
        _, height, width, _ = x.shape
        if not x.is_meta and torch.is_autocast_enabled(x.device.type):  # autocast knows no such device
            x = x.to(torch.get_autocast_dtype(x.device.type))  # the product would do it, after more has been moved
        windows = to_windows(x, self.window_size, shift)  # (B, n, N, C)
        q, k, v = split_heads(self.qkv(windows), self.num_heads)
        weights = (q @ k.transpose(-2, -1) + self._bias(height, width, shift)).softmax(dim=-1)
        if capture is not None:
            capture.append(WindowWeights(weights, (height, width), self.window_size, shift))
        heads = self.dropout(weights.to(v.dtype)) @ v  # (B, n, h, N, d)
        windows = self.out(heads.transpose(2, 3).flatten(3))  # (B, n, N, C)
        return from_windows(windows, height, width, self.window_size, shift)

    def _bias(self, height: int, width: int, shift: Shift) -> Float[Tensor, "#n h N N"]:
        """What is added to the scores."""
        bias = read_bias(self.bias_table, self.window_size).unsqueeze(0)
        if not any(shift):
            return bias
        return bias + shift_mask(height, width, self.window_size, shift, bias.device).unsqueeze(1)


def split_heads(projected: Float[Tensor, "B n N C3"], num_heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """Scaled queries, keys and values by heads, each (B, n, h, N, d)."""
    if torch.compiler.is_compiling():
        q, k, v = by_heads(projected, num_heads)
        return q * q.shape[-1] ** -0.5, k, v
    heads: tuple[Tensor, Tensor, Tensor] = _Split.apply(projected, num_heads)
    return heads


def by_heads(projected: Float[Tensor, "B n N C3"], num_heads: int) -> Float[Tensor, "3 B n h N d"]:
    """Queries, keys and values by heads, as a view."""
    return projected.unflatten(3, (3, num_heads, -1)).permute(3, 0, 1, 4, 2, 5)


class _Split(torch.autograd.Function):
    """One copy of each, forth and back: products want their operands whole, and autograd would stack the gradients."""

    @staticmethod
    def forward(ctx: Any, projected: Tensor, num_heads: int) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = by_heads(projected, num_heads)
        ctx.scale = q.shape[-1] ** -0.5
        return _whole(q).mul_(ctx.scale), _whole(k), _whole(v)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        batch, count, heads, tokens, width = grads[0].shape
        grad = grads[0].new_empty(batch, count, tokens, 3 * heads * width)
        parts = by_heads(grad, heads)
        parts[0] = grads[0] * ctx.scale
        parts[1], parts[2] = grads[1:]
        return grad, None


def _whole(x: Tensor) -> Tensor:
    return x.clone(memory_format=torch.contiguous_format)

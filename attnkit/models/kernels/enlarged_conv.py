"""A 3x3 convolution of an enlarged map, computed mostly at the size that the map had before.

A convolution is the sum over its nine taps of a matrix on the channels and a shift of the map. Enlarging treats all
channels alike, so each matrix may come before it, where the map has 4, 16 or 64 times fewer cells. What remains,
enlarging, shifting and adding, is done for the columns and then for the rows; it needs no product over channels. The
sum is the same to rounding: UperNet's fusion of maps, two thirds of its arithmetic, becomes two and a half times
cheaper.

Letters: B images, C channels before and D behind, h w cells of the map, H W of the enlarged one.
"""

from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from attnkit.models.kernels.packed_linear import PackedLinear, forget_unpacked

_BLOCK = 64
"""Rows or columns that are enlarged at once: many enough for a fast product, few enough for a narrow one."""

Blocks = list[tuple[slice, slice, Tensor]]


class EnlargedConv(nn.Module):
    """For inference on a CPU: weights are packed and must not change any more."""

    def __init__(self, weight: Float[Tensor, "D C 3 3"], *, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype, self.channels = dtype, weight.shape[0]
        self.rows = nn.ModuleList(_packed(weight[:, :, row], dtype) for row in range(3))

    def add_to(self, out: Float[Tensor, "B H W D"], x: Float[Tensor, "B h w C"]) -> None:
        """Add the convolution of x, enlarged to H x W, to `out`, which is contiguous, in the dtype of the weights."""
        batch, height, width, channels = out.shape
        out = out.view(batch, height, width * channels)
        for made, used, matrix in _blocks(x.shape[1], height, self.dtype):
            rows = self._widen(x[:, used], width)  # (B, 3 rows, W D)
            out[:, made].baddbmm_(matrix.expand(batch, -1, -1), rows)

    def _widen(self, x: Float[Tensor, "B h w C"], width: int) -> Float[Tensor, "B h3 WD"]:
        """Three rows for each row of the map, one for each row of taps, in which columns are enlarged and added."""
        batch, height, low_width, _ = x.shape
        wide = x.new_empty(batch * height, 3, width, self.channels, dtype=self.dtype)
        for tap, product in enumerate(self.rows):
            taps = product(x).view(batch * height, low_width, 3, self.channels)
            for made, used, matrix in _blocks(low_width, width, self.dtype):
                wide[:, tap, made] = torch.matmul(matrix, taps[:, used].flatten(1, 2))
        return wide.view(batch, 3 * height, width * self.channels)


def _packed(weight: Float[Tensor, "D C 3"], dtype: torch.dtype) -> PackedLinear:
    """The matrices of three taps side by side in the outputs."""
    rows = weight.permute(2, 0, 1).flatten(0, 1)  # (3 D, C)
    linear = nn.Linear(rows.shape[1], rows.shape[0], bias=False, device="meta")
    linear.weight = nn.Parameter(rows, requires_grad=False)
    packed = PackedLinear(linear, dtype=dtype)
    forget_unpacked(packed)
    return packed


@lru_cache(maxsize=64)
def _blocks(size: int, enlarged: int, dtype: torch.dtype) -> Blocks:
    """How a row of `size` cells becomes one of `enlarged` cells that is shifted for each of three taps.

    Returns:
        Block by block which cells it makes, of which others, and the matrix between: (made, used x taps).
    """
    with torch.inference_mode(False):
        cells = torch.eye(size, device="cpu")[None]
        matrix = F.interpolate(cells, size=enlarged, mode="linear", align_corners=False)[0].t()  # (enlarged, size)
        padded = F.pad(matrix, (0, 0, 1, 1))  # beyond the edges the map is zero
        taps = torch.stack([padded[tap : tap + enlarged] for tap in range(3)], dim=2)  # (enlarged, size, 3)
        return [_block(taps[start : start + _BLOCK], start, dtype=dtype) for start in range(0, enlarged, _BLOCK)]


def _block(matrix: Float[Tensor, "made size 3"], start: int, *, dtype: torch.dtype) -> tuple[slice, slice, Tensor]:
    used = matrix.ne(0).any(dim=2).any(dim=0).nonzero()
    first, end = int(used.min()), int(used.max()) + 1
    made = slice(start, start + len(matrix))
    return made, slice(first, end), matrix[:, first:end].flatten(1).to(dtype)

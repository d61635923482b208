"""The relative position bias of windows: its table, read out for every pair of tokens, and brought to another window.

Letters: M side of a window, N = M * M its tokens, h heads.
"""

from functools import lru_cache

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F


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

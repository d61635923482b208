"""An image as a sequence of patches (Dosovitskiy et al. 2020, arXiv:2010.11929, section 3.1): their embedding,
their fixed positions, and a learned table of positions brought to another image size.
"""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class PatchEmbed(nn.Module):
    """Cut images into square patches and embed each by the same linear map.

    With a stem, the patches are cut from its feature map: the hybrid of the paper.
    """

    def __init__(self, in_channels: int, embed_dim: int, *, patch_size: int, stem: nn.Module | None = None) -> None:
        super().__init__()
        self.stem = stem
        self.proj = nn.Conv2d(in_channels, embed_dim, kernel_size=patch_size, stride=patch_size)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B N C"]:
        """Embedded patches, row by row; what does not fill a patch at the right and bottom edges is left out."""
        maps = images if self.stem is None else self.stem(images)
        return self.proj(maps).flatten(2).transpose(1, 2)


Interpolation = Literal["google", "deit", "timm", "torchvision"]


def sincos_positions(grid_size: int, embed_dim: int) -> Float[Tensor, "N C"]:
    """Sine and cosine of the column, then of the row, a quarter of the channels each, for a square grid row by row.

    The wave lengths grow from 2 pi to 10000 * 2 pi, both included.

    Raises:
        ValueError: the channels do not divide by four.

    Source: Beyer et al. 2022, "Better plain ViT baselines for ImageNet-1k", arXiv:2205.01580.
    """
    if embed_dim % 4:
        raise ValueError(f"sincos positions: {embed_dim} channels; expected a multiple of 4")
    quarter = embed_dim // 4
    frequencies = 10000.0 ** -(torch.arange(quarter, dtype=torch.float64) / max(quarter - 1, 1))
    steps = torch.arange(grid_size, dtype=torch.float64)
    angles = steps[:, None] * frequencies  # (grid_size, C/4)
    waves = torch.cat([angles.sin(), angles.cos()], dim=1)  # (grid_size, C/2)
    columns = waves[None, :, :].expand(grid_size, -1, -1)
    rows = waves[:, None, :].expand(-1, grid_size, -1)
    return torch.cat([columns, rows], dim=2).flatten(0, 1).float()


def resize_positions(
    positions: Float[Tensor, "1 M C"],
    *,
    grid_size: tuple[int, int],
    special_tokens: int,
    interpolation: Interpolation,
) -> Float[Tensor, "1 N C"]:
    """Bring a table of positions, learned on a square grid, to another grid.

    Args:
        positions: the slots of the special tokens, then the grid row by row.
        grid_size: rows and columns that are wanted.
        special_tokens: how many slots in front are kept as they are (class, distillation).
        interpolation: whose kernel. google: bilinear, the corners stay corners; deit (and transformers): bicubic;
            timm: bicubic that smooths, also when it enlarges; torchvision: bicubic, the corners stay corners.

    Returns:
        The table for `grid_size`; the very one where it has that size already.

    Raises:
        ValueError: the rows that are not special are no square.
    """
    old_size = math.isqrt(max(positions.shape[1] - special_tokens, 0))
    if old_size == 0 or old_size**2 != positions.shape[1] - special_tokens:
        raise ValueError(
            f"positions: {positions.shape[1]} rows, {special_tokens} of them of special tokens; "
            "expected the others to be a square grid"
        )
    if grid_size == (old_size, old_size):
        return positions
    special, grid = positions[:, :special_tokens], positions[:, special_tokens:]
    grid = grid.float().transpose(1, 2).unflatten(2, (old_size, old_size))  # (1, C, rows, columns)
    grid = _interpolate(grid, grid_size, interpolation).flatten(2).transpose(1, 2)
    return torch.cat([special, grid.to(positions.dtype)], dim=1)


def _interpolate(grid: Tensor, size: tuple[int, int], interpolation: Interpolation) -> Tensor:
    if interpolation == "google":
        return F.interpolate(grid, size=size, mode="bilinear", align_corners=True)
    return F.interpolate(
        grid,
        size=size,
        mode="bicubic",
        align_corners=interpolation == "torchvision",
        antialias=interpolation == "timm",
    )

"""What a network makes of a window, enlarged to some of the pixels of the image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.recipes.segmentation.views import Span, pixels_within


@dataclass(frozen=True)
class Between:
    """Along one side: the cells between which each pixel lies that a window covers, and how near to the second one."""

    span: Span
    """Pixels of the image."""
    low: Tensor
    """(n,) int64"""
    high: Tensor
    """(n,) int64"""
    weight: Tensor
    """(n,) float32"""

    def within(self, span: Span) -> Span:
        """The pixels that lie in another span too."""
        start = max(self.span[0], span[0])
        return start, max(start, min(self.span[1], span[1]))


def between(window: Span, view: int, image: int, cells: int, *, stripe: Span, device: torch.device) -> Between:
    """Find where the pixels of an image lie among the cells of a window, as torch's bilinear interpolation has it.

    Cells are areas (align_corners=False); behind the centres of the outermost cells nothing changes any more.

    Args:
        window: along one side of a view.
        view: length of that side in the view.
        image: length of that side in the image.
        cells: how many the window has.
        stripe: pixels that are wanted; others are left out.
        device: where the cells are.
    """
    start, stop = pixels_within(window, view, image)
    start = max(start, stripe[0])
    stop = max(start, min(stop, stripe[1]))
    centres = (torch.arange(start, stop, dtype=torch.float64) + 0.5) * (view / image)
    at = ((centres - window[0]) * (cells / (window[1] - window[0])) - 0.5).clamp(0, cells - 1)
    low = at.long()
    weight = (at - low).float()
    high = (low + 1).clamp(max=cells - 1)
    return Between((start, stop), low.to(device), high.to(device), weight.to(device))


@dataclass(frozen=True)
class WindowMap:
    """The logits of one window, and where its cells lie in the image."""

    cells: Tensor
    """(h, w, K) float32"""
    rows: Between
    columns: Between

    def logits(self, rows: Span) -> Tensor:
        """Of the pixels that the window covers, in some rows of the image: (n, m, K)."""
        top, bottom = (row - self.rows.span[0] for row in self.rows.within(rows))
        low, high = self.cells[self.rows.low[top:bottom]], self.cells[self.rows.high[top:bottom]]
        cells = torch.lerp(low, high, self.rows.weight[top:bottom, None, None])  # (n, w, K)
        return torch.lerp(cells[:, self.columns.low], cells[:, self.columns.high], self.columns.weight[:, None])

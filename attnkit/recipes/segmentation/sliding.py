"""The class of every pixel of an image of any size, in little memory: through windows, in bands of rows.

An image is augmented: brought to one size or several, perhaps flipped. Each augmented image is cut into windows that
overlap, or into a single one that is the whole of it. The network makes a small map of logits of each window. Enlarged
to the pixels of the image these become probabilities, averaged over the windows that cover a pixel, then over the
augmented images.

The probabilities of a whole image would be K numbers for each pixel. So they are made for a few rows at a time, from
the maps of the windows that touch these rows; a row of windows is computed when the first band reaches it, and
forgotten behind the last. Where even these maps are too many the image is cut into stripes, each from top to bottom.

Letters: K classes, H W pixels of the image, h w cells of a map.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

Span = tuple[int, int]
"""From a pixel of a row or column to one behind the last."""
Network = Callable[[Tensor], Tensor]
"""From pixels, uint8 (B, 3, height, width), to logits (B, K, h, w), float32, on any device."""


@dataclass(frozen=True)
class AugmentedImage:
    """An image at one size, flipped or not, and the windows that it is cut into."""

    pixels: Tensor
    """uint8 (3, height, width)"""
    window: tuple[int, int] | None = None
    """Height and width; None takes the whole image at once."""
    overlap: float = 0.0
    """Share of a window that the next one covers again."""
    flipped: bool = False
    """Whether left and right are exchanged before the network, and back after it."""

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return self.pixels.shape[1]

    @property
    def width(self) -> int:
        """Pixels from left to right."""
        return self.pixels.shape[2]

    @property
    def rows(self) -> list[Span]:
        """Windows from top to bottom."""
        return spans(self.height, self.window[0] if self.window else self.height, self.overlap)

    @property
    def columns(self) -> list[Span]:
        """Windows from left to right; those of a flipped image begin at the right of the original."""
        along = spans(self.width, self.window[1] if self.window else self.width, self.overlap)
        return [(self.width - stop, self.width - start) for start, stop in reversed(along)] if self.flipped else along

    @property
    def is_whole(self) -> bool:
        """Whether there is one window only."""
        return len(self.rows) == len(self.columns) == 1

    def map_bytes(self, pixels_per_cell: int) -> int:
        """What the maps of windows side by side take, in as many rows as a band may touch; for each class.

        Args:
            pixels_per_cell: along a side, in the finest map of the network.
        """
        rows, columns = self.rows, self.columns
        height, width = rows[0][1], columns[0][1] - columns[0][0]
        at_once = math.ceil(height / rows[1][0]) + 1 if len(rows) > 1 else 1
        cells = math.ceil(height / pixels_per_cell) * math.ceil(width / pixels_per_cell)
        return 4 * cells * len(columns) * min(len(rows), at_once)


def spans(length: int, window: int, overlap: float) -> list[Span]:
    """Windows along one side: all of one length, the last of them flush with the border, as mmsegmentation has it.

    Args:
        length: of the side.
        window: of each window; one that is longer than the side is cut to it.
        overlap: share of a window that the next one covers again, at least.
    """
    stride = max(1, int(window * (1 - overlap)))
    count = max(0, math.ceil((length - window) / stride)) + 1
    stops = [min(number * stride + window, length) for number in range(count)]
    return [(max(0, stop - window), stop) for stop in stops]


def shares(windows: list[Span], augmented: int, image: int) -> list[float]:
    """For each pixel along one side of an image, what each of the windows that cover it counts: all make 1.

    Args:
        windows: along that side of an augmented image.
        augmented: length of the side there.
        image: and in the image.
    """
    covered = [0] * image
    for window in windows:
        start, stop = pixels_within(window, augmented, image)
        for pixel in range(start, stop):
            covered[pixel] += 1
    return [1 / count for count in covered]


def pixels_within(window: Span, augmented: int, image: int) -> Span:
    """The pixels of the image whose centres lie in a window; windows that meet leave out none, and share none."""
    start, stop = (math.ceil(border * image / augmented - 0.5) for border in window)
    return start, stop


def label(
    images: Sequence[AugmentedImage],
    size: tuple[int, int],
    network: Network,
    *,
    num_classes: int,
    pixels_per_cell: int = 4,
    windows_at_once: int = 1,
    band_bytes: int = 32 << 20,
    map_bytes: int = 1 << 30,
) -> Tensor:
    """Find the most probable class of each pixel.

    Args:
        images: one image, augmented in several ways; their probabilities are averaged.
        size: H and W, of the result.
        network: gives the logits.
        num_classes: K.
        pixels_per_cell: along a side, in the maps that the network makes.
        windows_at_once: how many the network gets together.
        band_bytes: of the probabilities of a band of rows.
        map_bytes: of the maps of windows that are kept at once.

    Returns:
        uint8 (H, W), on the CPU.
    """
    labels = torch.empty(size, dtype=torch.uint8)
    all_bytes = num_classes * sum(image.map_bytes(pixels_per_cell) for image in images)
    for left, right in _stripes(images, size[1], math.ceil(all_bytes / map_bytes)):
        passes = [_Pass(image, size, (left, right), network, windows_at_once) for image in images]
        band = max(1, band_bytes // (4 * num_classes * (right - left)))
        for top in range(0, size[0], band):
            bottom = min(top + band, size[0])
            labels[top:bottom, left:right] = _label_band(passes, (top, bottom), (left, right), num_classes)
    return labels


def _stripes(images: Sequence[AugmentedImage], width: int, count: int) -> Iterator[Span]:
    """The image from left to right: at most so many stripes, one as a rule, more where its maps would take too much.

    A window on the border of two stripes is computed in each, so that none is narrower than two windows.
    """
    widest = max((image.columns[0][1] - image.columns[0][0]) / image.width for image in images)
    count = max(1, min(count, int(0.5 / widest)))
    borders = [round(number * width / count) for number in range(count + 1)]
    yield from pairwise(borders)


def _label_band(passes: Sequence[_Pass], rows: Span, columns: Span, num_classes: int) -> Tensor:
    """The most probable classes of a piece of the image: some rows of a stripe."""
    first = passes[0].maps(rows)
    if len(passes) == 1 and passes[0].image.is_whole:
        return first[0].logits(rows).argmax(-1)
    probs = first[0].cells.new_zeros(rows[1] - rows[0], columns[1] - columns[0], num_classes)
    for of_image in passes:
        for window in of_image.maps(rows):
            (top, bottom), (left, right) = window.rows.within(rows), window.columns.span
            share = of_image.share_of_rows[top:bottom, None, None] * of_image.share_of_columns[left:right, None]
            piece = probs[top - rows[0] : bottom - rows[0], left - columns[0] : right - columns[0]]
            piece.addcmul_(window.logits(rows).softmax(-1), share.to(probs.device))
    return probs.argmax(-1)


class _Pass:
    """One pass over an augmented image, from the top to the bottom of a stripe, with the maps of its latest windows."""

    def __init__(
        self, image: AugmentedImage, size: tuple[int, int], stripe: Span, network: Network, windows_at_once: int
    ) -> None:
        self.image, self._size, self._stripe = image, size, stripe
        self._network, self._at_once = network, windows_at_once
        self._columns = [span for span in image.columns if self._is_in_stripe(span)]
        self._waiting = deque(image.rows)
        self._kept: list[WindowMap] = []
        self.share_of_rows = torch.tensor(shares(image.rows, image.height, size[0]))
        self.share_of_columns = torch.tensor(shares(image.columns, image.width, size[1]))

    def maps(self, rows: Span) -> list[WindowMap]:
        """Those of the windows that touch some rows, which lie below those of the calls before."""
        self._kept = [kept for kept in self._kept if kept.rows.span[1] > rows[0]]
        while self._waiting and pixels_within(self._waiting[0], self.image.height, self._size[0])[0] < rows[1]:
            self._kept += self._run(self._waiting.popleft())
        return self._kept

    def _is_in_stripe(self, columns: Span) -> bool:
        start, stop = pixels_within(columns, self.image.width, self._size[1])
        return max(start, self._stripe[0]) < min(stop, self._stripe[1])

    def _run(self, rows: Span) -> Iterator[WindowMap]:
        """The maps of a row of windows."""
        for start in range(0, len(self._columns), self._at_once):
            columns = self._columns[start : start + self._at_once]
            windows = torch.stack([self.image.pixels[:, rows[0] : rows[1], left:right] for left, right in columns])
            logits = self._network(windows.flip(-1)).flip(-1) if self.image.flipped else self._network(windows)
            for span, cells in zip(columns, logits, strict=True):
                yield self._window_map(rows, span, cells.permute(1, 2, 0).contiguous())

    def _window_map(self, rows: Span, columns: Span, cells: Tensor) -> WindowMap:
        height, width, device = cells.shape[0], cells.shape[1], cells.device
        return WindowMap(
            cells,
            interpolate_side(rows, self.image.height, self._size[0], height, stripe=(0, self._size[0]), device=device),
            interpolate_side(columns, self.image.width, self._size[1], width, stripe=self._stripe, device=device),
        )


@dataclass(frozen=True)
class Interpolation:
    """Along one side: the two cells between which each pixel of a window lies, and the weight of the second."""

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


def interpolate_side(
    window: Span, augmented: int, image: int, cells: int, *, stripe: Span, device: torch.device
) -> Interpolation:
    """Find where the pixels of an image lie among the cells of a window, as torch's bilinear interpolation has it.

    Cells are areas (align_corners=False); behind the centres of the outermost cells nothing changes any more.

    Args:
        window: along one side of an augmented image.
        augmented: length of that side there.
        image: length of that side in the image.
        cells: how many the window has.
        stripe: pixels that are wanted; others are left out.
        device: where the cells are.
    """
    start, stop = pixels_within(window, augmented, image)
    start = max(start, stripe[0])
    stop = max(start, min(stop, stripe[1]))
    centres = (torch.arange(start, stop, dtype=torch.float64) + 0.5) * (augmented / image)
    at = ((centres - window[0]) * (cells / (window[1] - window[0])) - 0.5).clamp(0, cells - 1)
    low = at.long()
    weight = (at - low).float()
    high = (low + 1).clamp(max=cells - 1)
    return Interpolation((start, stop), low.to(device), high.to(device), weight.to(device))


@dataclass(frozen=True)
class WindowMap:
    """The logits of one window, and where its cells lie in the image."""

    cells: Tensor
    """(h, w, K) float32"""
    rows: Interpolation
    columns: Interpolation

    def logits(self, rows: Span) -> Tensor:
        """Of the pixels that the window covers, in some rows of the image: (n, m, K)."""
        top, bottom = (row - self.rows.span[0] for row in self.rows.within(rows))
        low, high = self.cells[self.rows.low[top:bottom]], self.cells[self.rows.high[top:bottom]]
        cells = torch.lerp(low, high, self.rows.weight[top:bottom, None, None])  # (n, w, K)
        return torch.lerp(cells[:, self.columns.low], cells[:, self.columns.high], self.columns.weight[:, None])

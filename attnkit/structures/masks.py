"""The masks of the instances on one image. Each is kept as the pixels of its own box, so that hundreds of small
objects, or a few large ones, cost little.

Letters: R instances, H W pixels of the image, P pixels of all crops.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import roi_align

from attnkit.structures.run_lengths import Code, decode_crop, encode_crop

Crop = tuple[Tensor, int, int]
"""Pixels (h, w), and x and y of the first."""


class Masks:
    """R instance masks of one image.

    Attributes:
        pixels: 0 and 1 of all crops, one after the other, each row by row; uint8 (P,).
        windows: the box x1 y1 x2 y2 of each crop, which its mask fills; zeros where a mask is empty; int64 (R, 4).
        size: H, W.
    """

    def __init__(self, pixels: UInt8[Tensor, "P"], windows: Int64[Tensor, "R 4"], size: tuple[int, int]) -> None:
        self.pixels = pixels
        self.windows = windows
        self.size = size

    # made from

    @classmethod
    def from_bitmaps(cls, bitmaps: Bool[Tensor, "R H W"]) -> Masks:
        """Masks from one value per instance and pixel."""
        return cls._of([(bitmap, 0, 0) for bitmap in bitmaps], (bitmaps.shape[1], bitmaps.shape[2]), bitmaps)

    @classmethod
    def from_rle(cls, codes: Sequence[Code], size: tuple[int, int]) -> Masks:
        """Masks from COCO's compressed run-length codes.

        Raises:
            ValueError: a code is of another size.
        """
        return cls._packed([_decoded(code, size) for code in codes], size)

    @classmethod
    def joined(cls, first: Masks, second: Masks) -> Masks:
        """The masks of both, which are of one image."""
        if first.size != second.size:
            raise ValueError(f"masks: images of {first.size} and {second.size} pixels; expected one size")
        pixels = torch.cat([first.pixels, second.pixels])
        return cls(pixels, torch.cat([first.windows, second.windows]), first.size)

    @classmethod
    def from_crops(cls, crops: Sequence[Crop], size: tuple[int, int]) -> Masks:
        """Masks from pieces of the image.

        Args:
            crops: of each instance, inside the image; pixels of any type, those that are not 0 belong to it.
        """
        return cls._of(crops, size, crops[0][0] if crops else None)

    # read as

    def __len__(self) -> int:
        return self.windows.shape[0]

    def __getitem__(self, index: Tensor | slice | Sequence[int]) -> Masks:
        """Some of them: by their numbers, a slice, or a truth value for each."""
        chosen = torch.arange(len(self), device=self.windows.device)[index]
        crops = self.crops()
        pixels = [crops[i].flatten() for i in chosen.tolist()]
        return Masks(torch.cat(pixels) if pixels else self.pixels[:0], self.windows[chosen], self.size)

    def crops(self) -> list[UInt8[Tensor, "_h _w"]]:
        """The pixels of each inside its window; views, not copies."""
        sides = [(y2 - y1, x2 - x1) for x1, y1, x2, y2 in self.windows.tolist()]
        pieces = self.pixels.split([height * width for height, width in sides])
        return [piece.view(side) for piece, side in zip(pieces, sides, strict=True)]

    def bitmap(self, i: int) -> Bool[Tensor, "H W"]:
        """One of them, over the whole image."""
        return self[i : i + 1 or None].bitmaps()[0]

    def bitmaps(self) -> Bool[Tensor, "R H W"]:
        """All of them over the whole image; for few, or small images."""
        maps = torch.zeros(len(self), *self.size, dtype=torch.bool, device=self.pixels.device)
        for bitmap, crop, (x1, y1, x2, y2) in zip(maps, self.crops(), self.windows.tolist(), strict=True):
            bitmap[y1:y2, x1:x2] = crop.bool()
        return maps

    def rle(self) -> list[Code]:
        """COCO's compressed run-length codes; their counts are bytes."""
        return [
            encode_crop(crop.cpu().numpy(), x, y, self.size)
            for crop, (x, y, _, _) in zip(self.crops(), self.windows.tolist(), strict=True)
        ]

    def boxes(self) -> Float[Tensor, "R 4"]:
        """The smallest box around each; zeros where a mask is empty."""
        return self.windows.float()

    def areas(self) -> Float[Tensor, "R"]:
        """Pixels of each."""
        total = F.pad(self.pixels.cumsum(0), (1, 0))
        ends = self._ends()
        return (total[ends] - total[ends - self._areas_of_windows()]).float()

    # changed

    def to(self, device: torch.device | str) -> Masks:
        """The same on a device."""
        return Masks(self.pixels.to(device), self.windows.to(device), self.size)

    def flip(self) -> Masks:
        """Mirrored left to right."""
        return self._flipped(axis=1)

    def flip_vertical(self) -> Masks:
        """Mirrored upside down."""
        return self._flipped(axis=0)

    def resized(self, size: tuple[int, int]) -> Masks:
        """On the image in another size; each pixel is that whose centre is nearest, as torch's nearest-exact."""
        if size == self.size:
            return self
        rows, columns = (_nearest(old, new).to(self.pixels.device) for old, new in zip(self.size, size, strict=True))
        resized = []
        for crop, (x1, y1, x2, y2) in zip(self.crops(), self.windows.tolist(), strict=True):
            top, bottom = torch.searchsorted(rows, rows.new_tensor([y1, y2])).tolist()
            left, right = torch.searchsorted(columns, columns.new_tensor([x1, x2])).tolist()
            resized.append((crop[rows[top:bottom] - y1][:, columns[left:right] - x1], left, top))
        return Masks._of(resized, size, self.pixels)

    def cropped(self, window: tuple[int, int, int, int]) -> Masks:
        """On a piece of the image.

        Args:
            window: x1 y1 x2 y2 of the piece, inside the image. What lies outside is cut off; masks may be left empty.
        """
        left, top, right, bottom = window
        cut = []
        for crop, (x1, y1, x2, y2) in zip(self.crops(), self.windows.tolist(), strict=True):
            x, y = max(x1, left), max(y1, top)
            piece = crop[y - y1 : max(min(y2, bottom) - y1, 0), x - x1 : max(min(x2, right) - x1, 0)]
            cut.append((piece, x - left, y - top))
        return Masks._of(cut, (bottom - top, right - left), self.pixels)

    def padded(self, size: tuple[int, int]) -> Masks:
        """On the image with more pixels at its right and bottom, (H, W) with them."""
        return Masks(self.pixels, self.windows, size)

    def without(self, covered: Bool[Tensor, "H W"]) -> Masks:
        """What is left of them where something covers them; masks may be left empty."""
        crops = [
            (crop * ~covered[y1:y2, x1:x2], x1, y1)
            for crop, (x1, y1, x2, y2) in zip(self.crops(), self.windows.tolist(), strict=True)
        ]
        return Masks._of(crops, self.size, self.pixels)

    # learned

    def targets(
        self, boxes: Float[Tensor, "N 4"], which: Int64[Tensor, "N"], size: int, *, most_pixels: int = 1 << 22
    ) -> Float[Tensor, "N {size} {size}"]:
        """What a mask head is to draw: 1 in the cells of a box of which its mask has half or more (RoIAlign), else 0.

        Args:
            boxes: inside the image.
            which: the number of the mask of each.
            size: cells of a side.
            most_pixels: of masks that are spread out at once.
        """
        found = boxes.new_zeros(len(boxes), size, size)
        filled = which[self._areas_of_windows()[which] > 0]
        for stack in self._stacks(filled.unique().tolist(), most_pixels):
            chosen = torch.isin(which, which.new_tensor(stack)).nonzero()[:, 0]
            found[chosen] = self._aligned(boxes[chosen], which[chosen], size)
        return (found >= 0.5).to(boxes.dtype)

    def _stacks(self, numbers: list[int], most_pixels: int) -> list[list[int]]:
        """Masks of about one size together, so that what is spread out for them stays small."""
        sides = (self.windows[:, 2:] - self.windows[:, :2]).tolist()
        stacks: list[list[int]] = []
        width = height = 0
        for number in sorted(numbers, key=lambda number: max(sides[number])):
            width, height = max(width, sides[number][0]), max(height, sides[number][1])
            if not stacks or (len(stacks[-1]) + 1) * width * height > most_pixels:
                stacks.append([])
                width, height = sides[number]
            stacks[-1].append(number)
        return stacks

    def _aligned(self, boxes: Tensor, which: Tensor, size: int) -> Tensor:
        """RoIAlign of the masks' crops, with a margin of one pixel: at the image's edge a copy, else zeros."""
        unique, place = which.unique(return_inverse=True)
        windows = self.windows[unique]
        sides = windows[:, 2:] - windows[:, :2]
        width, height = (sides.amax(dim=0) + 2).tolist()
        columns, in_column = _margins(windows[:, 0], windows[:, 2], width, self.size[1])
        rows, in_row = _margins(windows[:, 1], windows[:, 3], height, self.size[0])
        starts = (self._ends() - self._areas_of_windows())[unique]
        at = starts[:, None, None] + rows[:, :, None] * sides[:, :1, None] + columns[:, None, :]
        inside = in_row[:, :, None] & in_column[:, None, :]
        stack = self.pixels[torch.where(inside, at, 0)] * inside  # (n, height, width)
        origins = windows[place, :2].repeat(1, 2) - 1
        rois = torch.cat([place[:, None].to(boxes.dtype), boxes - origins], dim=1)
        return roi_align(stack[:, None].to(boxes.dtype), rois, size, sampling_ratio=0, aligned=True)[:, 0]

    # own

    @classmethod
    def _of(cls, crops: Sequence[Crop], size: tuple[int, int], like: Tensor | None = None) -> Masks:
        """Masks from crops that may have more around them than they need."""
        return cls._packed([_tight(*crop) for crop in crops], size, like)

    @classmethod
    def _packed(cls, crops: Sequence[Crop], size: tuple[int, int], like: Tensor | None = None) -> Masks:
        """Masks from crops whose outer rows and columns have something in them; should none be, where `like` is."""
        none = torch.zeros(0, dtype=torch.uint8, device=None if like is None else like.device)
        pixels = torch.cat([none, *(crop.flatten() for crop, _, _ in crops)])
        windows = [[x, y, x + crop.shape[1], y + crop.shape[0]] for crop, x, y in crops]
        return cls(pixels, torch.tensor(windows, dtype=torch.int64, device=pixels.device).view(-1, 4), size)

    def _areas_of_windows(self) -> Int64[Tensor, "R"]:
        return (self.windows[:, 2:] - self.windows[:, :2]).prod(dim=1)

    def _ends(self) -> Int64[Tensor, "R"]:
        return self._areas_of_windows().cumsum(0)

    def _flipped(self, axis: int) -> Masks:
        pixels = torch.cat([self.pixels[:0], *(crop.flip(axis).flatten() for crop in self.crops())])
        first, last = (1, 3) if axis == 0 else (0, 2)
        windows = self.windows.clone()
        windows[:, first] = self.size[axis] - self.windows[:, last]
        windows[:, last] = self.size[axis] - self.windows[:, first]
        windows[self._areas_of_windows() == 0] = 0
        return Masks(pixels, windows, self.size)


def _tight(crop: Tensor, x: int, y: int) -> Crop:
    """The rows and columns that have something in them, as 0 and 1."""
    filled = crop != 0
    rows, columns = filled.any(dim=1).nonzero(), filled.any(dim=0).nonzero()
    if not len(rows):
        return filled[:0, :0].to(torch.uint8), 0, 0
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    left, right = int(columns[0]), int(columns[-1]) + 1
    return filled[top:bottom, left:right].to(torch.uint8), x + left, y + top


def _nearest(old: int, new: int) -> Tensor:
    """The pixel of the old side that each of the new one takes: torch's own rule, applied to numbers of pixels."""
    return F.interpolate(torch.arange(float(old))[None, None], size=new, mode="nearest-exact")[0, 0].long()


def _margins(low: Tensor, high: Tensor, length: int, edge: int) -> tuple[Tensor, Tensor]:
    """Rows (or columns) of crops from one before their first on: which to read, and which of them to read at all."""
    place = torch.arange(-1, length - 1, device=low.device) + low[:, None]  # in the image
    low, high = low[:, None], high[:, None]
    inside = ((place >= low) | (low == 0)) & ((place < high) | ((high == edge) & (place == edge)))
    return place.clamp(low, high - 1) - low, inside


def _decoded(code: Code, size: tuple[int, int]) -> Crop:
    if tuple(code["size"]) != tuple(size):
        raise ValueError(f"masks: a run-length code of {tuple(code['size'])} pixels; expected the image's {size}")
    pixels, x, y = decode_crop(code)
    return torch.from_numpy(pixels), x, y

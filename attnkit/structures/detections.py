"""What was found on an image.

Letters: R detections, M cells of a mask's side, H W pixels of the image.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

from attnkit.structures.boxes import scale_boxes
from attnkit.structures.masks import Masks


@dataclass(frozen=True)
class Detections:
    """The objects that a detector found on one image, the surest first."""

    boxes: Float[Tensor, "R 4"]
    """x1 y1 x2 y2."""
    scores: Float[Tensor, "R"]
    labels: Int64[Tensor, "R"]
    """Classes, from 0."""
    mask_probs: Float[Tensor, "R M M"] | None = None
    """How likely each cell of the box belongs to the object; None without a mask head."""

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Tensor | slice | Sequence[int]) -> "Detections":
        """Some of them: by their numbers, a slice, or a truth value for each."""
        return Detections(
            boxes=self.boxes[index],
            scores=self.scores[index],
            labels=self.labels[index],
            mask_probs=None if self.mask_probs is None else self.mask_probs[index],
        )

    def to(self, device: torch.device | str) -> "Detections":
        """The same on a device."""
        return Detections(
            boxes=self.boxes.to(device),
            scores=self.scores.to(device),
            labels=self.labels.to(device),
            mask_probs=None if self.mask_probs is None else self.mask_probs.to(device),
        )

    def scaled(self, scale: tuple[float | int, float | int]) -> "Detections":
        """On the image in another size.

        Args:
            scale: new over old width, and new over old height.
        """
        return replace(self, boxes=scale_boxes(self.boxes, scale))

    def masks(self, size: tuple[int, int], threshold: float) -> Masks:
        """Masks in pixels of the image: bilinear between the centres of the cells, each drawn in its box alone.

        Args:
            size: H, W of the image.
            threshold: a pixel belongs to the object from this probability on.

        Raises:
            ValueError: nothing was drawn, for want of a mask head.
        """
        if self.mask_probs is None:
            raise ValueError("detections: they have boxes alone; expected probabilities of masks")
        boxes = self.boxes.float().tolist()
        drawn = [_drawn(*one, size, threshold) for one in zip(self.mask_probs.float(), boxes, strict=True)]
        return Masks.from_crops(drawn, size)


def _drawn(
    probs: Float[Tensor, "M M"], box: list[float], size: tuple[int, int], threshold: float
) -> tuple[Tensor, int, int]:
    """The pixels around a box, and where they start: beyond the centres of its outer cells it fades to nothing."""
    x1, y1, x2, y2 = box
    left, right = max(math.floor(x1) - 1, 0), min(math.ceil(x2) + 1, size[1])
    top, bottom = max(math.floor(y1) - 1, 0), min(math.ceil(y2) + 1, size[0])
    if x2 <= x1 or y2 <= y1 or right <= left or bottom <= top:
        return probs.new_zeros(0, 0), 0, 0
    x = (torch.arange(left, right, device=probs.device) + 0.5 - x1) / (x2 - x1) * 2 - 1
    y = (torch.arange(top, bottom, device=probs.device) + 0.5 - y1) / (y2 - y1) * 2 - 1
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
    pixels = F.grid_sample(probs[None, None], grid[None], mode="bilinear", align_corners=False)[0, 0]
    return pixels >= threshold, left, top

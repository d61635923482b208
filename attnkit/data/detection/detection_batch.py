"""A batch of images and their objects."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.structures.arrays import IntArray, Size
from attnkit.structures.objects import Objects


@dataclass(frozen=True)
class DetectionBatch:
    """B images, each at the upper left of what the largest of them needs, and their objects."""

    images: Tensor
    """(B, 3, H, W) float32, normalised, zero where there is no image; H and W are multiples of 32."""
    sizes: list[Size]
    """Of each image without what is added."""
    objects: list[Objects]
    """In training in the pixels of `images`, without crowds; in evaluation in those of the files, all."""
    originals: list[Size]
    """Of the files."""
    indices: IntArray
    """(B,) which images of the set these are."""
    semantic: Tensor | None
    """(B, H, W) uint8, IGNORE where there is no class; None in evaluation, and where the data has none."""

    def __len__(self) -> int:
        return len(self.indices)

    def to(self, device: torch.device | str) -> DetectionBatch:
        """The same batch on a device."""
        return DetectionBatch(
            self.images.to(device, non_blocking=True),
            self.sizes,
            [objects.to(device) for objects in self.objects],
            self.originals,
            self.indices,
            None if self.semantic is None else self.semantic.to(device, non_blocking=True),
        )

    def halves(self) -> tuple[DetectionBatch, DetectionBatch]:
        """Two batches of half the images each.

        Raises:
            ValueError: there is but one image.
        """
        if len(self) < 2:
            raise ValueError("a batch of one image cannot be halved")
        middle = len(self) // 2
        return self._part(slice(0, middle)), self._part(slice(middle, len(self)))

    def _part(self, rows: slice) -> DetectionBatch:
        return DetectionBatch(
            self.images[rows],
            self.sizes[rows],
            self.objects[rows],
            self.originals[rows],
            self.indices[rows],
            None if self.semantic is None else self.semantic[rows],
        )

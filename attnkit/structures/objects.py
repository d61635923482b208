"""What is on an image.

Letters: R objects.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from attnkit.structures.masks import Masks


@dataclass(frozen=True)
class Objects:
    """The objects of one image, in its pixels."""

    boxes: Float[Tensor, "R 4"]
    """x1 y1 x2 y2."""
    labels: Int64[Tensor, "R"]
    """Classes, from 0."""
    areas: Float[Tensor, "R"]
    """In square pixels, as the data says: of the masks where there are any."""
    crowd: Bool[Tensor, "R"]
    """Many objects in one box, which no one has told apart."""
    masks: Masks | None = None
    """None where the data has none."""
    difficult: Bool[Tensor, "R"] | None = None
    """Pascal VOC's word for what a detector need not find; None where the data has no such word."""

    @classmethod
    def none(cls, size: tuple[int, int], masks: bool = True) -> Objects:
        """An image without objects."""
        no_masks = Masks(torch.zeros(0, dtype=torch.uint8), torch.zeros(0, 4, dtype=torch.int64), size)
        return cls(
            boxes=torch.zeros(0, 4),
            labels=torch.zeros(0, dtype=torch.int64),
            areas=torch.zeros(0),
            crowd=torch.zeros(0, dtype=torch.bool),
            masks=no_masks if masks else None,
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Tensor | slice | Sequence[int]) -> Objects:
        """Some of them: by their numbers, a slice, or a truth value for each."""
        return self._changed(lambda part: part[index])

    def to(self, device: torch.device | str) -> Objects:
        """The same on a device."""
        return self._changed(lambda part: part.to(device))

    def _changed(self, change: Callable[[Any], Any]) -> Objects:
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: change(part) for name, part in parts.items() if part is not None})

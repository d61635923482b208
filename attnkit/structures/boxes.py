"""Boxes: corners x1 y1 x2 y2 in pixels, the far ones exclusive; as offsets from anchors, mirrored, in other sizes.

IoU, clipping and non-maximum suppression are torchvision's.

Letters: R boxes, K offsets per anchor.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torchvision.ops import clip_boxes_to_image

_LARGEST = math.log(1000 / 16)
"""Of the logarithm of a side over its anchor's: from the smallest anchor to the longest usual image."""


def encode_boxes(
    boxes: Float[Tensor, "R 4"], anchors: Float[Tensor, "R 4"], *, stds: Sequence[float]
) -> Float[Tensor, "R 4"]:
    """What moves each anchor onto its box (Girshick et al. 2014, arXiv:1311.2524): its centre by sides of the anchor,
    the logarithms of its sides.

    Args:
        boxes: with sides above 0.
        anchors: one per box, with sides above 0.
        stds: what x, y, width and height are divided by, so that all four are about 1.
    """
    centres, sides = _centres_and_sides(boxes)
    anchor_centres, anchor_sides = _centres_and_sides(anchors)
    offsets = torch.cat([(centres - anchor_centres) / anchor_sides, (sides / anchor_sides).log()], dim=1)
    return offsets / offsets.new_tensor(stds)


def decode_boxes(
    deltas: Float[Tensor, "R *K 4"],
    anchors: Float[Tensor, "R 4"],
    *,
    stds: Sequence[float],
    image_size: tuple[int, int] | None = None,
) -> Float[Tensor, "R *K 4"]:
    """The boxes that offsets lead to, in float32; the inverse of `encode_boxes`.

    Args:
        deltas: one per anchor, or one per anchor and class.
        anchors: where they start.
        stds: as they were encoded with.
        image_size: height and width of what boxes are clipped to.
    """
    offsets = deltas.float() * torch.tensor(stds, device=deltas.device)
    centres, sides = _centres_and_sides(anchors.float())
    if deltas.ndim == 3:
        centres, sides = centres[:, None], sides[:, None]
    centres = centres + offsets[..., :2] * sides
    halves = sides * offsets[..., 2:].clamp(max=_LARGEST).exp() / 2
    boxes = torch.cat([centres - halves, centres + halves], dim=-1)
    return boxes if image_size is None else clip_boxes_to_image(boxes, image_size)


def box_areas(boxes: Float[Tensor, "*R 4"]) -> Float[Tensor, "*R"]:
    """Square pixels of each."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def flip_boxes(boxes: Float[Tensor, "*R 4"], width: float | int) -> Float[Tensor, "*R 4"]:
    """Where the boxes are in the image mirrored left to right."""
    x1, y1, x2, y2 = boxes.unbind(-1)
    return torch.stack([width - x2, y1, width - x1, y2], dim=-1)


def scale_boxes(boxes: Float[Tensor, "*R 4"], scale: tuple[float | int, float | int]) -> Float[Tensor, "*R 4"]:
    """Where the boxes are in the image in another size.

    Args:
        boxes: before.
        scale: new over old width, and new over old height.
    """
    return boxes * boxes.new_tensor([*scale, *scale])


def _centres_and_sides(boxes: Tensor) -> tuple[Tensor, Tensor]:
    sides = boxes[..., 2:] - boxes[..., :2]
    return boxes[..., :2] + sides / 2, sides

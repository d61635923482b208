"""One stage of a detector: a head that classifies and refines boxes, and one that predicts masks in them.

Letters: R regions of an image, G boxes per region, K classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from attnkit.models.rcnn.config import CascadeConfig, HtcConfig, MaskRcnnConfig
from attnkit.models.rcnn.heads import BoxHead, MaskHead
from attnkit.structures.boxes import decode_boxes

Sizes = Sequence[tuple[int, int]]
"""Height and width of each image of a batch, without its padding."""

_STDS = ((0.1, 0.1, 0.2, 0.2), (0.05, 0.05, 0.1, 0.1), (0.033, 0.033, 0.067, 0.067))
"""Of the offsets, by stage: later boxes have less far to go (Cai and Vasconcelos 2019, section 4.1)."""


@dataclass(frozen=True)
class Stage:
    """The heads of one stage, and how it is trained."""

    box_head: BoxHead
    mask_head: MaskHead | None
    stds: tuple[float, float, float, float]
    """Of the offsets."""
    iou_threshold: float
    """What a region must overlap to be on an object."""
    weight: float
    """Of its losses."""

    def refine(
        self,
        boxes: Sequence[Float[Tensor, "_R 4"]],
        deltas: Float[Tensor, "R G 4"],
        classes: Int64[Tensor, "R"],
        sizes: Sizes,
    ) -> list[Float[Tensor, "_R 4"]]:
        """The boxes after this stage, without gradients and clipped to their images.

        Args:
            boxes: of each image.
            deltas: of the regions of all images, one after another.
            classes: by whose offsets each is moved.
            sizes: of each image.
        """
        chosen = of_class(deltas.detach(), classes).split([of_image.shape[0] for of_image in boxes])
        return [
            decode_boxes(offsets, start, stds=self.stds, image_size=size)
            for offsets, start, size in zip(chosen, boxes, sizes, strict=True)
        ]


def of_class(deltas: Float[Tensor, "R G 4"], classes: Int64[Tensor, "R"]) -> Float[Tensor, "R 4"]:
    """The offsets of one class per region, or those of all classes."""
    rows = torch.arange(deltas.shape[0], device=deltas.device)
    return deltas[rows, classes if deltas.shape[1] > 1 else torch.zeros_like(classes)]


def stage_settings(
    config: MaskRcnnConfig | CascadeConfig | HtcConfig,
) -> list[tuple[tuple[float, float, float, float], float, float]]:
    """The stds, the overlap and the weight of each stage."""
    if isinstance(config, MaskRcnnConfig):
        return [(_STDS[0], 0.5, 1.0)]
    by_stage = zip(config.iou_thresholds, config.stage_weights, strict=True)
    return [(_STDS[min(number, len(_STDS) - 1)], *of_stage) for number, of_stage in enumerate(by_stage)]

"""A detector as `attnkit.models.macs` counts it: how many regions an image has is fixed, as in the tables of papers.

Letters: B images, H W pixels, K classes.
"""

from jaxtyping import Float
from torch import Tensor, nn

from attnkit.models.rcnn.heads import BOX_CELLS, MASK_CELLS
from attnkit.models.rcnn.rcnn import Rcnn
from attnkit.models.rcnn.stages import Stage

BOXES = 1000
"""Regions that every box head classifies."""
MASKS = 100
"""Regions whose masks every mask head predicts."""


class CountedRcnn(nn.Module):
    """All products of a detector at work, on any device, `meta` too: regions are not pooled but made up.

    While training there are as many regions as the losses look at, so that what is kept for the backward pass is
    counted rightly.
    """

    def __init__(self, detector: Rcnn) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """Everything that a product gives."""
        detector = self.detector
        maps = detector.features(images)
        proposed = detector.rpn(maps.levels)
        outputs = [*proposed.logits, *proposed.deltas]
        if detector.semantic is not None:
            outputs.append(detector.semantic.logits(maps.fused))
        samples = detector.config.box_head.samples
        boxes, masks = (samples, samples // 4) if self.training else (BOXES, MASKS)
        width = (len(images), detector.config.channels)
        regions = images.new_empty(boxes * width[0], width[1], BOX_CELLS, BOX_CELLS)
        drawn = images.new_empty(masks * width[0], width[1], MASK_CELLS, MASK_CELLS)
        return [*outputs, *_through(detector.stages, regions, drawn)]


def _through(stages: list[Stage], regions: Tensor, drawn: Tensor) -> list[Tensor]:
    outputs: list[Tensor] = []
    before: Tensor | None = None
    for stage in stages:
        outputs += stage.box_head(regions)
        if stage.mask_head is not None:
            before = stage.mask_head.features(drawn, before)
            outputs.append(stage.mask_head(before))
    return outputs

"""RPN: the region proposal network of "Faster R-CNN" (Ren et al. 2015, arXiv:1506.01497) on every level of a pyramid
(Lin et al. 2016, arXiv:1612.03144).

Letters: B images, D channels of the pyramid, h w cells of a map, A anchors of a cell, N = h w A anchors of a level,
R proposals and G objects of an image.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import clip_boxes_to_image, nms, remove_small_boxes

from attnkit.models.rcnn.anchors import AnchorGrid, Anchors, near_any
from attnkit.models.rcnn.config import RpnConfig
from attnkit.models.rcnn.sampling import BETWEEN, match_pairs, sample
from attnkit.structures.boxes import decode_boxes, encode_boxes

_POSITIVE, _NEGATIVE = 0.7, 0.3
"""IoU with an object from which on an anchor is one, and under which it is none; the best of an object is one from the
latter on."""
_STDS = (1.0, 1.0, 1.0, 1.0)
_SMALLEST = 1e-3
"""Pixels per side of a proposal; what was clipped to less lies beside the image."""


@dataclass(frozen=True)
class RpnMaps:
    """What the network says of each anchor, level by level."""

    logits: list[Float[Tensor, "B _N"]]
    """Of being an object."""
    deltas: list[Float[Tensor, "B _N 4"]]
    """Deltas from the anchor to that object's box."""
    grids: list[AnchorGrid]


class Rpn(nn.Module):
    """A convolution, and from it the objectness and the deltas of each anchor; the same on every level."""

    def __init__(self, config: RpnConfig, channels: int, *, strides: Sequence[int]) -> None:
        """Make the network.

        Args:
            config: of anchors, losses and proposals.
            channels: D.
            strides: pixels of a cell, of each level.
        """
        super().__init__()
        self.config = config
        self.beta = 1 / 9 if config.loss == "smooth_l1" else 0.0
        self.anchors = Anchors(config, strides=strides)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.objectness = nn.Conv2d(channels, self.anchors.per_cell, 1)
        self.deltas = nn.Conv2d(channels, 4 * self.anchors.per_cell, 1)
        for layer in (self.conv, self.objectness, self.deltas):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(cast("Tensor", layer.bias))

    def forward(self, levels: Sequence[Float[Tensor, "B D _h _w"]]) -> RpnMaps:
        """Logits and offsets, in float32."""
        logits, deltas = [], []
        for level in levels:
            x = self.conv(level).relu()
            logits.append(self.objectness(x).permute(0, 2, 3, 1).flatten(1).float())  # (B, N)
            deltas.append(self.deltas(x).permute(0, 2, 3, 1).reshape(len(x), -1, 4).float())  # (B, N, 4)
        return RpnMaps(logits, deltas, self.anchors.grids(levels))

    @torch.no_grad()
    def propose(
        self, maps: RpnMaps, sizes: Sequence[tuple[int, int]], *, training: bool
    ) -> tuple[list[Float[Tensor, "_R 4"]], list[Float[Tensor, "_R"]]]:
        """Boxes that may be objects, and their scores, the best first; of each image.

        Args:
            maps: what the network said.
            sizes: height and width of each image, without what pads it in the batch; boxes are clipped to it.
            training: how many, see RpnConfig.
        """
        most = self.config.train_proposals if training else self.config.proposals
        kept = self.config.train_kept if training else None
        best = [self._best(*level, most) for level in zip(maps.logits, maps.deltas, maps.grids, strict=True)]
        found = [
            self._suppress([(logits[i], boxes[i]) for logits, boxes in best], size, kept or most)
            for i, size in enumerate(sizes)
        ]
        return [boxes for boxes, _ in found], [scores for _, scores in found]

    def losses(
        self, maps: RpnMaps, sizes: Sequence[tuple[int, int]], boxes: Sequence[Float[Tensor, "_G 4"]]
    ) -> dict[str, Tensor]:
        """Means over the anchors that were drawn for it: cross-entropy, and (smooth) L1 of the positives' offsets.

        Args:
            maps: what the network said.
            sizes: height and width of each image, without what pads it in the batch.
            boxes: the objects of each image.
        """
        logits, deltas = torch.cat(maps.logits, dim=1), torch.cat(maps.deltas, dim=1)
        anchors = torch.cat([grid.boxes() for grid in maps.grids])
        class_loss, box_loss, drawn = logits.new_zeros(()), logits.new_zeros(()), 0
        for i, (size, objects) in enumerate(zip(sizes, boxes, strict=True)):
            matches = self._matches(maps.grids, anchors, size, objects)
            positives, negatives = sample(matches, count=self.config.samples, positive=0.5)
            chosen = logits[i, torch.cat([positives, negatives])]
            targets = torch.cat([torch.ones_like(chosen[: len(positives)]), torch.zeros_like(chosen[len(positives) :])])
            class_loss = class_loss + F.binary_cross_entropy_with_logits(chosen, targets, reduction="sum")
            target_deltas = encode_boxes(objects[matches[positives]], anchors[positives], stds=_STDS)
            box_loss = box_loss + F.smooth_l1_loss(deltas[i, positives], target_deltas, beta=self.beta, reduction="sum")
            drawn += len(chosen)
        return {"rpn_class": class_loss / max(drawn, 1), "rpn_box": box_loss / max(drawn, 1)}

    def _matches(
        self,
        grids: Sequence[AnchorGrid],
        anchors: Float[Tensor, "N 4"],
        size: tuple[int, int],
        objects: Float[Tensor, "G 4"],
    ) -> Int64[Tensor, "N"]:
        """The object of each anchor; those beside the image are neither of one nor of none."""
        inside = torch.cat([grid.inside(size) for grid in grids])
        if self.config.inner_anchors:
            ends = anchors.new_tensor([size[1], size[0]])
            inside &= (anchors[:, :2] >= 0).all(dim=1) & (anchors[:, 2:] < ends).all(dim=1)
        anchor, of = near_any(grids, objects, least=_NEGATIVE)
        seen = inside[anchor]
        matches = match_pairs(
            anchors,
            objects,
            (anchor[seen], of[seen]),
            positive=_POSITIVE,
            negative=_NEGATIVE,
            low_quality=_NEGATIVE,
        )
        return torch.where(inside, matches, BETWEEN)

    def _best(
        self, logits: Float[Tensor, "B N"], deltas: Float[Tensor, "B N 4"], grid: AnchorGrid, most: int
    ) -> tuple[Float[Tensor, "B M"], Float[Tensor, "B M 4"]]:
        """The surest of a level, best first: their logits, and their boxes."""
        logits, chosen = logits.topk(min(most, logits.shape[1]), dim=1)
        deltas = deltas.gather(1, chosen[:, :, None].expand(-1, -1, 4)).flatten(0, 1)
        boxes = decode_boxes(deltas, grid.boxes()[chosen.flatten()], stds=_STDS)
        return logits, boxes.view(*chosen.shape, 4)

    def _suppress(
        self, levels: Sequence[tuple[Tensor, Tensor]], size: tuple[int, int], most: int
    ) -> tuple[Float[Tensor, "R 4"], Float[Tensor, "R"]]:
        """What non-maximum suppression within each level leaves, the best of all levels first."""
        kept_boxes, kept_logits = [], []
        for logits, boxes in levels:
            boxes = clip_boxes_to_image(boxes, size)
            kept = nms(boxes, logits, self.config.nms_threshold)
            kept_boxes.append(boxes[kept])
            kept_logits.append(logits[kept])
        boxes, logits = torch.cat(kept_boxes), torch.cat(kept_logits)
        large = remove_small_boxes(boxes, _SMALLEST)  # they overlap nothing, so it is early enough here
        boxes, logits = boxes[large], logits[large]
        order = logits.argsort(descending=True)[:most]
        return boxes[order], logits[order].sigmoid()

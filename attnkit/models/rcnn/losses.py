"""The losses of the heads of a detector, and the training of its stages, each of which starts from the boxes of the one
before it.

Means are mmdetection's: over all regions of the batch, also those without an object; of masks over the cells of the
regions with one.

Letters: R regions of all images, P those on objects, K classes, M cells of a mask's side.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import generalized_box_iou_loss

from attnkit.models.rcnn.heads import BOX_CELLS, MASK_CELLS, MASK_SIZE, MaskHead, mask_features
from attnkit.models.rcnn.sampling import SampledProposals, sample_proposals
from attnkit.models.rcnn.stages import Sizes, Stage, of_class
from attnkit.structures.boxes import decode_boxes, encode_boxes
from attnkit.structures.objects import Objects

GIOU_WEIGHT = 10.0
"""Of the loss of overlaps: with it its gradients are about those of the offsets."""


def class_loss(logits: Float[Tensor, "R K1"], labels: Int64[Tensor, "R"]) -> Float[Tensor, ""]:
    """Cross entropy; 0 without any region."""
    return F.cross_entropy(logits, labels, reduction="sum") / max(1, len(labels))


def box_loss(
    deltas: Float[Tensor, "P 4"],
    boxes: Float[Tensor, "P 4"],
    targets: Float[Tensor, "P 4"],
    *,
    stds: Sequence[float],
    giou: bool,
    count: int,
) -> Float[Tensor, ""]:
    """Of the offsets of the regions on objects, or of where these lead to.

    Args:
        deltas: of the class of each region's object.
        boxes: of the regions.
        targets: the boxes of their objects.
        stds: of the offsets.
        giou: ten times 1 minus the generalised IoU of the boxes, in place of the distance of the offsets.
        count: all regions of the batch, which the sum is divided by.
    """
    if giou:
        moved = decode_boxes(deltas, boxes, stds=stds)
        return GIOU_WEIGHT * generalized_box_iou_loss(moved, targets, reduction="sum") / max(1, count)
    return F.l1_loss(deltas, encode_boxes(targets, boxes, stds=stds), reduction="sum") / max(1, count)


def mask_loss(logits: Float[Tensor, "P M M"], targets: Float[Tensor, "P M M"]) -> Float[Tensor, ""]:
    """Binary cross entropy of the cells of the own class; 0 without any region."""
    total = F.binary_cross_entropy_with_logits(logits, targets, reduction="sum")
    return total / max(1, targets.numel())


Pool = Callable[[Sequence[Tensor], int], Tensor]
"""From boxes of each image to (R, D, size, size), pooled from the maps of the images."""


@dataclass(frozen=True)
class StageTraining:
    """What the stages have in common.

    Attributes:
        stages: first to last.
        num_classes: K.
        samples: regions per image and stage.
        giou: the loss of boxes is that of their overlap.
        interleaved: masks are learned on boxes that the stage has refined, as HTC does.
    """

    stages: Sequence[Stage]
    num_classes: int
    samples: int
    giou: bool
    interleaved: bool

    def losses(
        self, pool: Pool, proposals: Sequence[Float[Tensor, "_N 4"]], sizes: Sizes, objects: Sequence[Objects]
    ) -> dict[str, Tensor]:
        """The terms by name: class, box and mask, with the number of the stage where there are several.

        Args:
            pool: what gives the features of regions.
            proposals: boxes of each image.
            sizes: of each image.
            objects: of each image, without crowds.
        """
        terms: dict[str, Tensor] = {}
        boxes = list(proposals)
        for number, stage in enumerate(self.stages):
            regions = self._sample(stage, boxes, objects)
            found, boxes = self._learn_boxes(stage, pool, regions, sizes, objects)
            if stage.mask_head is not None:
                if self.interleaved:
                    regions = self._sample(stage, boxes, objects)
                found["mask"] = self._learn_masks(self._mask_heads(number), pool, regions, objects)
            prefix = f"stage{number + 1}_" if len(self.stages) > 1 else ""
            terms |= {f"{prefix}{name}": stage.weight * term for name, term in found.items()}
        return terms

    def _sample(self, stage: Stage, boxes: Sequence[Tensor], objects: Sequence[Objects]) -> list[SampledProposals]:
        return [
            sample_proposals(
                of_image,
                there,
                iou_threshold=stage.iou_threshold,
                count=self.samples,
                background=self.num_classes,
            )
            for of_image, there in zip(boxes, objects, strict=True)
        ]

    def _learn_boxes(
        self, stage: Stage, pool: Pool, regions: Sequence[SampledProposals], sizes: Sizes, objects: Sequence[Objects]
    ) -> tuple[dict[str, Tensor], list[Tensor]]:
        """The terms, and the boxes for what comes next: refined, without those of the objects themselves.

        The box of a region on an object is refined as of its class, any other as of the likeliest class.
        """
        boxes = [of_image.boxes for of_image in regions]
        labels = torch.cat([of_image.labels for of_image in regions])
        if not len(labels):  # neither objects nor proposals: batch norm could not take it
            zero = boxes[0].new_zeros(())
            return {"class": zero, "box": zero}, boxes
        logits, deltas = stage.box_head(pool(boxes, BOX_CELLS))
        on = labels < self.num_classes
        terms = {
            "class": class_loss(logits, labels),
            "box": box_loss(
                of_class(deltas[on], labels[on]),
                torch.cat(boxes)[on],
                torch.cat([there.boxes[of_image.objects] for there, of_image in zip(objects, regions, strict=True)]),
                stds=stage.stds,
                giou=self.giou,
                count=len(labels),
            ),
        }
        classes = torch.where(on, labels, logits[:, :-1].argmax(dim=1))
        refined = stage.refine(boxes, deltas, classes, sizes)
        return terms, [of_image[~known.is_gt] for of_image, known in zip(refined, regions, strict=True)]

    def _learn_masks(
        self, heads: Sequence[MaskHead], pool: Pool, regions: Sequence[SampledProposals], objects: Sequence[Objects]
    ) -> Tensor:
        boxes = [of_image.boxes[: len(of_image.objects)] for of_image in regions]
        labels = torch.cat([of_image.labels[: len(of_image.objects)] for of_image in regions])
        targets = []
        for of_image, there, known in zip(boxes, objects, regions, strict=True):
            assert there.masks is not None, "a mask head learns from masks"
            targets.append(there.masks.targets(of_image, known.objects, MASK_SIZE))
        features = mask_features(heads, pool(boxes, MASK_CELLS))
        return mask_loss(heads[-1].predict_masks(features, labels), torch.cat(targets))

    def _mask_heads(self, number: int) -> list[MaskHead]:
        """That of a stage, behind those that it is told of."""
        heads = [stage.mask_head for stage in self.stages[: number + 1] if stage.mask_head is not None]
        return heads if heads[-1].flow is not None else heads[-1:]

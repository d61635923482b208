"""The detectors of the R-CNN family as one: Mask R-CNN (He et al. 2017, arXiv:1703.06870), Cascade Mask R-CNN (Cai and
Vasconcelos 2019, arXiv:1906.09756), Hybrid Task Cascade (Chen et al. 2019, arXiv:1901.07518), and HTC++ of the Swin
paper (Liu et al. 2021, arXiv:2103.14030).

A Mask R-CNN is a cascade of one stage. HTC is a cascade that learns masks on the boxes that a stage has refined, whose
mask heads are told of the one before them, and whose regions are told of a semantic map; HTC++ has one block of
attention more. Details are mmdetection's, with which the Swin paper was made.

Letters: B images, H W pixels, R regions and D detections of an image, K classes, M cells of a mask's side.
"""

from collections.abc import Sequence
from functools import partial
from typing import cast

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn

from attnkit.models.backbones import build_backbone
from attnkit.models.config import ResNetConfig, SwinConfig
from attnkit.models.rcnn.config import CascadeConfig, HtcConfig, MaskRcnnConfig
from attnkit.models.rcnn.heads import BOX_CELLS, MASK_CELLS, MASK_SIZE, BoxHead, MaskHead, SemanticHead
from attnkit.models.rcnn.losses import StageTraining
from attnkit.models.rcnn.neck import Fpn, GlobalBlock
from attnkit.models.rcnn.postprocess import postprocess
from attnkit.models.rcnn.roi_pooler import FeatureMaps, RoiPooler
from attnkit.models.rcnn.rpn import Rpn
from attnkit.models.rcnn.stages import Sizes, Stage, stage_settings
from attnkit.structures.boxes import decode_boxes
from attnkit.structures.detections import Detections
from attnkit.structures.objects import Objects

_MASKS_AT_ONCE = 128
"""Regions whose masks are predicted together: their maps are large."""


class Rcnn(nn.Module):
    """Backbone, pyramid, proposals, and the stages that classify them, refine them and predict masks in them."""

    def __init__(
        self,
        config: MaskRcnnConfig | CascadeConfig | HtcConfig,
        *,
        num_classes: int,
        masks: bool,
        semantic_classes: int | None = None,
    ) -> None:
        """Make the detector, with fresh weights.

        Args:
            config: its sizes.
            num_classes: K.
            masks: whether there are mask heads.
            semantic_classes: of the semantic branch of HTC; None leaves it out.
        """
        super().__init__()
        self.config, self.num_classes, self.has_masks = config, num_classes, masks
        self._settings = stage_settings(config)
        self.backbone = build_backbone(config.backbone)
        strides = _strides(config.backbone)
        self.global_block = _global_block(config)
        self.fpn = Fpn(self.backbone.channels, config.channels)
        self.rpn = Rpn(config.rpn, config.channels, strides=strides)
        self.pool = RoiPooler(config.roi_align, strides=strides)
        is_htc = isinstance(config, HtcConfig)
        stages = range(len(self._settings))
        self.box_heads = nn.ModuleList(
            BoxHead(config.box_head, config.channels, num_classes=num_classes) for _ in stages
        )
        self.mask_heads = nn.ModuleList(
            MaskHead(config.mask_head, config.channels, num_classes=num_classes, flow=is_htc and stage > 0)
            for stage in (stages if masks else ())
        )
        self.semantic = _semantic_head(config, semantic_classes)
        self.num_layers = self.backbone.num_layers
        """Layers for layer-wise learning rates, see `layer_of`."""
        self.no_weight_decay = frozenset(f"backbone.{name}" for name in self.backbone.no_weight_decay)
        """Parameters of more than one dimension that weight decay spares."""
        for norm in self._frozen_norms():
            norm.requires_grad_(False)

    @property
    def stages(self) -> list[Stage]:
        """First to last."""
        masks = cast("list[MaskHead | None]", [*self.mask_heads] or [None] * len(self.box_heads))
        heads = zip(cast("list[BoxHead]", self.box_heads), masks, self._settings, strict=True)
        return [Stage(box_head, mask_head, *settings) for box_head, mask_head, settings in heads]

    @property
    def head_names(self) -> tuple[str, ...]:
        """The layers whose outputs are classes: other classes need others."""
        parts = ["classes", "deltas"] if self.config.box_head.class_specific else ["classes"]
        names = [f"box_heads.{stage}.{part}" for stage in range(len(self.box_heads)) for part in parts]
        names += [f"mask_heads.{stage}.logits" for stage in range(len(self.mask_heads))]
        return (*names, "semantic.logits") if self.semantic is not None else tuple(names)

    def layer_of(self, name: str) -> int:
        """The layer of a parameter: as the backbone says; what comes after it `num_layers`."""
        inside = name.removeprefix("backbone.")
        return self.num_layers if inside == name else self.backbone.layer_of(inside)

    def train(self, mode: bool = True) -> "Rcnn":
        """As of any module, but frozen norms go on using what they came with."""
        super().train(mode)
        for norm in self._frozen_norms():
            norm.eval()
        return self

    # training

    def losses(
        self,
        images: Float[Tensor, "B 3 H W"],
        sizes: Sizes,
        objects: Sequence[Objects],
        semantic: UInt8[Tensor, "B H W"] | None = None,
    ) -> dict[str, Tensor]:
        """The terms that are learned from, by name; their sum is the loss. Proposals are sampled at random.

        Args:
            images: normalised, padded at the right and at the bottom.
            sizes: of each, without the padding.
            objects: of each image, in its pixels, without crowds.
            semantic: the class of each pixel, 255 where there is none; for the semantic branch.

        Raises:
            ValueError: there is a semantic branch, but nothing for it to learn.
        """
        maps = self.features(images)
        proposed = self.rpn(maps.levels)
        terms: dict[str, Tensor] = self.rpn.losses(proposed, sizes, [of_image.boxes for of_image in objects])
        proposals, _ = self.rpn.propose(proposed, sizes, training=True)
        training = StageTraining(
            stages=self.stages,
            num_classes=self.num_classes,
            samples=self.config.box_head.samples,
            giou=self.config.box_head.loss == "giou",
            interleaved=isinstance(self.config, HtcConfig),
        )
        terms |= training.losses(partial(self.pool, maps), proposals, sizes, objects)
        return terms | self._semantic_loss(maps, semantic)

    # at work, step by step

    def features(self, images: Float[Tensor, "B 3 H W"]) -> FeatureMaps:
        """The maps of the images, which may be padded at the right and at the bottom."""
        maps = self.backbone(images)
        if self.global_block is not None:
            maps = [*maps[:-1], self.global_block(maps[-1])]
        levels = self.fpn(maps)
        if self.semantic is None:
            return FeatureMaps.make(levels)
        fused = self.semantic(levels)
        return FeatureMaps.make(levels, fused, self.semantic.embed(fused))

    def propose(self, maps: FeatureMaps, sizes: Sizes) -> tuple[list[Float[Tensor, "_R 4"]], list[Float[Tensor, "_R"]]]:
        """Where there may be objects, and how likely: of each image, the likeliest first.

        Args:
            maps: of the images.
            sizes: of each image, without its padding.
        """
        return self.rpn.propose(self.rpn(maps.levels), sizes, training=False)

    def classify(
        self, maps: FeatureMaps, proposals: Sequence[Float[Tensor, "_R 4"]], sizes: Sizes
    ) -> list[tuple[Float[Tensor, "_R _K 4"], Float[Tensor, "_R _K1"]]]:
        """Through all stages: for each image where its regions are, by class, and the probabilities of the classes.

        Boxes are those of the last stage, in the image; logits are means over the stages, the background's last.
        """
        *earlier, last = self.stages
        boxes, logits = list(proposals), []
        for stage in earlier:
            found, deltas = stage.box_head(self.pool(maps, boxes, BOX_CELLS))
            boxes = stage.refine(boxes, deltas, found[:, :-1].argmax(dim=1), sizes)
            logits.append(found)
        found, deltas = last.box_head(self.pool(maps, boxes, BOX_CELLS))
        probs = torch.stack([*logits, found]).mean(dim=0).softmax(dim=1)
        counts = [of_image.shape[0] for of_image in boxes]  # an export takes no len of what depends on the image
        by_class = [
            decode_boxes(offsets, start, stds=last.stds, image_size=size).expand(-1, self.num_classes, -1)
            for offsets, start, size in zip(deltas.split(counts), boxes, sizes, strict=True)
        ]
        return list(zip(by_class, probs.split(counts), strict=True))

    def predict_masks(
        self, maps: FeatureMaps, boxes: Sequence[Float[Tensor, "_R 4"]], labels: Sequence[Int64[Tensor, "_R"]]
    ) -> list[Float[Tensor, "_R M M"]]:
        """The probabilities of the masks in given boxes of given classes: means over the stages."""
        regions: Tensor = self.pool(maps, boxes, MASK_CELLS)
        classes = torch.cat(list(labels))
        if torch.compiler.is_exporting() or len(regions) <= _MASKS_AT_ONCE:
            probs = self._predict_masks(regions, classes)
        else:
            parts = zip(regions.split(_MASKS_AT_ONCE), classes.split(_MASKS_AT_ONCE), strict=True)
            probs = torch.cat([self._predict_masks(*part) for part in parts])
        return list(probs.split([of_image.shape[0] for of_image in boxes]))

    # at work, all of it

    def detect(
        self,
        images: Float[Tensor, "B 3 H W"],
        sizes: Sizes,
        *,
        score_threshold: float,
        nms_threshold: float,
        soft_nms: bool,
        max_detections: int,
    ) -> list[Detections]:
        """What is on each image, in its pixels; the options are those of `postprocess`.

        Args:
            images: normalised, padded at the right and at the bottom.
            sizes: of each, without the padding.
            score_threshold: candidates have more.
            nms_threshold: boxes of a class that overlap more are one object.
            soft_nms: whether the lower ones stay, with less.
            max_detections: of an image.
        """
        chosen = partial(
            postprocess,
            score_threshold=score_threshold,
            nms_threshold=nms_threshold,
            soft_nms=soft_nms,
            max_detections=max_detections,
        )
        maps = self.features(images)
        proposals, _ = self.propose(maps, sizes)
        found = [chosen(*of_image) for of_image in self.classify(maps, proposals, sizes)]
        if not self.has_masks:
            return [Detections(*of_image) for of_image in found]
        masks = self.predict_masks(maps, [boxes for boxes, _, _ in found], [labels for _, _, labels in found])
        return [Detections(*of_image, drawn) for of_image, drawn in zip(found, masks, strict=True)]

    def forward(
        self, images: Float[Tensor, "1 3 H W"], *, score_threshold: float, nms_threshold: float, max_detections: int
    ) -> tuple[Tensor, ...]:
        """What is on one image that is not padded, as plain tensors; the options are those of `detect`.

        Returns:
            Boxes (D, 4), scores (D,), labels (D,) and, with mask heads, the probabilities of masks (D, M, M).
        """
        (found,) = self.detect(
            images,
            [(images.shape[2], images.shape[3])],
            score_threshold=score_threshold,
            nms_threshold=nms_threshold,
            soft_nms=False,
            max_detections=max_detections,
        )
        outputs = (found.boxes, found.scores, found.labels)
        return outputs if found.mask_probs is None else (*outputs, found.mask_probs)

    # own

    def _semantic_loss(self, maps: FeatureMaps, semantic: Tensor | None) -> dict[str, Tensor]:
        if self.semantic is None or maps.fused is None or not isinstance(self.config, HtcConfig):
            return {}
        if semantic is None:
            raise ValueError("losses: no classes of pixels for the semantic branch; expected a map (B, H, W)")
        return {"semantic": self.config.semantic_weight * self.semantic.loss(maps.fused, semantic)}

    def _predict_masks(self, regions: Tensor, labels: Tensor) -> Float[Tensor, "R M M"]:
        """The masks of regions, predicted by each head in turn, which is told of the one before it."""
        total = regions.new_zeros(regions.shape[0], MASK_SIZE, MASK_SIZE)
        before: Tensor | None = None
        for head in cast("list[MaskHead]", self.mask_heads):
            before = head.features(regions, before)
            total = total + head.predict_masks(before, labels).sigmoid()
        return total / len(self.mask_heads)

    def _frozen_norms(self) -> list[nn.BatchNorm2d]:
        if not self.config.frozen_norms:
            return []
        return [module for module in self.backbone.modules() if isinstance(module, nn.BatchNorm2d)]


def _strides(backbone: SwinConfig | ResNetConfig) -> list[int]:
    """Pixels of a cell of each level of the pyramid."""
    finest = backbone.patch_size if isinstance(backbone, SwinConfig) else 4
    return [finest * 2**level for level in range(5)]


def _global_block(config: MaskRcnnConfig | CascadeConfig | HtcConfig) -> GlobalBlock | None:
    """That of HTC++, as wide as Swin's last stage, and skipped as often as its last block; None elsewhere."""
    backbone = config.backbone
    if not isinstance(config, HtcConfig) or not config.global_block or not isinstance(backbone, SwinConfig):
        return None
    return GlobalBlock(
        backbone.embed_dim * 2 ** (len(backbone.depths) - 1),
        backbone.num_heads[-1],
        mlp_ratio=backbone.mlp_ratio,
        drop_path_rate=backbone.drop_path_rate,
    )


def _semantic_head(config: MaskRcnnConfig | CascadeConfig | HtcConfig, num_classes: int | None) -> SemanticHead | None:
    """The semantic branch of HTC, if its config and its data have one."""
    if not isinstance(config, HtcConfig) or config.semantic == "none" or num_classes is None:
        return None
    return SemanticHead(config.channels, num_classes=num_classes)

"""What a recipe may say about detectors. What the data says is no field: see build.py."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from attnkit.config import MOST, Config, Count, Positive, Width
from attnkit.models.config import ResNetConfig, SwinConfig

_Overlap = Annotated[float, Field(gt=0.0, le=1.0)]


class RpnConfig(Config):
    """The region proposal network (Ren et al. 2015) on every level of the pyramid."""

    anchor_scale: Positive = 8.0
    """Side of the square anchor, in cells of its level; small objects want a smaller one."""
    anchor_ratios: tuple[Positive, ...] = Field(default=(0.5, 1.0, 2.0), min_length=1)
    """Height over width of the anchors of a cell."""
    samples: int = Field(default=256, ge=2, le=MOST)
    """Anchors per image that the loss looks at, half of them positive if there are so many."""
    inner_anchors: bool = False
    """Anchors that lie partly outside of the image are not learned."""
    loss: Literal["smooth_l1", "l1"] = "smooth_l1"
    """Of the offsets; the former is quadratic below 1/9."""
    train_proposals: Count = 2000
    """The best of each level that go into non-maximum suppression, and the best of all that come out of it."""
    train_kept: Count | None = None
    """The best of all that come out of it, where these are fewer."""
    proposals: Count = 1000
    """As `train_proposals`, once trained."""
    nms_threshold: float = Field(default=0.7, gt=0.0, le=1.0)
    rounded_anchors: bool = False
    """Corners of the anchors are whole pixels, as torchvision has them."""


class RoiAlignConfig(Config):
    """How the features of a region are pooled from a map (He et al. 2017)."""

    aligned: bool = True
    """Centres of cells are half a cell in, as they should be; False is torchvision's."""
    sampling_ratio: int = Field(default=0, ge=0, le=MOST)
    """Points per side of a bin; 0: as many as the region has cells there."""


class BoxHeadConfig(Config):
    """What classifies a region, and refines its box."""

    name: Literal["2fc", "4conv1fc"] = "2fc"
    """Two linear layers (Lin et al. 2016), or four convolutions with batch norm and one linear layer."""
    channels: Width = 1024
    """Of the linear layers; convolutions have those of the pyramid."""
    class_specific: bool = True
    """Each class has its own deltas."""
    loss: Literal["l1", "giou"] = "l1"
    """Of the offsets, or ten times the generalised IoU of the boxes (Rezatofighi et al. 2019)."""
    samples: int = Field(default=512, ge=2, le=MOST)
    """Regions per image that the loss looks at, at most a quarter of them positive."""


class MaskHeadConfig(Config):
    """What predicts the mask of a region (He et al. 2017)."""

    convs: int = Field(default=4, ge=0, le=1_000)
    channels: Width = 256
    """Of its convolutions."""


class RcnnConfig(Config):
    """What all detectors of the family have: backbone, pyramid, proposals, heads."""

    backbone: Annotated[SwinConfig | ResNetConfig, Field(discriminator="name")]
    """Its head is left out. A norm per stage of Swin."""
    channels: Width = 256
    """Of every level of the pyramid (FPN, Lin et al. 2016)."""
    rpn: RpnConfig = RpnConfig()
    roi_align: RoiAlignConfig = RoiAlignConfig()
    mask_head: MaskHeadConfig = MaskHeadConfig()
    """Left out where the data has boxes alone."""
    frozen_norms: bool = False
    """Batch norms of a ResNet stay as they came, as is usual where its weights were trained before."""

    @model_validator(mode="after")
    def backbone_has_four_stages(self) -> "RcnnConfig":
        """Refuse a backbone without the four maps that the pyramid stands on."""
        backbone = self.backbone
        if backbone.name == "swin" and len(backbone.depths) != 4:
            raise ValueError(
                f"backbone.depths {list(backbone.depths)}: the pyramid stands on four stages; expected 4 depths; "
                "fix depths and num_heads"
            )
        return self


class MaskRcnnConfig(RcnnConfig):
    """Mask R-CNN (He et al. 2017), Faster R-CNN where there are no masks."""

    name: Literal["mask_rcnn"] = "mask_rcnn"
    box_head: BoxHeadConfig = BoxHeadConfig()


class CascadeConfig(RcnnConfig):
    """Cascade Mask R-CNN (Cai and Vasconcelos 2019): each box head starts from the boxes of the one before it."""

    name: Literal["cascade_mask_rcnn"]
    box_head: BoxHeadConfig = BoxHeadConfig(name="4conv1fc", loss="giou")
    """One per stage."""
    iou_thresholds: tuple[_Overlap, ...] = (0.5, 0.6, 0.7)
    """What a region must overlap to be positive, by stage."""
    stage_weights: tuple[Positive, ...] = (1.0, 0.5, 0.25)
    """Of the losses of each stage."""

    @model_validator(mode="after")
    def stages_agree(self) -> "CascadeConfig":
        """Refuse thresholds and weights of different lengths."""
        _check_stages(self.iou_thresholds, self.stage_weights)
        return self


class HtcConfig(RcnnConfig):
    """Hybrid Task Cascade (Chen et al. 2019); HTC++ of the Swin paper with `global_block`."""

    name: Literal["htc"]
    box_head: BoxHeadConfig = BoxHeadConfig(name="4conv1fc", loss="giou")
    """One per stage."""
    iou_thresholds: tuple[_Overlap, ...] = (0.5, 0.6, 0.7)
    stage_weights: tuple[Positive, ...] = (1.0, 0.5, 0.25)
    semantic: Literal["none", "instances", "maps"] = "instances"
    """What the semantic branch learns: the classes of the objects' masks and the background, or the maps that the data
    names (COCO's stuff); none leaves the branch out."""
    semantic_weight: Positive = 0.2
    """Of its loss."""
    global_block: bool = False
    """HTC++: one block of attention over the whole last map, between the backbone and the pyramid."""

    @model_validator(mode="after")
    def stages_agree(self) -> "HtcConfig":
        """Refuse thresholds and weights of different lengths, and a global block on a ResNet."""
        _check_stages(self.iou_thresholds, self.stage_weights)
        if self.global_block and self.backbone.name != "swin":
            raise ValueError(
                f"global_block: a block of Swin's widths, but the backbone is {self.backbone.name}; expected swin; "
                "change one of the two"
            )
        return self


DetectorConfig = Annotated[MaskRcnnConfig | CascadeConfig | HtcConfig, Field(discriminator="name")]


def _check_stages(iou_thresholds: tuple[float, ...], stage_weights: tuple[float, ...]) -> None:
    if not iou_thresholds or len(iou_thresholds) != len(stage_weights):
        raise ValueError(
            f"iou_thresholds {list(iou_thresholds)} and stage_weights {list(stage_weights)}: expected as many of each, "
            "one per stage; fix one of the two"
        )

"""Tiny detectors of each kind, and images with objects for them."""

import torch
from torch import Tensor, nn

from attnkit.models.config import ResNetConfig, SwinConfig
from attnkit.models.rcnn.config import (
    BoxHeadConfig,
    CascadeConfig,
    HtcConfig,
    MaskHeadConfig,
    MaskRcnnConfig,
    RpnConfig,
)
from attnkit.models.rcnn.rcnn import Rcnn
from attnkit.structures.masks import Masks
from attnkit.structures.objects import Objects

K, S = 5, 7
"""Classes of objects and of pixels."""

SWIN = SwinConfig(
    name="swin", embed_dim=6, depths=(1, 1, 2, 1), num_heads=(1, 1, 2, 3), window_size=3, drop_path_rate=0.0
)
RESNET = ResNetConfig(name="resnet", depth=18)

SIZES = {
    "channels": 8,
    "rpn": RpnConfig(train_proposals=40, proposals=30, samples=32, anchor_scale=4.0),
    "mask_head": MaskHeadConfig(convs=1, channels=6),
}
CONVS = BoxHeadConfig(name="4conv1fc", channels=11, loss="giou", samples=24)

CONFIGS: dict[str, MaskRcnnConfig | CascadeConfig | HtcConfig] = {
    "mask_rcnn": MaskRcnnConfig(backbone=SWIN, box_head=BoxHeadConfig(channels=11, samples=24), **SIZES),
    "cascade": CascadeConfig(name="cascade_mask_rcnn", backbone=SWIN, box_head=CONVS, **SIZES),
    "htc": HtcConfig(name="htc", backbone=SWIN, box_head=CONVS, **SIZES),
    "htcpp": HtcConfig(name="htc", backbone=SWIN, box_head=CONVS, global_block=True, **SIZES),
}

OPTIONS = {"score_threshold": 0.1, "nms_threshold": 0.6, "soft_nms": False, "max_detections": 13}


def build(name: str, *, masks: bool = True, shaken: float = 0.05, **changes: object) -> Rcnn:
    """A detector none of whose weights and statistics has the value that it is born with."""
    torch.manual_seed(1)
    config = CONFIGS[name].model_copy(update=changes)
    model = Rcnn(config, num_classes=K, masks=masks, semantic_classes=S if config.name == "htc" else None)
    for parameter in model.parameters():
        parameter.data += shaken * torch.randn(parameter.shape)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2.0)
    return model.eval()


def images(*, batch: int = 2) -> Tensor:
    return torch.randn(batch, 3, 64, 96, generator=torch.Generator().manual_seed(2))


IMAGE_SIZES = [(64, 90), (53, 96)]
"""Without their padding."""


def objects() -> list[Objects]:
    """Three on the first image and two on the second."""
    first = torch.tensor([[10.0, 20, 30, 44], [0, 0, 40, 40], [60, 30, 90, 62]])
    second = torch.tensor([[5.0, 5, 25, 20], [30, 10, 80, 50]])
    return [
        of_boxes(first, torch.tensor([4, 0, 2]), (64, 90)),
        of_boxes(second, torch.tensor([1, 3]), (53, 96)),
    ]


def of_boxes(boxes: Tensor, labels: Tensor, size: tuple[int, int]) -> Objects:
    """Masks are the left half of each box."""
    bitmaps = torch.zeros(len(boxes), *size, dtype=torch.bool)
    for bitmap, (x1, y1, x2, y2) in zip(bitmaps, boxes.int().tolist(), strict=True):
        bitmap[y1:y2, x1 : (x1 + x2) // 2] = True
    areas = bitmaps.flatten(1).sum(dim=1).float()
    crowd = torch.zeros(len(boxes), dtype=torch.bool)
    return Objects(boxes=boxes, labels=labels, areas=areas, crowd=crowd, masks=Masks.from_bitmaps(bitmaps))


def semantic() -> Tensor:
    """Classes of pixels in blocks, and some without any."""
    blocks = torch.randint(0, S, (2, 8, 12), generator=torch.Generator().manual_seed(3), dtype=torch.uint8)
    blocks[0, 2:4] = 255
    return blocks.repeat_interleave(8, dim=1).repeat_interleave(8, dim=2)

"""Mask R-CNN beside torchvision's, with the same random weights: what is proposed, found and drawn on the same input.

torchvision's anchors have whole pixels, and its RoIAlign is the older one: both are options here.
"""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.image_list import ImageList
from torchvision.models.resnet import resnet18

from attnkit.models.config import ResNetConfig
from attnkit.models.rcnn.config import BoxHeadConfig, MaskHeadConfig, MaskRcnnConfig, RoiAlignConfig, RpnConfig
from attnkit.models.rcnn.rcnn import Rcnn

K = 5
CONFIG = MaskRcnnConfig(
    backbone=ResNetConfig(name="resnet", depth=18),
    channels=16,
    rpn=RpnConfig(rounded_anchors=True, proposals=200),
    roi_align=RoiAlignConfig(aligned=False, sampling_ratio=2),
    box_head=BoxHeadConfig(channels=24),
    mask_head=MaskHeadConfig(convs=2, channels=16),
)
SIZES = [(128, 160), (107, 131)]
OPTIONS = {"score_threshold": 0.2, "nms_threshold": 0.5, "soft_nms": False, "max_detections": 40}


@pytest.fixture(scope="module")
def images() -> Tensor:
    x = torch.randn(2, 3, 128, 160, generator=torch.Generator().manual_seed(2))
    x[1, :, SIZES[1][0] :] = 0
    x[1, :, :, SIZES[1][1] :] = 0
    return x


@pytest.fixture(scope="module")
def own(images: Tensor) -> Rcnn:
    """None of its weights and statistics has the value that it is born with, and no class is likely everywhere."""
    torch.manual_seed(1)
    model = Rcnn(CONFIG, num_classes=K, masks=True).eval()
    for name, parameter in model.named_parameters():
        if not name.startswith("backbone"):
            parameter.data += (0.03 if name.startswith("rpn.deltas") else 0.1) * torch.randn(parameter.shape)
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.normal_(std=0.1)
            norm.running_var.uniform_(0.5, 2.0)
    model.requires_grad_(False)
    maps = model.features(images)
    head = model.box_heads[0]
    logits, _ = head(model.pool(maps, model.propose(maps, SIZES)[0], 7))
    head.classes.bias -= logits.mean(dim=0)
    return model


def torchvision_names(weights: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Their background is the first class, ours the last."""
    for name, tensor in weights.items():
        for ours, theirs in (
            ("backbone.", "backbone.body."),
            ("fpn.laterals.{}.", "backbone.fpn.inner_blocks.{}.0."),
            ("fpn.outputs.{}.", "backbone.fpn.layer_blocks.{}.0."),
            ("rpn.conv.", "rpn.head.conv.0.0."),
            ("rpn.objectness.", "rpn.head.cls_logits."),
            ("rpn.deltas.", "rpn.head.bbox_pred."),
            ("box_heads.0.fcs.0.", "roi_heads.box_head.fc6."),
            ("box_heads.0.fcs.1.", "roi_heads.box_head.fc7."),
            ("box_heads.0.classes.", "roi_heads.box_predictor.cls_score."),
            ("box_heads.0.deltas.", "roi_heads.box_predictor.bbox_pred."),
            ("mask_heads.0.convs.{}.", "roi_heads.mask_head.{}.0."),
            ("mask_heads.0.deconv.", "roi_heads.mask_predictor.conv5_mask."),
            ("mask_heads.0.logits.", "roi_heads.mask_predictor.mask_fcn_logits."),
        ):
            for number in range(4):
                if name.startswith(ours.format(number)):
                    rest = name.removeprefix(ours.format(number))
                    yield theirs.format(number) + rest, _with_background(name, tensor)
                    break
            else:
                continue
            break
        else:
            raise AssertionError(name)


def _with_background(name: str, tensor: Tensor) -> Tensor:
    if name.startswith("box_heads.0.classes"):
        return tensor.roll(1, dims=0)
    if name.startswith(("box_heads.0.deltas", "mask_heads.0.logits")):
        rows = 4 if "deltas" in name else 1
        return torch.cat([torch.full_like(tensor[:rows], 7.0), tensor])  # of the background: never read
    return tensor


@pytest.fixture(scope="module")
def theirs(own: Rcnn) -> MaskRCNN:
    backbone = BackboneWithFPN(
        resnet18(weights=None),
        return_layers={f"layer{stage}": str(stage - 1) for stage in (1, 2, 3, 4)},
        in_channels_list=[64, 128, 256, 512],
        out_channels=16,
    )
    from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
    from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor

    model = MaskRCNN(
        backbone,
        rpn_anchor_generator=AnchorGenerator(((32,), (64,), (128,), (256,), (512,)), ((0.5, 1.0, 2.0),) * 5),
        rpn_pre_nms_top_n_test=200,
        rpn_post_nms_top_n_test=200,
        box_head=TwoMLPHead(16 * 49, 24),
        box_predictor=FastRCNNPredictor(24, K + 1),
        box_score_thresh=OPTIONS["score_threshold"],
        box_nms_thresh=OPTIONS["nms_threshold"],
        box_detections_per_img=OPTIONS["max_detections"],
        mask_head=MaskRCNNHeads(16, [16, 16], 1),
        mask_predictor=MaskRCNNPredictor(16, 16, K + 1),
    ).eval()
    weights = dict(torchvision_names(own.state_dict()))
    found = model.load_state_dict(weights, strict=False)
    assert not found.unexpected_keys
    assert not found.missing_keys
    return model.requires_grad_(False)


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


def test_the_pyramid(own: Rcnn, theirs: MaskRCNN, images: Tensor) -> None:
    for found, expected in zip(own.features(images).levels, theirs.backbone(images).values(), strict=True):
        close(found, expected)


def test_proposals(own: Rcnn, theirs: MaskRCNN, images: Tensor) -> None:
    expected, _ = theirs.rpn(ImageList(images, SIZES), theirs.backbone(images))
    found, _ = own.propose(own.features(images), SIZES)
    for ours, wanted in zip(found, expected, strict=True):
        assert len(ours) > 20
        close(ours, wanted)


def test_detections(own: Rcnn, theirs: MaskRCNN, images: Tensor) -> None:
    levels = theirs.backbone(images)
    proposals, _ = theirs.rpn(ImageList(images, SIZES), levels)
    expected, _ = theirs.roi_heads(levels, proposals, SIZES)
    for found, wanted in zip(own.detect(images, SIZES, **OPTIONS), expected, strict=True):
        assert len(found) > 5
        assert len(wanted["labels"].unique()) > 1
        close(found.boxes, wanted["boxes"])
        close(found.scores, wanted["scores"])
        assert torch.equal(found.labels + 1, wanted["labels"])
        close(found.mask_probs, wanted["masks"][:, 0])

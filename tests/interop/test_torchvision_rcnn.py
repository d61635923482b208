"""torchvision's detectors in and out: on the same weights they find the same."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN, MaskRCNN, maskrcnn_resnet50_fpn
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.ops import FrozenBatchNorm2d

from attnkit.data.detection.config import DetectionImageConfig
from attnkit.errors import CheckpointError
from attnkit.interop.coco_classes import torchvision_classes
from attnkit.interop.export_weights import TrainedNetwork, export_weights, foreign_weights
from attnkit.interop.imported_weights import DetectedParts
from attnkit.interop.rcnn_onnx import compare
from attnkit.interop.torchvision_rcnn import differences
from attnkit.models.rcnn.config import BoxHeadConfig, MaskRcnnConfig, RoiAlignConfig, RpnConfig
from attnkit.models.rcnn.rcnn import Rcnn
from tests.interop.foreign_weights import fit, read
from tests.models.rcnn.nano import CONFIGS, RESNET, build

K = 4
HEIGHT, WIDTH = 64, 96
RULES = {"score_threshold": 0.05, "nms_threshold": 0.5, "max_detections": 100}
"""torchvision's."""


def shaken(model: nn.Module) -> nn.Module:
    """With statistics of norms, and with heads that find something."""
    generator = torch.Generator().manual_seed(3)
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d | FrozenBatchNorm2d):
            norm.running_mean.normal_(std=0.1, generator=generator)
            norm.running_var.uniform_(0.5, 2.0, generator=generator)
            norm.weight.data.uniform_(0.5, 1.5, generator=generator)
    heads = model.roi_heads
    heads.box_predictor.cls_score.weight.data *= 20
    model.rpn.head.cls_logits.weight.data *= 10
    if heads.mask_predictor is not None:
        heads.mask_predictor.mask_fcn_logits.weight.data *= 5
    return model.eval().requires_grad_(False)


def small(kind: type[FasterRCNN] = MaskRCNN, *, norm: type[nn.Module] = nn.BatchNorm2d, classes: int = K) -> nn.Module:
    torch.manual_seed(1)
    backbone = resnet_fpn_backbone(backbone_name="resnet18", weights=None, norm_layer=norm)
    model = kind(backbone, num_classes=classes + 1, min_size=HEIGHT, max_size=WIDTH)
    if isinstance(model, MaskRCNN):
        model.roi_heads.mask_head = MaskRCNNHeads(256, (13, 13, 13), 1)
        model.roi_heads.mask_predictor = MaskRCNNPredictor(13, 13, classes + 1)
    return shaken(model)


def imported(weights: dict[str, Tensor], path: Path) -> Any:
    torch.save(weights, path)
    return read(path)


def rebuilt(weights: dict[str, Tensor], path: Path) -> Rcnn:
    fitted = fit(imported(weights, path))
    assert fitted.parts is not None
    model = Rcnn(fitted.model, num_classes=fitted.num_classes, **asdict(fitted.parts))
    model.load_state_dict(fitted.weights, strict=True)
    return model.eval()


@torch.inference_mode()
def find(model: Rcnn, image: Tensor) -> tuple[Tensor, ...]:
    """What is on pixels of 0 to 1."""
    given = DetectionImageConfig()
    mean, std = (torch.tensor(part)[:, None, None] for part in (given.mean, given.std))
    return model(((image - mean) / std).unsqueeze(0), **RULES)


def check_equal(own: Rcnn, theirs: nn.Module) -> None:
    image = torch.rand(3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(2))
    theirs.transform.postprocess = lambda found, *_: (
        found
    )  # masks as they are drawn, before they are put into the image
    with torch.inference_mode():
        (expected,) = theirs([image])
    theirs_found = [expected["boxes"], expected["scores"], expected["labels"] - 1]
    if "masks" in expected:
        theirs_found.append(expected["masks"][:, 0])
        assert theirs_found[-1].std() > 0.01, "masks that say nothing"
    own_found = find(own, image)
    assert len(own_found[0]) > 10
    worst, lost = compare(own_found, theirs_found, side=1)  # whatever the order of nearly equal scores
    assert (worst < 1e-3, lost) == (True, 0)


@pytest.mark.peers
def test_mask_rcnn_in_and_out(tmp_path: Path) -> None:
    theirs = small()
    own = rebuilt(theirs.state_dict(), tmp_path / "w.pth")
    check_equal(own, theirs)
    back = foreign_weights(own, own.config, "torchvision")
    again = small()
    again.load_state_dict(back, strict=True)
    for name, tensor in theirs.state_dict().items():
        if not name.startswith(("roi_heads.box_predictor.bbox_pred", "roi_heads.mask_predictor.mask_fcn_logits")):
            assert torch.equal(back[name], tensor), name
    check_equal(own, again)


@pytest.mark.peers
@pytest.mark.slow
def test_mask_rcnn_on_resnet_50(tmp_path: Path) -> None:
    torch.manual_seed(4)
    theirs = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=91, min_size=HEIGHT, max_size=WIDTH)
    own = rebuilt(shaken(theirs).state_dict(), tmp_path / "w.pth")
    assert (own.num_classes, own.config.backbone.depth) == (90, 50)
    check_equal(own, theirs)


@pytest.mark.peers
def test_frozen_norms_without_an_epsilon(tmp_path: Path) -> None:
    """As torchvision publishes them."""

    def without_epsilon(width: int) -> FrozenBatchNorm2d:
        return FrozenBatchNorm2d(width, eps=0.0)

    theirs = small(FasterRCNN, norm=without_epsilon)  # type: ignore[arg-type]
    theirs.backbone.body.layer1[0].bn1.running_var *= 1e-5  # where it matters
    theirs.backbone.body.layer1[0].bn1.weight *= 3e-3
    found = imported(theirs.state_dict(), tmp_path / "w.pth")
    assert found.model.frozen_norms
    assert found.parts == DetectedParts(masks=False)
    assert found.notes[0].startswith("epsilon of the norms: that of torchvision's frozen ones, which no weight shows; ")
    check_equal(rebuilt(theirs.state_dict(), tmp_path / "w.pth"), theirs)


def test_names_of_published_files(tmp_path: Path) -> None:
    tensors = small().state_dict()
    old = {}
    for name, tensor in tensors.items():
        name = re.sub(r"(fpn\.(?:inner|layer)_blocks\.\d)\.0\.", r"\1.", name)
        name = name.replace("rpn.head.conv.0.0.", "rpn.head.conv.")
        name = re.sub(r"mask_head\.(\d)\.0\.", lambda found: f"mask_head.mask_fcn{int(found[1]) + 1}.", name)
        old[name] = tensor
    assert old.keys() != tensors.keys()
    today, before = imported(tensors, tmp_path / "w.pth"), imported(old, tmp_path / "old.pth")
    assert before.unknown == {}
    assert before.model == today.model
    assert before.weights.keys() == today.weights.keys()
    assert all(torch.equal(before.weights[name], tensor) for name, tensor in today.weights.items())


def test_what_is_known_of_it(tmp_path: Path) -> None:
    found = imported(small(FasterRCNN, classes=90).state_dict(), tmp_path / "w.pth")
    assert (found.source, found.num_classes, found.class_names) == ("torchvision", 90, torchvision_classes())
    assert (found.class_note, found.notes) == (None, ())
    assert found.size_note.startswith("size of the images: no weight shows it; taken to be torchvision's 800 for the ")
    config = found.model
    assert isinstance(config, MaskRcnnConfig)
    assert (config.roi_align.aligned, config.roi_align.sampling_ratio) == (False, 2)
    assert (config.rpn.rounded_anchors, config.frozen_norms) == (True, False)
    assert config.box_head == BoxHeadConfig()


def test_the_second_version_is_named(tmp_path: Path) -> None:
    tensors = small(FasterRCNN).state_dict() | {"backbone.fpn.inner_blocks.0.1.running_mean": torch.zeros(3)}
    with pytest.raises(
        CheckpointError, match=r"w.pth: torchvision's second version of R-CNN, a pyramid with norms, by"
    ):
        imported(tensors, tmp_path / "w.pth")


def trained(**changes: Any) -> TrainedNetwork:
    model = build("mask_rcnn", **{"backbone": RESNET, **changes})
    return TrainedNetwork(model, model.config, DetectionImageConfig(), ("a", "b", "c", "d", "e"))


def test_what_is_said_of_a_file_for_torchvision(tmp_path: Path) -> None:
    lines = export_weights(trained(), "torchvision", tmp_path / "w.pth")
    assert lines == (
        "regions: torchvision reads them off half a cell aside, with 2 points per side of a bin; boxes and masks "
        "differ a little",
        "anchors: not torchvision's; build it with rpn_anchor_generator=AnchorGenerator(((16,), (32,), (64,), (128,), "
        "(256,)), ((0.5, 1.0, 2.0),) * 5)",
        "anchors: torchvision rounds their corners to whole pixels; boxes differ a little",
        "images: torchvision's file does not say how; build it with weights_backbone=None, num_classes=6, "
        "min_size=800, max_size=1333, image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225]",
    )
    tensors = torch.load(tmp_path / "w.pth")
    assert tensors["roi_heads.box_predictor.cls_score.weight"].shape == (6, 11)
    assert not tensors["roi_heads.box_predictor.bbox_pred.weight"][:4].any()
    assert not tensors["roi_heads.mask_predictor.mask_fcn_logits.bias"][0]


def test_nothing_to_say_of_torchvisions_own() -> None:
    own = MaskRcnnConfig(
        backbone=RESNET, rpn=RpnConfig(rounded_anchors=True), roi_align=RoiAlignConfig(aligned=False, sampling_ratio=2)
    )
    assert differences(own) == ()


@pytest.mark.parametrize(
    ("name", "changes", "what"),
    [
        ("mask_rcnn", {}, "mask_rcnn on swin with 2fc"),
        ("cascade", {"backbone": RESNET}, "cascade_mask_rcnn on resnet with 4conv1fc"),
        ("mask_rcnn", {"backbone": RESNET, "box_head": CONFIGS["htc"].box_head}, "mask_rcnn on resnet with 4conv1fc"),
        (
            "mask_rcnn",
            {"backbone": RESNET, "box_head": BoxHeadConfig(class_specific=False)},
            "mask_rcnn on resnet with",
        ),
    ],
)
def test_detectors_that_torchvision_has_not(name: str, changes: dict[str, Any], what: str) -> None:
    model = build(name, **changes)
    with pytest.raises(
        CheckpointError,
        match=rf"^torchvision: no names for the model {what}.*; expected mask_rcnn on resnet with 2fc for each class",
    ):
        foreign_weights(model, model.config, "torchvision")


def test_libraries_without_detectors() -> None:
    with pytest.raises(CheckpointError, match=r"^timm: no names for the model mask_rcnn on resnet with 2fc; expected"):
        foreign_weights(trained().model, trained().config, "timm")

"""The parts of the R-CNN family against torchvision's, with the same random weights."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torch import Tensor
from torchvision.models.detection._utils import BoxCoder
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import project_masks_on_boxes
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign, box_iou
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from attnkit.models.rcnn.anchors import Anchors
from attnkit.models.rcnn.config import RoiAlignConfig, RpnConfig
from attnkit.models.rcnn.neck import Fpn
from attnkit.models.rcnn.roi_pooler import RoiFeatures
from attnkit.models.rcnn.rpn import Rpn
from attnkit.structures.boxes import decode_boxes, encode_boxes
from attnkit.structures.masks import Masks

STRIDES = (4, 8, 16, 32, 64)
HEIGHT, WIDTH = 224, 288
"""Divided by 32; 7 and 9 cells are 4 and 5 of P6."""
CONFIG = RpnConfig(rounded_anchors=True, samples=64, train_proposals=90, proposals=60)
CHANNELS = 7


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


def maps(channels: tuple[int, ...], *, batch: int = 2) -> list[Tensor]:
    """One for each stride."""
    torch.manual_seed(2)
    return [
        torch.randn(batch, width, -(-HEIGHT // stride), -(-WIDTH // stride))
        for width, stride in zip(channels, STRIDES, strict=False)
    ]


def boxes(count: int) -> Tensor:
    """Anywhere in the image, of 2 to 220 pixels a side, more small ones."""
    torch.manual_seed(3)
    sides = 2.0 + torch.rand(count, 1) ** 2 * torch.tensor([218.0, 190.0])
    corners = torch.rand(count, 2) * (torch.tensor([WIDTH, HEIGHT]) - sides)
    return torch.cat([corners, corners + sides], dim=1)


def named(levels: list[Tensor]) -> OrderedDict[str, Tensor]:
    return OrderedDict((str(number), level) for number, level in enumerate(levels))


# boxes and anchors


@pytest.mark.parametrize("stds", [(1.0, 1.0, 1.0, 1.0), (0.1, 0.1, 0.2, 0.2)])
def test_offsets(stds: tuple[float, float, float, float]) -> None:
    coder = BoxCoder(tuple(1 / std for std in stds))
    there, anchors = boxes(20), boxes(40)[20:]
    offsets = encode_boxes(there, anchors, stds=stds)
    close(offsets, coder.encode([there], [anchors])[0])
    by_class = torch.randn(20, 3, 4) * 9  # up to where sides are bounded
    expected = coder.decode(by_class.flatten(1), [anchors])
    torch.testing.assert_close(decode_boxes(by_class, anchors, stds=stds), expected, rtol=1e-4, atol=1e-3)


def theirs(**options: object) -> RegionProposalNetwork:
    sizes = tuple((8 * stride,) for stride in STRIDES)
    generator = AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * len(sizes))
    count = {"training": CONFIG.train_proposals, "testing": CONFIG.proposals}
    return RegionProposalNetwork(generator, RPNHead(CHANNELS, 3), 0.7, 0.3, CONFIG.samples, 0.5, count, count, 0.7)


def test_anchors() -> None:
    levels = maps((CHANNELS,) * 5)
    image = ImageList(torch.zeros(1, 3, HEIGHT, WIDTH), [(HEIGHT, WIDTH)])
    (expected,) = theirs().anchor_generator(image, levels)
    found = torch.cat([grid.boxes() for grid in Anchors(CONFIG, strides=STRIDES).grids(levels)])
    assert torch.equal(found, expected)


# the pyramid


def test_pyramid() -> None:
    widths = (2, 3, 5, 6)
    own = Fpn(widths, CHANNELS)
    other = FeaturePyramidNetwork(list(widths), CHANNELS, LastLevelMaxPool())
    for ours, inside in (("laterals", other.inner_blocks), ("outputs", other.layer_blocks)):
        for number, block in enumerate(inside):
            block[0].load_state_dict(own.get_submodule(f"{ours}.{number}").state_dict())
    given = maps(widths)
    for found, expected in zip(own(given), other(named(given)).values(), strict=True):
        close(found, expected)


@pytest.mark.parametrize("size", [7, 14])
def test_regions(size: int) -> None:
    levels = maps((CHANNELS,) * 4)
    large = torch.tensor([[0.0, 3, 280, 224], [-100, -130, 400, 330]])
    regions = [torch.cat([boxes(30), large]), boxes(50)[30:]]
    pooler = MultiScaleRoIAlign(["0", "1", "2", "3"], size, 2)
    expected = pooler(named(levels), regions, [(HEIGHT, WIDTH)] * 2)
    pool = RoiFeatures(RoiAlignConfig(aligned=False, sampling_ratio=2), strides=STRIDES)
    assert len(pool.level_of(torch.cat(regions)).unique()) == 4
    close(pool(levels, regions, size), expected)


# proposals


@pytest.fixture
def networks() -> tuple[Rpn, RegionProposalNetwork]:
    torch.manual_seed(1)
    own, other = Rpn(CONFIG, CHANNELS, strides=STRIDES), theirs()
    for parameter in own.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape)
    other.head.conv[0][0].load_state_dict(own.conv.state_dict())
    other.head.cls_logits.load_state_dict(own.objectness.state_dict())
    other.head.bbox_pred.load_state_dict(own.deltas.state_dict())
    return own, other


def test_proposals(networks: tuple[Rpn, RegionProposalNetwork]) -> None:
    """Of images that are smaller than the batch, too."""
    own, other = networks
    levels, sizes = maps((CHANNELS,) * 5), [(HEIGHT, WIDTH), (200, 231)]
    expected, _ = other.eval()(ImageList(torch.zeros(2, 3, HEIGHT, WIDTH), sizes), named(levels))
    found, scores = own.propose(own(levels), sizes, training=False)
    for some, more in zip(found, expected, strict=True):
        assert len(some) == CONFIG.proposals
        torch.testing.assert_close(some, more, rtol=1e-4, atol=1e-3)
    assert all(bool((of_image.diff() <= 0).all()) for of_image in scores)


def test_losses(networks: tuple[Rpn, RegionProposalNetwork]) -> None:
    """The same anchors are drawn from the same seed. Objects are such that both rules for poor matches say the same:
    torchvision takes the best anchor of an object however poor it is."""
    own, other = networks
    levels, sizes = maps((CHANNELS,) * 5), [(HEIGHT, WIDTH)] * 2
    objects = [torch.tensor([[40.0, 30, 80, 75], [100, 20, 230, 170], [200.0, 150, 240, 215]]), torch.zeros(0, 4)]
    anchors = torch.cat([grid.boxes() for grid in own(levels).grids])
    assert (box_iou(objects[0], anchors).amax(dim=1) > 0.3).all()
    torch.manual_seed(5)
    image = ImageList(torch.zeros(2, 3, HEIGHT, WIDTH), sizes)
    _, expected = other.train()(image, named(levels), [{"boxes": some} for some in objects])
    torch.manual_seed(5)
    found = own.losses(own(levels), sizes, objects)
    close(found["rpn_class"], expected["loss_objectness"])
    close(found["rpn_box"], expected["loss_rpn_box_reg"])
    assert float(found["rpn_box"].detach()) > 0.01


# masks


def test_targets_of_masks() -> None:
    """torchvision's RoIAlign of masks is not aligned, so its boxes are half a pixel further up and left."""
    generator = torch.Generator().manual_seed(4)
    bitmaps = torch.rand(3, 1, HEIGHT // 32, WIDTH // 32, generator=generator) > 0.5
    bitmaps = bitmaps.repeat_interleave(32, dim=2).repeat_interleave(32, dim=3)[:, 0]
    regions, which = boxes(40), torch.arange(40) % 3
    large = (regions[:, 2:] - regions[:, :2]).amin(dim=1) > 1  # there smaller ones are made one pixel wide
    regions, which = regions[large], which[large]
    expected = project_masks_on_boxes(bitmaps, regions - 0.5, which, 28)
    found = Masks.from_bitmaps(bitmaps).targets(regions, which, 28)
    assert len(found) > 20
    sure = (expected - 0.5).abs() > 1e-4
    assert float(sure.float().mean()) > 0.9
    assert torch.equal(found[sure], (expected > 0.5).float()[sure])

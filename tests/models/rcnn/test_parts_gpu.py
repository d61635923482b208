"""The parts of the detectors on a GPU say what they say on a CPU."""

import pytest
import torch
from torch import Tensor

from attnkit.models.rcnn.config import RoiAlignConfig, RpnConfig
from attnkit.models.rcnn.roi_pooler import RoiFeatures
from attnkit.models.rcnn.rpn import Rpn
from attnkit.structures.detections import Detections
from attnkit.structures.masks import Masks

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")]

STRIDES = (4, 8, 16, 32, 64)
SIZES = [(120, 150), (97, 160)]


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual.cpu(), expected, rtol=1e-3, atol=1e-3)


def levels(device: str) -> list[Tensor]:
    generator = torch.Generator().manual_seed(2)
    return [torch.randn(2, 6, -(-128 // s), -(-160 // s), generator=generator).to(device) for s in STRIDES]


def boxes(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    sides = 5 + torch.rand(count, 2, generator=generator) * 60
    corners = torch.rand(count, 2, generator=generator) * (torch.tensor([150.0, 120.0]) - sides)
    return torch.cat([corners, corners + sides], dim=1)


def masks() -> Masks:
    bitmaps = torch.rand(5, 120, 150, generator=torch.Generator().manual_seed(4)) > 0.3
    bitmaps[:, :40] = bitmaps[2:, :, 70:] = False
    return Masks.from_bitmaps(bitmaps)


@torch.no_grad()
def test_losses_and_proposals() -> None:
    """All anchors are drawn, for the two draw differently."""
    torch.manual_seed(1)
    rpn = Rpn(RpnConfig(anchor_scale=3.0, samples=100_000, proposals=50), 6, strides=STRIDES)
    for parameter in rpn.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape)
    maps, objects = rpn(levels("cpu")), [boxes(9), boxes(0)]
    losses, (found, scores) = rpn.losses(maps, SIZES, objects), rpn.propose(maps, SIZES, training=False)
    rpn.cuda()
    maps = rpn(levels("cuda"))
    for name, loss in rpn.losses(maps, SIZES, [some.cuda() for some in objects]).items():
        close(loss, losses[name])
    there, their_scores = rpn.propose(maps, SIZES, training=False)
    for some, more in zip([*there, *their_scores], [*found, *scores], strict=True):
        close(some, more)


@torch.no_grad()
def test_regions() -> None:
    pool = RoiFeatures(RoiAlignConfig(), strides=STRIDES)
    expected = pool(levels("cpu"), [boxes(9), boxes(5)], 7)
    close(pool(levels("cuda"), [boxes(9).cuda(), boxes(5).cuda()], 7), expected)


def test_masks() -> None:
    which = torch.arange(9) % 5
    there = masks().to("cuda")
    assert (there.targets(boxes(9).cuda(), which.cuda(), 7).cpu() != masks().targets(boxes(9), which, 7)).sum() < 3
    assert torch.equal(
        there[which.cuda()].resized((60, 70)).flip().bitmaps().cpu(), masks()[which].resized((60, 70)).flip().bitmaps()
    )
    assert there.rle() == masks().rle()
    assert torch.equal(there.areas().cpu(), masks().areas())


def test_masks_of_detections() -> None:
    probs = torch.rand(9, 28, 28, generator=torch.Generator().manual_seed(5))
    found = Detections(boxes(9), torch.rand(9), torch.arange(9), probs)
    here, there = found.masks((120, 150), 0.5).bitmaps(), found.to("cuda").masks((120, 150), 0.5).bitmaps().cpu()
    assert (here != there).sum() < 20

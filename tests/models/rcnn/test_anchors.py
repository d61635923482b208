import pytest
import torch
from torch import Tensor
from torchvision.ops import box_iou

from attnkit.models.rcnn.anchors import AnchorGrid, Anchors, near_any
from attnkit.models.rcnn.config import RpnConfig

STRIDES = (4, 8, 16, 32, 64)


def maps(*shapes: tuple[int, int]) -> list[Tensor]:
    return [torch.zeros(1, 3, *shape) for shape in shapes]


def grids(height: int = 50, width: int = 71, **options: object) -> list[AnchorGrid]:
    """The anchors of an image whose finest map has these cells; each further one half as many, rounded up."""
    shapes = [(-(-height // 2**level), -(-width // 2**level)) for level in range(5)]
    return Anchors(RpnConfig(**options), strides=STRIDES).grids(maps(*shapes))


# by hand


def test_mmdetection_s_anchors() -> None:
    """What AnchorGenerator(strides=[4], ratios=[0.5, 1, 2], scales=[8]) makes of the first cell, and of the one at row
    1, column 2: 8 pixels right, 4 down."""
    (grid,) = Anchors(RpnConfig(), strides=[4]).grids(maps((2, 3)))
    first = torch.tensor(
        [[-22.6274, -11.3137, 22.6274, 11.3137], [-16, -16, 16, 16], [-11.3137, -22.6274, 11.3137, 22.6274]]
    )
    assert len(grid) == 18
    torch.testing.assert_close(grid.boxes()[:3], first)
    torch.testing.assert_close(grid.boxes()[15:], first + torch.tensor([8.0, 4, 8, 4]))


def test_ratios_are_height_over_width_and_the_scale_is_in_cells() -> None:
    (_, grid) = Anchors(RpnConfig(anchor_scale=3.0, anchor_ratios=(4.0, 0.25)), strides=[2, 4]).grids(
        maps((2, 2), (1, 1))
    )
    assert grid.boxes().tolist() == [[-3, -12, 3, 12], [-12, -3, 12, 3]]


def test_rounded_anchors_are_torchvision_s() -> None:
    """Whole pixels; and where 25 cells of 32 pixels became 13, those are 800 // 13 = 61 pixels apart."""
    made = Anchors(RpnConfig(rounded_anchors=True), strides=STRIDES).grids(
        maps((200, 72), (100, 36), (50, 18), (25, 9), (13, 5))
    )
    assert made[0].cell.tolist() == [[-23, -11, 23, 11], [-16, -16, 16, 16], [-11, -23, 11, 23]]
    assert [grid.steps for grid in made] == [(4, 4), (8, 8), (16, 16), (32, 32), (800 // 13, 288 // 5)]


def test_cells_that_begin_on_the_image() -> None:
    """Of 3 x 4 cells of 8 pixels an image of 17 x 16 pixels has 3 rows and 2 columns."""
    (grid,) = Anchors(RpnConfig(anchor_ratios=(1.0, 2.0)), strides=[8]).grids(maps((3, 4)))
    inside = grid.inside((17, 16)).view(3, 4, 2)
    assert inside[:, :2].all()
    assert not inside[:, 2:].any()
    assert grid.inside((16, 32)).view(3, 4, 2).all(dim=2).tolist() == [[True] * 4, [True] * 4, [False] * 4]


# near


def objects(count: int = 60) -> Tensor:
    """Of all sizes and shapes, some beyond the image, one twice."""
    generator = torch.Generator().manual_seed(1)
    middles = torch.rand(count, 2, generator=generator) * torch.tensor([300.0, 220.0])
    sides = 2.0 ** (torch.rand(count, 2, generator=generator) * 8 + 1)
    boxes = torch.cat([middles - sides / 2, middles + sides / 2], dim=1)
    return torch.cat([boxes, boxes[:1]])


@pytest.mark.parametrize("least", [0.05, 0.3, 0.7])
@pytest.mark.parametrize("options", [{}, {"anchor_scale": 2.5}, {"rounded_anchors": True}, {"anchor_ratios": (0.2,)}])
def test_no_pair_is_missed(least: float, options: dict[str, object]) -> None:
    made = grids(**options)
    anchors = torch.cat([grid.boxes() for grid in made])
    expected = {tuple(pair) for pair in (box_iou(anchors, objects()) >= least).nonzero().tolist()}
    anchor, of = near_any(made, objects(), least=least)
    found = list(zip(anchor.tolist(), of.tolist(), strict=True))
    assert len(found) == len(set(found))
    assert expected
    assert expected <= set(found)


def test_few_pairs_are_looked_at() -> None:
    """A hundredth of all, and only a few times those that count."""
    made = grids(200, 336)
    anchors = torch.cat([grid.boxes() for grid in made])
    anchor, of = near_any(made, objects(), least=0.3)
    counts = int((box_iou(anchors[anchor], objects()).gather(1, of[:, None]) >= 0.3).sum())
    assert counts <= len(anchor) < 4 * counts
    assert len(anchor) < len(anchors) * len(objects()) / 100


def test_no_objects() -> None:
    anchor, of = near_any(grids(), torch.zeros(0, 4), least=0.3)
    assert anchor.shape == of.shape == (0,)


def test_an_object_without_area_is_near_nothing() -> None:
    anchor, _ = near_any(grids(), torch.tensor([[10.0, 10, 10, 40], [20, 20, 20, 20]]), least=0.3)
    assert len(anchor) == 0

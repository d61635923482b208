import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import box_iou

from attnkit.models.rcnn.config import RpnConfig
from attnkit.models.rcnn.rpn import Rpn, RpnMaps

STRIDES = (4, 8, 16, 32, 64)
SIZES = [(120, 150), (97, 160)]
"""Of two images in a batch of 128 x 160 pixels."""


def build(**options: object) -> Rpn:
    torch.manual_seed(1)
    rpn = Rpn(RpnConfig(**{"anchor_scale": 3.0} | options), 6, strides=STRIDES)
    for parameter in rpn.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape)
    return rpn


def levels(*, batch: int = 2) -> list[Tensor]:
    generator = torch.Generator().manual_seed(2)
    return [torch.randn(batch, 6, -(-128 // s), -(-160 // s), generator=generator) for s in STRIDES]


@torch.no_grad()
def said(logits: float = -3.0, *, anchor_scale: float = 8.0, **options: object) -> tuple[Rpn, RpnMaps]:
    """A network that says the same of every anchor, and to leave it where it is; to be changed."""
    rpn = build(anchor_scale=anchor_scale, **options)
    maps = rpn(levels(batch=1))
    return rpn, RpnMaps(
        [torch.full_like(level, logits) for level in maps.logits], [level * 0 for level in maps.deltas], maps.grids
    )


def number(level: int, row: int, column: int, shape: int = 1) -> int:
    """Of an anchor on its level, shape 1 is the square."""
    return (row * -(-160 // STRIDES[level]) + column) * 3 + shape


# the network


def test_outputs_are_cell_by_cell() -> None:
    rpn, given = build(), levels()
    maps = rpn(given)
    assert [tuple(level.shape) for level in maps.logits] == [(2, 3840), (2, 960), (2, 240), (2, 60), (2, 18)]
    x = F.relu(rpn.conv(given[1]))
    logits, deltas = rpn.objectness(x), rpn.deltas(x)
    place = number(1, row=7, column=11, shape=2)
    assert maps.logits[1][1, place] == logits[1, 2, 7, 11]
    assert torch.equal(maps.deltas[1][1, place], deltas[1, 8:12, 7, 11])
    assert maps.grids[1].boxes()[place].tolist() == pytest.approx(
        [88 - 12 / math.sqrt(2), 56 - 12 * math.sqrt(2), 88 + 12 / math.sqrt(2), 56 + 12 * math.sqrt(2)]
    )


def test_fresh_weights() -> None:
    rpn = Rpn(RpnConfig(anchor_ratios=(0.5, 2.0)), 64, strides=STRIDES)
    assert tuple(rpn.objectness.weight.shape) == (2, 64, 1, 1)
    assert tuple(rpn.deltas.weight.shape) == (8, 64, 1, 1)
    assert rpn.conv.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert not any(layer.bias.any() for layer in (rpn.conv, rpn.objectness, rpn.deltas))


def test_float32_under_autocast() -> None:
    rpn = build()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        maps = rpn(levels())
        boxes, scores = rpn.propose(maps, SIZES, training=False)
        losses = rpn.losses(maps, SIZES, [torch.tensor([[10.0, 10, 60, 60]])] * 2)
    assert all(level.dtype == torch.float32 for level in (*maps.logits, *maps.deltas, *boxes, *scores))
    assert all(loss.dtype == torch.float32 for loss in losses.values())


# proposals


def test_a_proposal_by_hand() -> None:
    """Two anchors are objects: one of 64 pixels around (48, 64) moves right by a quarter, one of 128 on top of it is
    of another level, so it stays; it is cut off at the image's edges. The rest says no, equally."""
    rpn, maps = said(nms_threshold=0.2)
    maps.logits[1][0, number(1, row=8, column=6)] = 3.0
    maps.deltas[1][0, number(1, row=8, column=6), 0] = 0.25
    maps.logits[2][0, number(2, row=4, column=3)] = 2.0
    (boxes,), (scores,) = rpn.propose(maps, [(120, 150)], training=False)
    assert boxes[:2].tolist() == [[32, 32, 96, 96], [0, 0, 112, 120]]
    assert scores[:3].tolist() == pytest.approx([1 / (1 + math.exp(-score)) for score in (3, 2, -3)])


@pytest.mark.parametrize(("threshold", "second"), [(0.7, -3.0), (0.8, 2.0)])
def test_neighbours_are_one_object(threshold: float, second: float) -> None:
    """8 of 64 pixels further, an IoU of 56 / 72."""
    rpn, maps = said(nms_threshold=threshold)
    maps.logits[1][0, number(1, row=8, column=6)] = 3.0
    maps.logits[1][0, number(1, row=8, column=7)] = 2.0
    _, (scores,) = rpn.propose(maps, [(128, 160)], training=False)
    assert scores[:2].tolist() == pytest.approx([1 / (1 + math.exp(-score)) for score in (3, second)])


def written_out(rpn: Rpn, maps: RpnMaps, image: int, most: int) -> tuple[Tensor, Tensor]:
    """Box by box, without the library's operators."""
    height, width = SIZES[image]
    kept: list[tuple[float, list[float]]] = []
    for logits, deltas, grid in zip(maps.logits, maps.deltas, maps.grids, strict=True):
        order = sorted(range(logits.shape[1]), key=lambda i: -float(logits[image, i]))[:most]
        of_level: list[tuple[float, list[float]]] = []
        for i in order:
            x1, y1, x2, y2 = grid.boxes()[i].tolist()
            dx, dy, dw, dh = deltas[image, i].tolist()
            x, y = (x1 + x2) / 2 + dx * (x2 - x1), (y1 + y2) / 2 + dy * (y2 - y1)
            w, h = (x2 - x1) * math.exp(dw), (y2 - y1) * math.exp(dh)
            box = [
                *(min(max(x - w / 2, 0), width), min(max(y - h / 2, 0), height)),
                *(min(max(x + w / 2, 0), width), min(max(y + h / 2, 0), height)),
            ]
            if box[2] - box[0] < 1e-3 or box[3] - box[1] < 1e-3:
                continue
            if all(float(box_iou(torch.tensor([box]), torch.tensor([one]))) <= 0.7 for _, one in of_level):
                of_level.append((1 / (1 + math.exp(-float(logits[image, i]))), box))
        kept += of_level
    kept = sorted(kept, key=lambda one: -one[0])[:most]
    return torch.tensor([box for _, box in kept]), torch.tensor([score for score, _ in kept])


def test_fewer_may_come_out_in_training() -> None:
    rpn = build(train_proposals=40, train_kept=20, proposals=30)
    maps = rpn(levels())
    (more, _), (fewer, _) = (
        build(train_proposals=40).propose(maps, SIZES, training=True)[0],
        rpn.propose(maps, SIZES, training=True)[0],
    )
    assert torch.equal(fewer, more[:20])
    assert len(rpn.propose(maps, SIZES, training=False)[0][0]) == 30


@pytest.mark.parametrize("training", [True, False])
@torch.no_grad()
def test_the_best_of_each_level_then_of_all(training: bool) -> None:
    rpn = build(train_proposals=40, proposals=30)
    maps = rpn(levels())
    boxes, scores = rpn.propose(maps, SIZES, training=training)
    for image in range(2):
        expected_boxes, expected_scores = written_out(rpn, maps, image, 40 if training else 30)
        torch.testing.assert_close(boxes[image], expected_boxes, rtol=1e-5, atol=1e-4)
        torch.testing.assert_close(scores[image], expected_scores)
        assert len(scores[image]) == (40 if training else 30)


def test_nothing_is_learned_through_proposals() -> None:
    rpn = build()
    boxes, scores = rpn.propose(rpn(levels()), SIZES, training=True)
    assert not any(some.requires_grad for some in (*boxes, *scores))


def test_what_lies_beside_the_image_is_no_proposal() -> None:
    """In a batch of 128 x 160 pixels an image of 40 x 40 has anchors of 12 pixels that it does not reach."""
    rpn, maps = said(anchor_scale=3.0)
    maps.logits[0][0, number(0, row=20, column=30)] = 5.0
    (boxes,), (scores,) = rpn.propose(maps, [(40, 40)], training=False)
    assert float(scores.max()) < 0.5
    assert float((boxes[:, 2:] - boxes[:, :2]).min()) > 0.0
    assert float(boxes.max()) == 40.0


# losses


def loss_of(rpn: Rpn, maps: RpnMaps, objects: Tensor, size: tuple[int, int] = (128, 160)) -> tuple[float, float]:
    torch.manual_seed(3)
    losses = rpn.losses(maps, [size], [objects])
    assert list(losses) == ["rpn_class", "rpn_box"]
    return float(losses["rpn_class"]), float(losses["rpn_box"])


SQUARES = {"anchor_ratios": (1.0,), "anchor_scale": 2.0}
"""Anchors of two cells' side, one a cell: the next ones overlap an anchor by a third."""
OBJECT = torch.tensor([[40.0, 56.0, 56.0, 74.0]])
"""Two rows more than the anchor of 16 x 16 around (48, 64): an IoU of 16 / 18; its four neighbours have 0.3 to 0.5."""
PLACE = 8 * 20 + 6
"""That anchor's number on the level of 20 x 16 cells."""
NEIGHBOURS = [PLACE - 1, PLACE + 1, PLACE - 20, PLACE + 20]


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def test_losses_by_hand() -> None:
    """Of four anchors one is positive, for there is but one; its neighbours, which are between, say the wrong thing."""
    rpn, maps = said(samples=4, **SQUARES)
    maps.logits[1][0, PLACE] = 2.0
    maps.logits[1][0, NEIGHBOURS] = 50.0
    maps.deltas[1][0, PLACE] = torch.tensor([0.0, 0.3, 0.05, -0.2])
    off = [0.0, 0.3 - 1 / 16, 0.05, 0.2 + math.log(18 / 16)]
    box_loss = sum(4.5 * d**2 if d < 1 / 9 else d - 1 / 18 for d in off)
    expected = (softplus(-2) + 3 * softplus(-3)) / 4, box_loss / 4
    assert loss_of(rpn, maps, OBJECT) == pytest.approx(expected, abs=2e-6)


def test_offsets_may_be_learned_by_their_plain_distance() -> None:
    rpn, maps = said(samples=4, loss="l1", **SQUARES)
    maps.deltas[1][0, PLACE] = torch.tensor([0.0, 0.3, 0.05, -0.2])
    off = [0.0, 0.3 - 1 / 16, 0.05, 0.2 + math.log(18 / 16)]
    assert loss_of(rpn, maps, OBJECT)[1] == pytest.approx(sum(off) / 4, abs=2e-6)


def test_the_mean_is_over_the_anchors_of_all_images() -> None:
    """One with an object, one without: 8 anchors, one of them positive."""
    rpn, one = said(samples=4, **SQUARES)
    maps = RpnMaps(
        [torch.cat([level, level]) for level in one.logits],
        [torch.cat([level, level]) for level in one.deltas],
        one.grids,
    )
    maps.logits[1][0, PLACE] = 2.0
    losses = rpn.losses(maps, [(128, 160), (128, 160)], [OBJECT, OBJECT[:0]])
    assert float(losses["rpn_class"]) == pytest.approx((softplus(-2) + 7 * softplus(-3)) / 8, abs=2e-6)
    off = [1 / 16, math.log(18 / 16)]
    assert float(losses["rpn_box"]) == pytest.approx((4.5 * off[0] ** 2 + off[1] - 1 / 18) / 8, abs=2e-6)


def test_half_of_the_anchors_may_be_positive() -> None:
    """64 objects, 64 anchors; 8 of 16 are drawn."""
    rpn, maps = said(samples=16, **SQUARES)
    y, x = (place.flatten() * 8.0 for place in torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij"))
    for level in maps.logits:
        level.fill_(0.0)
    maps.logits[1].fill_(4.0)
    objects = torch.stack([x - 8, y - 8, x + 8, y + 8], dim=1)
    found, _ = loss_of(rpn, maps, objects, size=(64, 64))
    assert found == pytest.approx((8 * softplus(-4) + 8 * softplus(0)) / 16, abs=2e-6)


def test_anchors_beside_the_image_are_not_looked_at() -> None:
    """All anchors are drawn; those of cells beyond 40 x 40 pixels say the wrong thing, the others the right one."""
    rpn, maps = said(samples=100_000, **SQUARES)
    for level, grid in zip(maps.logits, maps.grids, strict=True):
        level[0, ~grid.inside((40, 40))] = 50.0
    found = loss_of(rpn, maps, torch.zeros(0, 4), size=(40, 40))
    assert found == (pytest.approx(softplus(-3), abs=2e-6), 0.0)
    assert loss_of(rpn, maps, torch.zeros(0, 4))[0] > 40


def test_anchors_across_the_edge_may_be_left_out() -> None:
    """Of 40 x 56 pixels; anchors that end with the image are across, as in mmdetection."""
    size = (40, 56)
    for inner in (True, False):
        rpn, maps = said(samples=100_000, inner_anchors=inner, **SQUARES)
        for level, grid in zip(maps.logits, maps.grids, strict=True):
            x1, y1, x2, y2 = grid.boxes().unbind(1)
            level[0, ~((x1 >= 0) & (y1 >= 0) & (x2 < size[1]) & (y2 < size[0]))] = 50.0
        found, _ = loss_of(rpn, maps, torch.zeros(0, 4), size=size)
        assert found == pytest.approx(softplus(-3), abs=2e-6) if inner else found > 1


def test_an_object_that_no_anchor_suits_has_the_best_one() -> None:
    """24 x 24 pixels have an IoU of 256 / 576 with the anchors of 16 inside, and of 576 / 1024 with 32 around."""
    rpn, maps = said(samples=100_000, **SQUARES)
    anchors = torch.cat([grid.boxes() for grid in maps.grids])
    objects = torch.tensor([[36.0, 52.0, 60.0, 76.0]])
    ious = box_iou(anchors, objects)[:, 0]
    positive = ious == ious.max()
    assert float(ious.max()) == pytest.approx(576 / 1024)
    logits = torch.full((len(anchors),), -3.0).masked_fill(positive, 5.0)
    for level, changed in zip(maps.logits, logits.split([level.shape[1] for level in maps.logits]), strict=True):
        level[0] = changed
    drawn = int(positive.sum() + (ious < 0.3).sum())
    expected = (int(positive.sum()) * softplus(-5) + int((ious < 0.3).sum()) * softplus(-3)) / drawn
    assert loss_of(rpn, maps, objects)[0] == pytest.approx(expected, abs=2e-6)


def test_an_anchor_beside_the_image_takes_no_object_away() -> None:
    """Anchors of 5.2 pixels, 4 apart; the object ends with the image, at 40. That around 40 overlaps it by 2.6 columns,
    that around 36 by 2.2: an IoU of 0.42 and of 1/3; but the first is not the image's, so the second is the best."""
    rpn, maps = said(samples=100_000, anchor_ratios=(1.0,), anchor_scale=1.3)
    maps.logits[0][0, 5 * 40 + 9] = 5.0
    anchors = sum(int(grid.inside((40, 40)).sum()) for grid in maps.grids)
    expected = (softplus(-5) + (anchors - 1) * softplus(-3)) / anchors
    found = loss_of(rpn, maps, torch.tensor([[36.4, 17.4, 40.0, 22.6]]), size=(40, 40))
    assert found[0] == pytest.approx(expected, abs=2e-6)
    assert found[1] > 0.0


def test_gradients_reach_all_that_learns() -> None:
    rpn = build()
    losses = rpn.losses(rpn(levels()), SIZES, [torch.tensor([[10.0, 10.0, 22.0, 22.0]]), torch.zeros(0, 4)])
    sum(losses.values()).backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in rpn.parameters())


def test_many_anchors_and_objects() -> None:
    """100,000 anchors and 300 objects: all pairs would be 30 million."""
    torch.manual_seed(1)
    rpn = Rpn(RpnConfig(), 2, strides=STRIDES)
    maps = rpn([torch.randn(1, 2, 640 // stride, 896 // stride) for stride in STRIDES])
    assert sum(len(grid) for grid in maps.grids) > 100_000
    corners = torch.rand(300, 2) * 600
    objects = torch.cat([corners, corners + 5 + torch.rand(300, 2) * 40], dim=1)
    losses = rpn.losses(maps, [(640, 896)], [objects])
    (boxes,), _ = rpn.propose(maps, [(640, 896)], training=True)
    assert all(loss.isfinite() for loss in losses.values())
    assert len(boxes) == 2000

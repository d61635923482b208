"""The losses of heads and stages."""

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from attnkit.models.rcnn.heads import BoxHead, MaskHead
from attnkit.models.rcnn.losses import StageTraining, box_loss, class_loss, mask_loss
from attnkit.models.rcnn.stages import Stage
from tests.models.rcnn.nano import of_boxes


def test_classes_by_hand() -> None:
    """Odds of 3 to 1 against, and of 4 to 1 for."""
    logits = torch.tensor([[math.log(3.0), 0.0], [0.0, math.log(4.0)]])
    expected = (math.log(4) + math.log(1.25)) / 2
    assert float(class_loss(logits, torch.tensor([1, 1]))) == pytest.approx(expected)


def test_offsets_by_hand() -> None:
    """A box of 10 x 20 whose object lies 1 to the right, and is e times as high: 0.1 / 0.1 and 1 / 0.2, over 4."""
    boxes = torch.tensor([[0.0, 0, 10, 20]])
    high = 20 * math.e
    targets = torch.tensor([[1.0, 10 - high / 2, 11, 10 + high / 2]])
    deltas = torch.tensor([[0.25, 0.0, 0.0, 2.0]])
    loss = box_loss(deltas, boxes, targets, stds=(0.1, 0.1, 0.2, 0.2), giou=False, count=4)
    assert float(loss) == pytest.approx((0.75 + 3.0) / 4, rel=1e-5)


def test_overlaps_by_hand() -> None:
    """The box that the offsets lead to is 10 x 10, 5 to the right of its object: IoU 1/3, and nothing around is empty.

    The other one is 20 apart: of 40 pixels around both 20 are empty.
    """
    boxes = torch.tensor([[0.0, 0, 10, 10], [30, 0, 40, 10]])
    targets = torch.tensor([[5.0, 0, 15, 10], [0, 0, 10, 10]])
    loss = box_loss(torch.zeros(2, 4), boxes, targets, stds=(0.1, 0.1, 0.2, 0.2), giou=True, count=5)
    assert float(loss) == pytest.approx(10 * ((1 - 1 / 3) + (1 + 20 / 40)) / 5, rel=1e-5)


def test_stds_scale_the_way() -> None:
    """By 0.5 times the std of 0.2 a box of 10 goes 1 to the right, onto its object."""
    boxes, targets = torch.tensor([[0.0, 0, 10, 10]]), torch.tensor([[1.0, 0, 11, 10]])
    deltas = torch.tensor([[0.5, 0.0, 0.0, 0.0]])
    loss = box_loss(deltas, boxes, targets, stds=(0.2, 0.3, 0.5, 0.7), giou=True, count=1)
    assert float(loss) == pytest.approx(0, abs=1e-5)


def test_masks_by_hand() -> None:
    logits = torch.tensor([[[0.0, math.log(3.0)], [0.0, 0.0]]])
    targets = torch.tensor([[[1.0, 1.0], [0.0, 0.0]]])
    assert float(mask_loss(logits, targets)) == pytest.approx((3 * math.log(2) + math.log(4 / 3)) / 4)


def test_without_any_region() -> None:
    none = torch.zeros(0, 4)
    assert class_loss(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long)) == 0
    assert mask_loss(torch.zeros(0, 28, 28), torch.zeros(0, 28, 28)) == 0
    for giou in (True, False):
        assert box_loss(none, none, none, stds=(0.1, 0.1, 0.2, 0.2), giou=giou, count=0) == 0


K = 3
SIZE = (100, 120)
STDS = ((0.1, 0.1, 0.2, 0.2), (0.05, 0.05, 0.1, 0.1))
OBJECTS = of_boxes(torch.tensor([[10.0, 10, 30, 30]]), torch.tensor([1]), SIZE)
PROPOSALS = torch.tensor([[12.0, 10, 32, 30], [60, 60, 80, 80], [60, 20, 80, 40]])
"""On the object with an IoU of 18/22; two beside it."""


class ToTheRight(BoxHead):
    """A box head that finds class 2 everywhere, and moves class k by k + 1 times a step to the right."""

    def __init__(self, step: float) -> None:
        nn.Module.__init__(self)
        self.step = nn.Parameter(torch.tensor(step))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        logits = torch.tensor([0.0, 0.0, 1.0, 5.0]).expand(len(x), -1) + 0 * self.step
        deltas = torch.zeros(len(x), K, 4)
        deltas[:, :, 0] = torch.arange(1.0, K + 1)
        return logits, deltas * self.step


class Pencil(MaskHead):
    """A mask head that remembers what it was told."""

    def __init__(self, *, flow: bool) -> None:
        nn.Module.__init__(self)
        self.flow = nn.Identity() if flow else None
        self.told: list[Tensor | None] = []

    def features(self, x: Tensor, before: Tensor | None = None) -> Tensor:
        self.told.append(before)
        return x

    def predict_masks(self, features: Tensor, labels: Tensor) -> Tensor:
        self.labels = labels
        return torch.zeros(len(features), 28, 28)


class Pooler:
    """Remembers the boxes that were pooled."""

    def __init__(self) -> None:
        self.pooled: list[tuple[int, list[list[list[float]]]]] = []

    def __call__(self, boxes: Sequence[Tensor], size: int) -> Tensor:
        self.pooled.append((size, [sorted(of_image.tolist()) for of_image in boxes]))
        return torch.zeros(sum(len(of_image) for of_image in boxes), 2, size, size)


def train(*, interleaved: bool, masks: bool = True) -> tuple[Pooler, dict[str, Tensor], list[Stage]]:
    pooler = Pooler()
    stages = [
        Stage(ToTheRight(1.0), Pencil(flow=interleaved and stage > 0) if masks else None, STDS[stage], iou, weight)
        for stage, (iou, weight) in enumerate([(0.5, 1.0), (0.6, 0.25)])
    ]
    training = StageTraining(stages=stages, num_classes=K, samples=100, giou=False, interleaved=interleaved)
    torch.manual_seed(1)
    return pooler, training.losses(pooler, [PROPOSALS], [SIZE], [OBJECTS]), stages


OBJECT = [10.0, 10, 30, 30]
# A side is 20, so a step is 2 pixels in the first stage: class 1 goes 4 to the right, class 2 goes 6.
MOVED = [[16.0, 10, 36, 30], [66, 60, 86, 80], [66, 20, 86, 40]]


def test_the_next_stage_starts_where_boxes_were_moved_to() -> None:
    """A region on the object goes as its class, others as the likeliest; the object's own box is put in anew."""
    pooler, _, _ = train(interleaved=False, masks=False)
    assert [size for size, _ in pooler.pooled] == [7, 7]
    assert pooler.pooled[0][1] == [sorted([OBJECT, *PROPOSALS.tolist()])]
    assert pooler.pooled[1][1] == [sorted([OBJECT, *MOVED])]


def test_masks_are_learned_where_the_stage_began() -> None:
    """The moved box has an IoU of 14/26 with the object: for the second stage it is beside it."""
    pooler, _, stages = train(interleaved=False)
    assert [size for size, _ in pooler.pooled] == [7, 14, 7, 14]
    assert pooler.pooled[1][1] == [[OBJECT, PROPOSALS[0].tolist()]]
    assert pooler.pooled[3][1] == [[OBJECT]]
    assert all(stage.mask_head.told == [None] for stage in stages)
    assert stages[0].mask_head.labels.tolist() == [1, 1]


def test_interleaved_masks_are_learned_where_the_stage_has_moved_boxes_to() -> None:
    """In the first stage still on the object; in the second all are 6 pixels (class 2) further."""
    pooler, _, stages = train(interleaved=True)
    assert [size for size, _ in pooler.pooled] == [7, 14, 7, 14]
    assert pooler.pooled[1][1] == [[OBJECT, MOVED[0]]]
    assert pooler.pooled[2][1] == [sorted([OBJECT, *MOVED])]
    assert pooler.pooled[3][1] == [[OBJECT]]
    assert stages[0].mask_head.told == [None, None]  # by itself, and for the second
    assert [told is None for told in stages[1].mask_head.told] == [False]


def test_terms_weigh_as_their_stage() -> None:
    """By hand, in units of the stds: the object's box wants 0, the other 2 pixels (1 step) to the left.

    Both are told to go 2 steps right: 2 and 3, over 4 regions. Cross entropy: 5 against 0, 0 and 1, or against itself.
    """
    _, terms, _ = train(interleaved=False)
    assert terms.keys() == {f"stage{stage}_{term}" for stage in (1, 2) for term in ("class", "box", "mask")}
    torch.testing.assert_close(terms["stage1_box"], torch.tensor(5 / 4))
    total = torch.tensor([0.0, 0.0, 1.0, 5.0]).logsumexp(dim=0)
    torch.testing.assert_close(terms["stage1_class"], (2 * total + 2 * (total - 5)) / 4)
    torch.testing.assert_close(terms["stage2_class"], 0.25 * (total + 3 * (total - 5)) / 4)
    torch.testing.assert_close(terms["stage1_mask"], torch.tensor(2.0).log())
    torch.testing.assert_close(terms["stage2_mask"], 0.25 * torch.tensor(2.0).log())


def test_boxes_are_moved_without_a_gradient() -> None:
    """The second stage teaches its own head alone."""
    _, terms, stages = train(interleaved=True)
    (terms["stage2_box"] + terms["stage2_mask"]).backward()
    assert stages[0].box_head.step.grad is None
    assert stages[1].box_head.step.grad != 0


def test_one_stage_has_plain_names() -> None:
    training = StageTraining(
        stages=[Stage(ToTheRight(1.0), None, STDS[0], 0.5, 1.0)],
        num_classes=K,
        samples=3,
        giou=True,
        interleaved=False,
    )
    pooler = Pooler()
    assert training.losses(pooler, [PROPOSALS], [SIZE], [OBJECTS]).keys() == {"class", "box"}
    assert len(pooler.pooled[0][1][0]) == 2  # a quarter of 3 is no region on an object; those beside are 2


def test_neither_objects_nor_proposals() -> None:
    training = StageTraining(
        stages=[Stage(ToTheRight(1.0), Pencil(flow=False), STDS[0], 0.5, 1.0)],
        num_classes=K,
        samples=9,
        giou=True,
        interleaved=False,
    )
    nothing = OBJECTS[torch.zeros(0, dtype=torch.long)]
    terms = training.losses(Pooler(), [PROPOSALS[:0]], [SIZE], [nothing])
    assert {name: float(term) for name, term in terms.items()} == {"class": 0, "box": 0, "mask": 0}

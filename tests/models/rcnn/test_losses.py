import math

import pytest
import torch

from attnkit.models.rcnn.losses import box_loss, class_loss, mask_loss


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

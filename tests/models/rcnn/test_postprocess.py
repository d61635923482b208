import pytest
import torch
from torch import Tensor

from attnkit.models.rcnn.postprocess import postprocess

OPTIONS = {"score_threshold": 0.05, "nms_threshold": 0.5, "soft_nms": False, "max_detections": 100}

# Boxes 10 high. IoU of the first two: 8 / 12; of the first and the third: 5 / 15; of the second and the third: 7 / 13.
BOXES = torch.tensor([[0.0, 0, 10, 10], [2, 0, 12, 10], [5, 0, 15, 10], [40, 0, 50, 10]])


def one_class(*scores: float) -> tuple[Tensor, Tensor]:
    """Each region has that probability of the only class."""
    first = torch.tensor(scores)
    return BOXES[:, None], torch.stack([first, 1 - first], dim=1)


def test_hard_by_hand() -> None:
    """The second falls to the first, so that the third stays, although it overlaps the second."""
    boxes, scores, labels = postprocess(*one_class(0.9, 0.8, 0.7, 0.04), **OPTIONS)
    assert torch.equal(boxes, BOXES[[0, 2]])
    assert scores.tolist() == pytest.approx([0.9, 0.7])
    assert labels.tolist() == [0, 0]


def test_soft_by_hand() -> None:
    """With a threshold of 0.5 the second is left with 0.8 (1 - 2/3), and the third with 0.7, untouched by the first.

    The third is next, and takes 7/13 of what the second has.
    """
    boxes, scores, _ = postprocess(*one_class(0.9, 0.8, 0.7, 0.1), **(OPTIONS | {"soft_nms": True}))
    assert torch.equal(boxes, BOXES[[0, 2, 1, 3]])
    assert scores.tolist() == pytest.approx([0.9, 0.7, 0.8 / 3 * (1 - 7 / 13), 0.1])


def test_soft_lets_go_of_what_falls_under_the_threshold() -> None:
    options = OPTIONS | {"soft_nms": True, "score_threshold": 0.2}
    boxes, _, _ = postprocess(*one_class(0.9, 0.5, 0.1, 0.3), **options)
    assert torch.equal(boxes, BOXES[[0, 3]])


@pytest.mark.parametrize("soft_nms", [False, True])
def test_classes_do_not_meet_and_have_boxes_of_their_own(soft_nms: bool) -> None:
    boxes = torch.stack([BOXES, BOXES + 100], dim=1)  # of class 1 somewhere else
    probs = torch.tensor([[0.6, 0.3, 0.1], [0.0, 0.9, 0.1], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    found, scores, labels = postprocess(boxes, probs, **(OPTIONS | {"soft_nms": soft_nms, "nms_threshold": 0.7}))
    assert labels.tolist() == [1, 0, 1]
    assert scores.tolist() == pytest.approx([0.9, 0.6, 0.3])
    assert torch.equal(found, torch.stack([BOXES[1] + 100, BOXES[0], BOXES[0] + 100]))


@pytest.mark.parametrize("soft_nms", [False, True])
def test_the_best_are_kept(soft_nms: bool) -> None:
    options = OPTIONS | {"soft_nms": soft_nms, "nms_threshold": 0.9, "max_detections": 2}
    _, scores, _ = postprocess(*one_class(0.2, 0.4, 0.3, 0.5), **options)
    assert scores.tolist() == pytest.approx([0.5, 0.4])


@pytest.mark.parametrize("soft_nms", [False, True])
def test_nothing_is_left(soft_nms: bool) -> None:
    boxes, scores, labels = postprocess(*one_class(0.01, 0.02, 0.05, 0.0), **(OPTIONS | {"soft_nms": soft_nms}))
    assert boxes.shape == (0, 4)
    assert scores.shape == labels.shape == (0,)
    assert labels.dtype == torch.int64


def test_boxes_that_were_cut_to_nothing() -> None:
    boxes = BOXES[:, None].clone()
    boxes[0, 0] = torch.tensor([7.0, 0, 7, 10])
    found, _, _ = postprocess(boxes, one_class(0.9, 0.8, 0.0, 0.0)[1], **OPTIONS)
    assert torch.equal(found, BOXES[1:2])


def test_soft_is_that_of_the_loop_over_classes() -> None:
    """As the paper writes it down, one class after the other."""
    generator = torch.Generator().manual_seed(1)
    corners = torch.rand(60, 3, 2, generator=generator) * 30
    boxes = torch.cat([corners, corners + 10 + 10 * torch.rand(60, 3, 2, generator=generator)], dim=2)
    probs = torch.rand(60, 4, generator=generator).softmax(dim=1)
    found = postprocess(boxes, probs, **(OPTIONS | {"soft_nms": True, "nms_threshold": 0.3, "max_detections": 500}))
    expected = []
    for label in range(3):
        left = [[float(p), box] for p, box in zip(probs[:, label], boxes[:, label], strict=True)]
        while left:
            left.sort(key=lambda pair: pair[0])
            score, best = left.pop()
            if score <= 0.05:
                break
            expected.append((score, label, best.tolist()))
            for pair in left:
                overlap = _iou(best, pair[1])
                if overlap > 0.3:
                    pair[0] *= 1 - overlap
    expected.sort(key=lambda row: -row[0])
    assert len(expected) > 60
    assert found[1].tolist() == pytest.approx([score for score, _, _ in expected], rel=1e-4)
    assert found[2].tolist() == [label for _, label, _ in expected]
    torch.testing.assert_close(found[0], torch.tensor([box for _, _, box in expected]))


def _iou(a: Tensor, b: Tensor) -> float:
    inner = (torch.minimum(a[2:], b[2:]) - torch.maximum(a[:2], b[:2])).clamp(min=0).prod()
    return float(inner / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - inner))

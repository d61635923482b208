import torch

from attnkit.models.rcnn.config import BoxHeadConfig
from attnkit.models.rcnn.heads import BoxHead
from attnkit.models.rcnn.stages import Stage, of_class, stage_settings
from tests.models.rcnn.nano import CONFIGS

DELTAS = torch.arange(24.0).view(2, 3, 4)


def stage() -> Stage:
    head = BoxHead(BoxHeadConfig(channels=2), 2, num_classes=3)
    return Stage(head, None, (0.1, 0.2, 0.5, 0.5), 0.5, 1.0)


def test_offsets_of_a_class() -> None:
    assert torch.equal(of_class(DELTAS, torch.tensor([2, 0])), torch.tensor([[8.0, 9, 10, 11], [12, 13, 14, 15]]))


def test_offsets_of_all_classes() -> None:
    assert torch.equal(of_class(DELTAS[:, :1], torch.tensor([2, 0])), DELTAS[:, 0])


def test_boxes_are_moved_by_hand_and_stay_in_their_image() -> None:
    """By 0.1 of 20 to the right and 0.2 of 10 down; the second image ends where its box would go on."""
    boxes = [torch.tensor([[10.0, 10, 30, 20]]), torch.tensor([[10.0, 10, 30, 20]])]
    deltas = torch.zeros(2, 3, 4)
    deltas[:, 1, :2] = 1.0
    deltas.requires_grad_(True)
    classes = torch.tensor([1, 1])
    first, second = stage().refine(boxes, deltas, classes, [(50, 60), (21, 31)])
    torch.testing.assert_close(first, torch.tensor([[12.0, 12, 32, 22]]))
    torch.testing.assert_close(second, torch.tensor([[12.0, 12, 31, 21]]))
    assert not first.requires_grad


def test_no_boxes_in_one_image() -> None:
    boxes = [torch.zeros(0, 4), torch.tensor([[10.0, 10, 30, 20]])]
    none, one = stage().refine(boxes, torch.zeros(1, 3, 4), torch.tensor([0]), [(50, 60), (50, 60)])
    assert none.shape == (0, 4)
    torch.testing.assert_close(one, boxes[1])


def test_settings() -> None:
    assert stage_settings(CONFIGS["mask_rcnn"]) == [((0.1, 0.1, 0.2, 0.2), 0.5, 1.0)]
    assert stage_settings(CONFIGS["htc"]) == [
        ((0.1, 0.1, 0.2, 0.2), 0.5, 1.0),
        ((0.05, 0.05, 0.1, 0.1), 0.6, 0.5),
        ((0.033, 0.033, 0.067, 0.067), 0.7, 0.25),
    ]
    four = CONFIGS["cascade"].model_copy(
        update={"iou_thresholds": (0.4, 0.5, 0.6, 0.7), "stage_weights": (1.0, 0.5, 0.2, 0.1)}
    )
    assert [stds[0] for stds, _, _ in stage_settings(four)] == [0.1, 0.05, 0.033, 0.033]

import pytest
import torch
from torch import Tensor

from attnkit.models.macs import count_macs
from attnkit.models.rcnn.counted import CountedRcnn
from tests.models.rcnn.nano import CONFIGS, K, S, build


def count(name: str, *, masks: bool = True, **changes: object) -> int:
    return count_macs(CountedRcnn(build(name, masks=masks, **changes)), 64, 96)


def test_heads_of_a_mask_rcnn_by_hand() -> None:
    """8 channels. Box head: 11 wide, 5 classes. Mask head: a convolution to 6, twice the size, 5 classes."""
    without = count("mask_rcnn", masks=False)
    mask = 100 * (196 * 8 * 6 * 9 + 196 * 6 * 6 * 4 + 784 * 6 * 5)
    assert count("mask_rcnn") - without == mask
    wider = CONFIGS["mask_rcnn"].box_head.model_copy(update={"channels": 12})
    box = {width: 1000 * (49 * 8 * width + width * width + width * (6 + 20)) for width in (11, 12)}
    assert count("mask_rcnn", masks=False, box_head=wider) - without == box[12] - box[11]


def test_what_htc_has_more() -> None:
    """Two flows of 1x1 and the semantic branch at 8 x 12 cells, its classifier too."""
    flows = 2 * 100 * 196 * 6 * 8
    semantic = 96 * (6 * 8 * 8 + 4 * 8 * 8 * 9 + 8 * S)
    assert count("htc") - count("cascade") == flows + semantic


def test_the_global_block() -> None:
    """2 x 3 cells of 48 channels: 12 C^2 per cell, and every cell with every one twice."""
    assert count("htcpp") - count("htc") == 6 * 12 * 48**2 + 2 * 6 * 6 * 48


def test_the_proposal_network_sees_all_levels() -> None:
    one = count("mask_rcnn")
    other = count("mask_rcnn", rpn=CONFIGS["mask_rcnn"].rpn.model_copy(update={"anchor_ratios": (1.0,)}))
    cells = 16 * 24 + 8 * 12 + 4 * 6 + 2 * 3 + 1 * 2
    assert one - other == cells * 8 * 5 * 2


@pytest.mark.parametrize(("training", "boxes", "masks"), [(False, 1000, 100), (True, 24, 6)])
def test_regions(training: bool, boxes: int, masks: int) -> None:
    """Of each image, in every stage; while training as many as the losses look at."""
    counted = CountedRcnn(build("cascade")).train(training)
    shapes = [tuple(output.shape) for output in counted(torch.zeros(2, 3, 64, 96))]
    assert shapes.count((2 * boxes, K + 1)) == 3
    assert shapes.count((2 * boxes, K, 4)) == 3
    assert shapes.count((2 * masks, K, 28, 28)) == 3


def test_everything_on_the_way_is_kept() -> None:
    """So that memory for training can be told from it: gradients reach every weight."""
    counted = CountedRcnn(build("htcpp")).train()
    outputs: list[Tensor] = counted(torch.zeros(2, 3, 64, 96))
    sum(output.sum() for output in outputs).backward()
    missing = [name for name, parameter in counted.named_parameters() if parameter.grad is None]
    assert missing == [f"detector.semantic.embedding.{part}" for part in ("weight", "bias")]

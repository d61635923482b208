import pytest
import torch
from torch import Tensor
from torchvision.models.detection.roi_heads import paste_masks_in_image

from attnkit.structures.detections import Detections


def detections(boxes: list[list[float]], probs: Tensor | None = None) -> Detections:
    count = len(boxes)
    return Detections(
        boxes=torch.tensor(boxes).view(-1, 4),
        scores=torch.linspace(0.9, 0.1, count),
        labels=torch.arange(count),
        mask_probs=probs,
    )


def test_some_of_them_in_another_size() -> None:
    found = detections([[1.0, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]], torch.rand(3, 5, 5))
    some = found[[2, 0]].scaled((2, 3))
    assert len(some) == 2
    assert some.boxes.tolist() == [[18, 30, 22, 36], [2, 6, 6, 12]]
    assert some.labels.tolist() == [2, 0]
    assert some.scores.tolist() == pytest.approx([0.1, 0.9])
    assert found.mask_probs is not None
    assert some.mask_probs is not None
    assert torch.equal(some.mask_probs, found.mask_probs[[2, 0]])
    assert found.to("meta").mask_probs.is_meta


def test_a_mask_by_hand() -> None:
    """Cells of 3 x 2 pixels. The centres of the first column's are 1.5 pixels in: its pixels have 2/3 of 0.8 for the
    edge, 0.8, and 0.6, for it falls by 0.2 a pixel to the next column. The outer rows have 3/4 of that."""
    probs = torch.tensor([[[0.8, 0.2], [0.8, 0.2]]])
    found = detections([[1.0, 1.0, 7.0, 5.0]], probs).masks((7, 11), 0.55).bitmap(0)
    expected = torch.zeros(7, 11, dtype=torch.bool)
    expected[1:5, 2] = True
    expected[2:4, 3] = True
    assert torch.equal(found, expected)


def test_a_pixel_of_just_the_threshold_belongs_to_it() -> None:
    found = detections([[0.0, 0.0, 2.0, 2.0]], torch.full((1, 2, 2), 0.5)).masks((2, 2), 0.5)
    assert found.areas().tolist() == [4]


def test_masks_agree_with_torchvision_s() -> None:
    """Which takes whole pixels for the box's corners, the far ones inclusive: the edges of a large mask may differ."""
    generator = torch.Generator().manual_seed(1)
    probs = torch.nn.functional.interpolate(torch.rand(4, 1, 3, 3, generator=generator), 28, mode="bicubic")
    boxes = [[3.0, 5.0, 60.0, 90.0], [0.0, 0.0, 97.0, 101.0], [40.0, 20.0, 97.0, 61.0], [10.0, 7.0, 97.0, 90.0]]
    found = detections(boxes, probs[:, 0]).masks((101, 97), 0.5).bitmaps()
    theirs = paste_masks_in_image(probs, torch.tensor(boxes), (101, 97))[:, 0] >= 0.5
    for one, other in zip(found, theirs, strict=True):
        assert (one & other).sum() > 0.9 * (one | other).sum()


def test_a_box_may_reach_beyond_the_image_and_be_empty() -> None:
    boxes = [[-3.0, -2.0, 4.0, 3.0], [6.0, 4.0, 30.0, 40.0], [2.0, 2.0, 2.0, 5.0], [50.0, 1.0, 60.0, 2.0]]
    found = detections(boxes, torch.ones(4, 2, 2)).masks((7, 11), 0.42)
    assert found.boxes().tolist() == [[0, 0, 4, 3], [8, 4, 11, 7], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_nothing_found() -> None:
    none = detections([], torch.zeros(0, 28, 28))
    assert len(none) == 0
    assert len(none.masks((5, 7), 0.5)) == 0
    assert none.masks((5, 7), 0.5).size == (5, 7)


def test_boxes_alone_have_no_masks() -> None:
    with pytest.raises(ValueError, match="they have boxes alone; expected probabilities of masks"):
        detections([[0.0, 0.0, 1.0, 1.0]]).masks((5, 7), 0.5)
    assert detections([[0.0, 0.0, 1.0, 1.0]])[[0]].to("cpu").mask_probs is None

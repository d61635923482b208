import math

import pytest
import torch

from attnkit.structures.boxes import box_areas, decode_boxes, encode_boxes, flip_boxes, scale_boxes

ONES = (1.0, 1.0, 1.0, 1.0)
STDS = (0.1, 0.2, 0.3, 0.4)


def test_encoding_by_hand() -> None:
    """From a centre of (5, 10) and 10 x 20 to one of (7, 5) and 20 x 10."""
    anchors, boxes = torch.tensor([[0.0, 0, 10, 20]]), torch.tensor([[-3.0, 0, 17, 10]])
    expected = [2 / 10, -5 / 20, math.log(2), math.log(1 / 2)]
    assert encode_boxes(boxes, anchors, stds=ONES)[0].tolist() == pytest.approx(expected)
    scaled = [value / std for value, std in zip(expected, STDS, strict=True)]
    assert encode_boxes(boxes, anchors, stds=STDS)[0].tolist() == pytest.approx(scaled)


def test_decoding_leads_back() -> None:
    torch.manual_seed(1)
    anchors, boxes = (torch.rand(7, 4) * 50 + torch.tensor([0.0, 0, 60, 60]) for _ in range(2))
    torch.testing.assert_close(decode_boxes(encode_boxes(boxes, anchors, stds=STDS), anchors, stds=STDS), boxes)


def test_each_class_has_its_own_way() -> None:
    anchors = torch.tensor([[0.0, 0, 10, 20], [5, 5, 9, 8]])
    deltas = torch.zeros(2, 3, 4)
    deltas[1, 2, 0] = 0.5
    found = decode_boxes(deltas, anchors, stds=ONES)
    assert found.shape == (2, 3, 4)
    assert torch.equal(found[0], anchors[:1].expand(3, 4))
    assert found[1].tolist() == [[5, 5, 9, 8], [5, 5, 9, 8], [7, 5, 11, 8]]


def test_sides_grow_by_1000_sixteenths_at_most() -> None:
    """16 pixels become 1000, before any clipping."""
    found = decode_boxes(torch.tensor([[0.0, 0.0, 9.0, 90.0]]), torch.tensor([[0.0, 0, 16, 16]]), stds=ONES)
    torch.testing.assert_close(found, torch.tensor([[-492.0, -492, 508, 508]]))


def test_boxes_are_clipped_to_height_and_width() -> None:
    anchors = torch.tensor([[-5.0, -7, 100, 100]])
    assert decode_boxes(torch.zeros(1, 4), anchors, stds=ONES, image_size=(30, 40)).tolist() == [[0, 0, 40, 30]]
    by_class = decode_boxes(torch.zeros(1, 2, 4), anchors, stds=ONES, image_size=(30, 40))
    assert by_class.tolist() == [[[0, 0, 40, 30]] * 2]


def test_boxes_are_float32_whatever_the_offsets_are() -> None:
    anchors = torch.tensor([[0.0, 0, 1000, 1001]])
    found = decode_boxes(torch.zeros(1, 4, dtype=torch.bfloat16), anchors, stds=ONES)
    assert found.dtype == torch.float32
    assert torch.equal(found, anchors)


def test_no_boxes() -> None:
    none = torch.zeros(0, 4)
    assert encode_boxes(none, none, stds=ONES).shape == (0, 4)
    assert decode_boxes(torch.zeros(0, 3, 4), none, stds=ONES, image_size=(2, 3)).shape == (0, 3, 4)


def test_areas_mirrored_and_scaled() -> None:
    boxes = torch.tensor([[1.0, 2, 4, 7], [0, 0, 11, 1]])
    assert box_areas(boxes).tolist() == [15, 11]
    assert flip_boxes(boxes, 11).tolist() == [[7, 2, 10, 7], [0, 0, 11, 1]]
    assert scale_boxes(boxes, (2, 3)).tolist() == [[2, 6, 8, 21], [0, 0, 22, 3]]

"""Regions pooled from feature maps."""

import pytest
import torch
from torch import Tensor
from torchvision.ops import roi_align

from attnkit.models.rcnn.config import RoiAlignConfig
from attnkit.models.rcnn.roi_pooler import FeatureMaps, RoiFeatures, RoiPooler, align_regions
from tests.models.rcnn.nano import objects

REGIONS = torch.tensor(
    [
        [0, 3.0, 5.0, 21.0, 30.5],
        [1, -9.0, -7.0, 6.0, 4.0],  # beyond the upper left
        [1, 30.0, 20.0, 70.0, 60.0],  # beyond the lower right
        [0, 10.0, 10.0, 10.0, 10.0],  # of no size
        [1, 0.0, 0.0, 43.0, 35.0],  # nearly all of the map
        [0, 200.0, 200.0, 230.0, 240.0],  # wholly outside
    ]
)


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("sampling_ratio", [0, 1, 2, 3])
@pytest.mark.parametrize("size", [3, 7])
def test_equals_torchvision_forward_and_backward(size: int, sampling_ratio: int, aligned: bool) -> None:
    torch.manual_seed(1)
    maps = torch.randn(2, 5, 9, 11, requires_grad=True)
    found = align_regions(maps, REGIONS, size, scale=0.25, sampling_ratio=sampling_ratio, aligned=aligned)
    expected = roi_align(maps, REGIONS, size, 0.25, sampling_ratio, aligned)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    grad = torch.randn_like(expected)
    (own,) = torch.autograd.grad(found, maps, grad)
    (reference,) = torch.autograd.grad(expected, maps, grad)
    torch.testing.assert_close(own, reference, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 2, 1, 7), (1, 2, 7, 1)])
def test_a_map_of_one_row_or_column(shape: tuple[int, ...]) -> None:
    torch.manual_seed(2)
    maps = torch.randn(shape, requires_grad=True)
    regions = torch.tensor([[0, 1.0, 1.0, 20.0, 20.0], [0, 0.0, 0.0, 2.0, 2.0]])
    found = align_regions(maps, regions, 2, scale=0.25, sampling_ratio=0, aligned=True)
    expected = roi_align(maps, regions, 2, 0.25, 0, True)
    grad = torch.randn_like(expected)
    (own,) = torch.autograd.grad(found, maps, grad)
    (reference,) = torch.autograd.grad(expected, maps, grad)
    torch.testing.assert_close(own, reference, rtol=1e-5, atol=1e-5)


def test_no_regions() -> None:
    maps = torch.randn(1, 3, 5, 7, requires_grad=True)
    found = align_regions(maps, torch.zeros(0, 5), 7, scale=0.25, sampling_ratio=0, aligned=True)
    assert found.shape == (0, 3, 7, 7)
    (own,) = torch.autograd.grad(found.sum(), maps)
    assert own.shape == maps.shape
    assert not own.any()


STRIDES = (4, 8, 16, 32, 64)


def levels(*, batch: int = 2) -> list[Tensor]:
    torch.manual_seed(1)
    return [torch.randn(batch, 3, 512 // stride, 640 // stride) for stride in STRIDES]


def square(side: float) -> list[float]:
    return [0.0, 0.0, side, side]


def test_the_level_of_a_box() -> None:
    """From 112, 224 and 448 pixels on they are pooled from coarser ones; equal areas, equal levels."""
    sides = [1.0, 55.9, 56.0, 111.9, 112.0, 223.9, 224.0, 447.9, 448.0, 5000.0]
    pool = RoiFeatures(RoiAlignConfig(), strides=STRIDES)
    assert pool.level_of(torch.tensor([square(side) for side in sides])).tolist() == [0, 0, 0, 0, 1, 1, 2, 2, 3, 3]
    assert pool.level_of(torch.tensor([[0.0, 0.0, 448.0, 112.0], [7, 7, 7, 7]])).tolist() == [2, 0]


def test_finer_maps_are_for_smaller_boxes() -> None:
    """Where cells are half as large, so are the boxes of each level."""
    pool = RoiFeatures(RoiAlignConfig(), strides=(2, 4, 8, 16, 32))
    boxes = torch.tensor([square(side) for side in (55.9, 56.0, 112.0, 224.0)])
    assert pool.level_of(boxes).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("config", [RoiAlignConfig(), RoiAlignConfig(aligned=False, sampling_ratio=2)])
def test_each_box_is_read_off_its_level_of_its_image(config: RoiAlignConfig) -> None:
    maps = levels()
    first = torch.tensor([square(500.0), [10.0, 20, 60, 50], [5, 5, 300, 200]])
    second = torch.tensor([[100.0, 50, 250, 200], [1, 2, 8, 9]])
    found = RoiFeatures(config, strides=STRIDES)(maps, [first, second], 5)
    assert found.shape == (5, 3, 5, 5)
    boxes = [(0, first[0], 3), (0, first[1], 0), (0, first[2], 2), (1, second[0], 1), (1, second[1], 0)]
    for features, (image, box, level) in zip(found, boxes, strict=True):
        expected = roi_align(
            maps[level],
            torch.cat([torch.tensor([float(image)]), box])[None],
            5,
            spatial_scale=1 / STRIDES[level],
            sampling_ratio=config.sampling_ratio,
            aligned=config.aligned,
        )
        torch.testing.assert_close(features, expected[0])


def test_aligned_by_hand() -> None:
    """A map whose value is its column, read over cells 2 to 6: halves of 2 cells, whose middles are 2.5 and 4.5."""
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)
    box = torch.tensor([[8.0, 8.0, 24.0, 24.0]])
    found = RoiFeatures(RoiAlignConfig(), strides=[4])([ramp], [box], 2)
    assert found[0, 0].tolist() == [[2.5, 4.5]] * 2
    shifted = RoiFeatures(RoiAlignConfig(aligned=False), strides=[4])([ramp], [box], 2)
    assert shifted[0, 0].tolist() == [[3.0, 5.0]] * 2


def test_one_map_is_read_by_all() -> None:
    (_, semantic, *_) = levels()
    box = torch.tensor([square(500.0), square(20.0)])
    found = RoiFeatures(RoiAlignConfig(), strides=[8])([semantic], [box, box[:1]], 7)
    rois = torch.tensor([[0.0, *square(500.0)], [0.0, *square(20.0)], [1.0, *square(500.0)]])
    torch.testing.assert_close(found, roi_align(semantic, rois, 7, spatial_scale=1 / 8, aligned=True))


def test_no_boxes() -> None:
    none = torch.zeros(0, 4)
    pool = RoiFeatures(RoiAlignConfig(), strides=STRIDES)
    assert pool(levels(), [none, none], 7).shape == (0, 3, 7, 7)
    assert pool(levels(), [none, torch.tensor([square(30.0)])], 7).shape == (1, 3, 7, 7)


def test_gradients_reach_the_levels_that_were_read() -> None:
    maps = [level.requires_grad_() for level in levels()]
    pool = RoiFeatures(RoiAlignConfig(), strides=STRIDES)
    pool(maps, [torch.tensor([square(30.0), square(500.0)])] * 2, 7).sum().backward()
    assert [level.grad is not None and bool(level.grad.any()) for level in maps] == [True, False, False, True, False]


def test_in_float32_under_autocast() -> None:
    boxes = [torch.tensor([square(30.0), square(500.0)])] * 2
    pool = RoiFeatures(RoiAlignConfig(), strides=STRIDES)
    expected = pool(levels(), boxes, 7)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = pool([level.bfloat16() for level in levels()], boxes, 7)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=0.01, atol=0.02)


D = 3
PYRAMID_STRIDES = [4, 8, 16, 32, 64]


def pyramid_levels(dtype: torch.dtype = torch.float32) -> list[Tensor]:
    generator = torch.Generator().manual_seed(2)
    return [torch.randn(2, D, 64 // stride, 96 // stride, generator=generator).to(dtype) for stride in PYRAMID_STRIDES]


def boxes() -> list[Tensor]:
    return [of_image.boxes for of_image in objects()]


def test_maps_for_pooling_are_float32_and_in_one_piece() -> None:
    wide = [level.contiguous(memory_format=torch.channels_last) for level in pyramid_levels(torch.bfloat16)]
    maps = FeatureMaps.make(wide, None, wide[1])
    assert [level.dtype for level in maps.levels] == [torch.bfloat16] * 5
    assert len(maps.fine) == 4
    for found, level in zip([*maps.fine, maps.semantic], [*wide[:4], wide[1]], strict=True):
        assert found is not None
        assert found.dtype == torch.float32
        assert found.is_contiguous()
        assert torch.equal(found, level.float())


def test_the_semantic_map_is_added_as_masks_see_it_and_pooled_for_boxes() -> None:
    pooler = RoiPooler(RoiAlignConfig(), strides=PYRAMID_STRIDES)
    semantic = torch.randn(2, D, 8, 12, generator=torch.Generator().manual_seed(3))
    plain, told = FeatureMaps.make(pyramid_levels()), FeatureMaps.make(pyramid_levels(), semantic, semantic)
    aligned = roi_align(semantic, boxes(), 14, spatial_scale=1 / 8, sampling_ratio=-1, aligned=True)
    torch.testing.assert_close(pooler(told, boxes(), 14), pooler(plain, boxes(), 14) + aligned)
    means = aligned.unflatten(3, (7, 2)).unflatten(2, (7, 2)).mean(dim=(3, 5))
    torch.testing.assert_close(pooler(told, boxes(), 7), pooler(plain, boxes(), 7) + means)


def test_it_has_no_parameters() -> None:
    assert not RoiPooler(RoiAlignConfig(), strides=PYRAMID_STRIDES).state_dict()

import pytest
import torch
from torchvision.ops import roi_align

from attnkit.models.rcnn.roi_align import align_regions

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

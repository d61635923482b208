import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from attnkit.models.layers.conv_norm import ConvNorm, resize


def shaken(in_channels: int = 2, out_channels: int = 3, *, kernel_size: int = 3) -> ConvNorm:
    """A layer whose norm has statistics."""
    torch.manual_seed(1)
    layer = ConvNorm(in_channels, out_channels, kernel_size=kernel_size).eval()
    layer.norm.running_mean.normal_()
    layer.norm.running_var.uniform_(0.5, 2.0)
    torch.nn.init.normal_(layer.norm.weight)
    torch.nn.init.normal_(layer.norm.bias)
    return layer


def some(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2))


def test_the_parts_in_their_order() -> None:
    """A filter of ones sums neighbours, zeros beyond the edge: 4, 6, 4 of ones. Then (x - 1) / 2 * 3 - 6, and ReLU."""
    layer = ConvNorm(1, 1, kernel_size=3).eval()
    layer.conv.weight.data.fill_(1.0)
    layer.norm.running_mean.fill_(1.0)
    layer.norm.running_var.fill_(4.0)
    layer.norm.weight.data.fill_(3.0)
    layer.norm.bias.data.fill_(-6.0)
    assert layer.conv.bias is None
    torch.testing.assert_close(
        layer(torch.ones(1, 1, 2, 3)), torch.tensor([[[[0.0, 1.5, 0.0]] * 2]]), atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("kernel_size", [1, 3])
def test_a_map_keeps_its_size(kernel_size: int) -> None:
    assert shaken(kernel_size=kernel_size)(some(2, 2, 5, 7)).shape == (2, 3, 5, 7)


@torch.no_grad()
def test_coarser_maps_are_enlarged_and_stand_behind() -> None:
    layer = shaken(in_channels=7)
    fine, middle, coarse = some(2, 2, 5, 7), some(2, 4, 3, 4), some(2, 1, 1, 2)
    enlarged = [F.interpolate(x, size=(5, 7), mode="bilinear", align_corners=False) for x in (middle, coarse)]
    assert torch.equal(layer(fine, middle, coarse), layer(torch.cat([fine, *enlarged], dim=1)))


def test_one_value_per_channel_takes_the_running_statistics() -> None:
    """As that of pyramid pooling's single cell, where a batch is one image."""
    layer = shaken(kernel_size=1).train()
    expected = shaken(kernel_size=1)(some(1, 2, 1, 1))
    assert torch.equal(layer(some(1, 2, 1, 1)), expected)
    assert torch.equal(layer.norm.running_mean, shaken(kernel_size=1).norm.running_mean)
    layer(some(2, 2, 1, 1))
    assert not torch.equal(layer.norm.running_mean, shaken(kernel_size=1).norm.running_mean)


def test_cells_are_areas() -> None:
    """1 and 3 in twice as many cells: their middles lie a quarter beside the old ones."""
    x = torch.tensor([[[[1.0, 3.0]]]])
    assert resize(x, (1, 4)).flatten().tolist() == [1.0, 1.5, 2.5, 3.0]
    assert resize(x, (1, 2)) is x

import pytest
import torch
from torch import nn

from attnkit.models.resnet_v2 import Bottleneck, ResNetV2, StdConv2d


def conv_by_hand(stride: int) -> StdConv2d:
    """Its filter, -1 0 1 in every row, has mean 0 and variance 2/3."""
    conv = StdConv2d(1, 1, kernel_size=3, stride=stride)
    conv.weight.data = torch.tensor([-1.0, 0.0, 1.0]).expand(1, 1, 3, 3).clone()
    return conv


@pytest.mark.parametrize(
    ("width", "stride", "expected"),
    [
        (4, 1, [2.0 - 0, 4 - 1, 5 - 2, 0 - 4]),  # one zero on the left, one on the right
        (4, 2, [4.0 - 1, 0 - 4]),  # none on the left, one on the right
        (5, 2, [2.0 - 0, 5 - 2, 0 - 5]),  # one and one again
    ],
)
def test_same_padding_by_hand(width: int, stride: int, expected: list[float]) -> None:
    """Right neighbour less left neighbour, summed over three rows, of which the frame may be one."""
    row = torch.tensor([1.0, 2.0, 4.0, 5.0, 8.0])[:width]
    y = conv_by_hand(stride)(row.expand(1, 1, 3, width)) * (2 / 3) ** 0.5
    rows = [2.0, 3.0, 2.0] if stride == 1 else [2.0, 2.0]  # that are no frame
    torch.testing.assert_close(y[0, 0], torch.tensor(rows)[:, None] * torch.tensor(expected), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("width", "stride", "columns"), [(4, 1, 4), (4, 2, 2), (5, 2, 3), (7, 2, 4), (8, 2, 4)])
def test_the_map_has_as_many_columns_as_strides_begin_in_it(width: int, stride: int, columns: int) -> None:
    assert conv_by_hand(stride)(torch.randn(2, 1, 3, width)).shape[-1] == columns


def test_filters_are_standardised() -> None:
    """As the JAX code has it: 1e-5 is added to the deviation."""
    conv = StdConv2d(2, 5, kernel_size=1)
    conv.weight.data = torch.tensor([[3.0, 5.0], [-1.0, 7.0], [0.0, 1e-5], [2.0, -2.0], [9.0, 8.0]])[:, :, None, None]
    x = torch.randn(2, 2, 3, 7)
    difference = x[:, 1] - x[:, 0]  # of two numbers, one is a deviation below the mean, the other above
    shares = torch.tensor([1 / (1 + 1e-5), 4 / (4 + 1e-5), 1 / 3, -2 / (2 + 1e-5), -0.5 / (0.5 + 1e-5)])
    torch.testing.assert_close(conv(x), difference[:, None] * shares[:, None, None], rtol=1e-4, atol=1e-5)


def test_fresh_filters_are_lecun_normal() -> None:
    torch.manual_seed(1)
    weight = StdConv2d(32, 61, kernel_size=3).weight
    assert weight.std().item() == pytest.approx(288**-0.5, rel=0.05)
    assert weight.abs().max().item() <= 2.01 * 288**-0.5 / 0.8796


def test_a_fresh_block_passes_its_input_on() -> None:
    """The last norm begins with scale zero."""
    block = Bottleneck(32 * 4, 32, stride=1)
    x = torch.randn(2, 128, 3, 5)
    assert isinstance(block.projection, nn.Identity)
    assert torch.equal(block(x), x.relu())


def test_a_block_by_its_parts() -> None:
    torch.manual_seed(1)
    block = Bottleneck(32, 32, stride=2)
    for parameter in block.parameters():
        parameter.data.normal_()
    x = torch.randn(2, 32, 5, 7)
    inner = block.norm2(block.conv2(block.norm1(block.conv1(x)).relu())).relu()
    expected = (block.norm3(block.conv3(inner)) + block.projection[1](block.projection[0](x))).relu()
    assert expected.shape == (2, 128, 3, 4)
    torch.testing.assert_close(block(x), expected)


@pytest.mark.parametrize("depths", [(), (1,), (1, 2), (2, 1, 1)])
@pytest.mark.parametrize("image_size", [21, 32, 39])
@torch.no_grad()
def test_size_of_the_map(depths: tuple[int, ...], image_size: int) -> None:
    stem = ResNetV2(depths)
    cells = stem.map_size(image_size)
    assert stem(torch.randn(1, 3, image_size, image_size)).shape == (1, stem.out_channels, cells, cells)


def test_channels_and_strides() -> None:
    assert [ResNetV2(depths).out_channels for depths in [(), (1,), (1, 1), (1, 1, 1)]] == [64, 256, 512, 1024]
    with torch.device("meta"):
        stem = ResNetV2((3, 4, 9))
    assert stem.map_size(224) == 14
    assert [len(stage) for stage in stem.stages] == [3, 4, 9]
    strides = [stage[0].conv2.stride for stage in stem.stages]
    assert strides == [(1, 1), (2, 2), (2, 2)]
    assert all(block.conv2.stride == (1, 1) for stage in stem.stages for block in stage[1:])


def test_norms_are_of_32_groups() -> None:
    norms = [module for module in ResNetV2((1,)).modules() if isinstance(module, nn.GroupNorm)]
    assert len(norms) == 5
    assert {(norm.num_groups, norm.eps) for norm in norms} == {(32, 1e-6)}

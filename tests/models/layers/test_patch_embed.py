import torch
from torch import nn

from attnkit.models.layers.patch_embed import PatchEmbed


def test_each_patch_by_hand() -> None:
    """Two channels: the sum of the red pixels of a patch, and its upper left blue pixel plus 5."""
    layer = PatchEmbed(3, 2, patch_size=2)
    layer.proj.weight.data.zero_()
    layer.proj.weight.data[0, 0] = 1.0
    layer.proj.weight.data[1, 2, 0, 0] = 1.0
    layer.proj.bias.data = torch.tensor([0.0, 5.0])
    images = torch.zeros(1, 3, 4, 6)
    images[0, 0] = torch.arange(24.0).view(4, 6)
    images[0, 2] = 100 * torch.arange(24.0).view(4, 6)
    expected = [[14, 5], [22, 205], [30, 405], [62, 1205], [70, 1405], [78, 1605]]  # row by row
    torch.testing.assert_close(layer(images), torch.tensor([expected]).float())


def test_what_fills_no_patch_is_left_out() -> None:
    layer = PatchEmbed(3, 7, patch_size=3)
    images = torch.randn(2, 3, 8, 13)
    assert layer(images).shape == (2, 2 * 4, 7)
    torch.testing.assert_close(layer(images), layer(images[:, :, :6, :12]))


def test_patches_of_a_stem_s_map() -> None:
    stem = nn.AvgPool2d(2)
    layer = PatchEmbed(3, 5, patch_size=3, stem=stem)
    images = torch.randn(2, 3, 12, 18)
    expected = nn.functional.conv2d(stem(images), layer.proj.weight, layer.proj.bias, stride=3)
    torch.testing.assert_close(layer(images), expected.flatten(2).transpose(1, 2))

"""Patches and their positions."""

import math
import re
from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from attnkit.models.layers.patches import Interpolation, PatchEmbed, resize_positions, sincos_positions


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


every_interpolation = pytest.mark.parametrize("interpolation", get_args(Interpolation))


def table(*, rows: list[list[float]], special: list[float]) -> Tensor:
    """Positions of one channel."""
    return torch.tensor([*special, *(value for row in rows for value in row)])[None, :, None]


def grid(positions: Tensor, *, special_tokens: int, columns: int) -> list[list[float]]:
    return positions[0, special_tokens:, 0].view(-1, columns).tolist()


def test_google_keeps_the_corners_and_draws_straight_lines() -> None:
    old = table(rows=[[0.0, 2.0], [10.0, 16.0]], special=[77.0])
    new = resize_positions(old, grid_size=(3, 5), special_tokens=1, interpolation="google")
    assert grid(new, special_tokens=1, columns=5) == [
        [0.0, 0.5, 1.0, 1.5, 2.0],
        [5.0, 6.0, 7.0, 8.0, 9.0],
        [10.0, 11.5, 13.0, 14.5, 16.0],
    ]
    assert new[0, 0, 0] == 77


def cubic(x: float, a: float) -> float:
    """The kernel of bicubic interpolation (Keys 1981)."""
    x = abs(x)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0


def resample(line: list[float], size: int, *, corners: bool, a: float, normalised: bool) -> list[float]:
    """A line of numbers by the cubic kernel; beyond the ends the ends are repeated, or left out and made up for."""
    places = [
        index * (len(line) - 1) / (size - 1) if corners else (index + 0.5) * len(line) / size - 0.5
        for index in range(size)
    ]
    resampled = []
    for place in places:
        taps = range(math.floor(place) - 1, math.floor(place) + 3)
        if normalised:
            taps = range(max(taps.start, 0), min(taps.stop, len(line)))
        weights = [cubic(place - tap, a) for tap in taps]
        values = [line[min(max(tap, 0), len(line) - 1)] for tap in taps]
        total = sum(weight * value for weight, value in zip(weights, values, strict=True))
        resampled.append(total / sum(weights))
    return resampled


@pytest.mark.parametrize(
    ("interpolation", "corners", "a", "normalised"),
    [("deit", False, -0.75, False), ("torchvision", True, -0.75, False), ("timm", False, -0.5, True)],
)
def test_the_bicubic_kernels(interpolation: Interpolation, corners: bool, a: float, normalised: bool) -> None:
    """Rows, then columns, one number at a time. timm's smoothing has another kernel and other ends, also enlarging."""
    rows = [[3.0, -1.0, 4.0, 1.0], [5.0, 9.0, -2.0, 6.0], [5.0, 3.0, 5.0, 8.0], [-9.0, 7.0, 9.0, 3.0]]
    wide = [resample(row, 7, corners=corners, a=a, normalised=normalised) for row in rows]
    columns = [
        resample([row[place] for row in wide], 5, corners=corners, a=a, normalised=normalised) for place in range(7)
    ]
    expected = [[column[place] for column in columns] for place in range(5)]
    old = table(rows=rows, special=[])
    new = resize_positions(old, grid_size=(5, 7), special_tokens=0, interpolation=interpolation)
    torch.testing.assert_close(new[0, :, 0].view(5, 7), torch.tensor(expected), rtol=1e-5, atol=1e-5)


@every_interpolation
@pytest.mark.parametrize("special_tokens", [0, 1, 2])
def test_special_slots_stay_and_channels_do_not_mix(interpolation: Interpolation, special_tokens: int) -> None:
    old = torch.randn(1, special_tokens + 9, 5)
    new = resize_positions(old, grid_size=(4, 7), special_tokens=special_tokens, interpolation=interpolation)
    assert new.shape == (1, special_tokens + 28, 5)
    assert torch.equal(new[:, :special_tokens], old[:, :special_tokens])
    for channel in range(5):
        alone = old[:, :, channel : channel + 1]
        alone = resize_positions(alone, grid_size=(4, 7), special_tokens=special_tokens, interpolation=interpolation)
        torch.testing.assert_close(new[:, :, channel : channel + 1], alone)


@every_interpolation
def test_a_constant_stays_constant(interpolation: Interpolation) -> None:
    old = torch.full((1, 1 + 25, 3), 0.7)
    new = resize_positions(old, grid_size=(3, 11), special_tokens=1, interpolation=interpolation)
    torch.testing.assert_close(new, torch.full((1, 34, 3), 0.7))


@every_interpolation
def test_the_same_size_is_the_same_table(interpolation: Interpolation) -> None:
    old = torch.randn(1, 10, 3)
    assert resize_positions(old, grid_size=(3, 3), special_tokens=1, interpolation=interpolation) is old


def test_the_four_differ() -> None:
    old = torch.randn(1, 49, 3)
    new = [
        resize_positions(old, grid_size=(12, 12), special_tokens=0, interpolation=name)
        for name in get_args(Interpolation)
    ]
    for place, one in enumerate(new):
        for other in new[:place]:
            assert not torch.allclose(one, other, atol=1e-2)


def test_bfloat16_stays_bfloat16() -> None:
    old = torch.randn(1, 10, 3).bfloat16()
    new = resize_positions(old, grid_size=(5, 5), special_tokens=1, interpolation="timm")
    assert new.dtype == torch.bfloat16


@pytest.mark.parametrize(("rows", "special_tokens"), [(10, 0), (9, 1), (1, 1), (1, 2)])
def test_what_is_no_square(rows: int, special_tokens: int) -> None:
    message = f"positions: {rows} rows, {special_tokens} of them of special tokens; expected the others to be a square"
    with pytest.raises(ValueError, match=re.escape(message)):
        resize_positions(torch.zeros(1, rows, 3), grid_size=(2, 2), special_tokens=special_tokens, interpolation="deit")


def test_sincos_by_hand() -> None:
    """Eight channels: two frequencies, 1 and 1/10000; sine and cosine of the column, then of the row."""
    positions = sincos_positions(3, 8)
    assert positions.shape == (9, 8)
    for row in range(3):
        for column in range(3):
            expected = [
                f(place * frequency) for place in (column, row) for f in (math.sin, math.cos) for frequency in (1, 1e-4)
            ]
            torch.testing.assert_close(positions[3 * row + column], torch.tensor(expected))


def test_sincos_of_four_channels_has_one_frequency() -> None:
    torch.testing.assert_close(
        sincos_positions(2, 4)[1], torch.tensor([math.sin(1), math.cos(1), math.sin(0), math.cos(0)])
    )


def test_sincos_wants_four_equal_parts() -> None:
    with pytest.raises(ValueError, match=r"^sincos positions: 10 channels; expected a multiple of 4$"):
        sincos_positions(3, 10)

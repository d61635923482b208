import pytest
import torch
from torch import Tensor

from attnkit.models.layers import windows
from attnkit.models.layers.windows import (
    FORBIDDEN,
    classifier_shift,
    from_windows,
    padded_size,
    shift_mask,
    to_windows,
)

CPU = torch.device("cpu")


def numbered(height: int, width: int) -> Tensor:
    """A map whose tokens are numbered from 1, in one channel."""
    return torch.arange(1.0, height * width + 1).view(1, height, width, 1)


def rows(cut: Tensor) -> list[list[int]]:
    return cut[0, :, :, 0].int().tolist()


# by hand


def test_windows_row_by_row() -> None:
    """1 2 | 3 4
    5 6 | 7 8"""
    assert rows(to_windows(numbered(2, 4), 2, (0, 0))) == [[1, 2, 5, 6], [3, 4, 7, 8]]


def test_padding_is_on_the_right_and_at_the_bottom() -> None:
    """1 2 | 3 0
    4 5 | 6 0
    ----+----
    7 8 | 9 0
    0 0 | 0 0"""
    assert rows(to_windows(numbered(3, 3), 2, (0, 0))) == [[1, 2, 4, 5], [3, 0, 6, 0], [7, 8, 0, 0], [9, 0, 0, 0]]


def test_padding_comes_before_the_roll() -> None:
    """The padded map above, up and to the left by one:
    5 6 | 0 4
    8 9 | 0 7
    ----+----
    0 0 | 0 0
    2 3 | 0 1"""
    assert rows(to_windows(numbered(3, 3), 2, (1, 1))) == [[5, 6, 8, 9], [0, 4, 0, 7], [0, 0, 2, 3], [0, 0, 0, 1]]


def test_each_axis_has_its_own_shift() -> None:
    """1 2 | 3 4, padded below, to the left by one: 2 3 | 4 1."""
    assert rows(to_windows(numbered(1, 4), 2, (0, 1))) == [[2, 3, 0, 0], [4, 1, 0, 0]]


def test_mask_by_hand() -> None:
    """A 2 x 4 map in windows of 2, shifted by 1: the regions of the rolled map are
    a a | b c
    d d | e f
    so of window 1, rows of two tokens may see each other, and of window 2, nobody may see anybody else."""
    x = FORBIDDEN
    mask = shift_mask(2, 4, 2, (1, 1), CPU)
    assert mask.tolist() == [
        [[0, 0, x, x], [0, 0, x, x], [x, x, 0, 0], [x, x, 0, 0]],
        [[0, x, x, x], [x, 0, x, x], [x, x, 0, x], [x, x, x, 0]],
    ]


def test_mask_of_a_shift_along_one_axis() -> None:
    """a a | b c, twice: tokens above each other stay together."""
    x = FORBIDDEN
    mask = shift_mask(2, 4, 2, (0, 1), CPU)
    assert mask.tolist() == [[[0] * 4] * 4, [[0, x, 0, x], [x, 0, x, 0], [0, x, 0, x], [x, 0, x, 0]]]


def test_the_mask_is_that_of_the_padded_map() -> None:
    assert torch.equal(shift_mask(9, 13, 5, (2, 2), CPU), shift_mask(10, 15, 5, (2, 2), CPU))


@pytest.mark.parametrize(
    ("size", "shift"),
    [((7, 7), (0, 0)), ((3, 5), (0, 0)), ((7, 8), (0, 3)), ((8, 7), (3, 0)), ((8, 14), (3, 3)), ((7, 10), (0, 3))],
)
def test_one_window_along_an_axis_is_not_shifted(size: tuple[int, int], shift: tuple[int, int]) -> None:
    assert classifier_shift(*size, 7) == shift


# properties


@pytest.mark.parametrize("shift", [(0, 0), (1, 2), (2, 0)])
@pytest.mark.parametrize(("height", "width"), [(5, 10), (7, 11), (1, 2)])
def test_there_and_back(height: int, width: int, shift: tuple[int, int]) -> None:
    x = torch.randn(2, height, width, 3)
    cut = to_windows(x, 5, shift)
    padded = padded_size(height, width, 5)
    assert cut.shape == (2, padded[0] * padded[1] // 25, 25, 3)
    assert torch.equal(from_windows(cut, height, width, 5, shift), x)


@pytest.mark.parametrize(("height", "width"), [(6, 9), (7, 11), (3, 3)])
@pytest.mark.parametrize("shift", [(1, 1), (0, 1), (2, 1)])
def test_the_mask_parts_what_was_no_neighbour(height: int, width: int, shift: tuple[int, int]) -> None:
    """Two tokens of a window may see each other where their places differ as much as they do in the padded map."""
    sides = padded_size(height, width, 3)
    places = torch.stack(torch.meshgrid(*map(torch.arange, sides), indexing="ij"), dim=-1).float()
    original = to_windows(places.unsqueeze(0), 3, shift)[0]  # (n, N, 2)
    rolled = to_windows(places.unsqueeze(0), 3, (0, 0))[0]
    apart = [x[:, :, None] - x[:, None, :] for x in (original, rolled)]
    neighbours = (apart[0] == apart[1]).all(dim=-1)
    expected = torch.where(neighbours, 0.0, FORBIDDEN)
    assert torch.equal(shift_mask(height, width, 3, shift, CPU), expected)


def test_a_mask_made_while_predicting_serves_training() -> None:
    with torch.inference_mode():
        mask = shift_mask(22, 34, 2, (1, 1), CPU)
    assert not mask.is_inference()


def test_masks_of_many_sizes_do_not_pile_up() -> None:
    for side in range(2, 80):
        shift_mask(side, 3, 2, (1, 1), CPU)
    assert windows._kept_mask.cache_info().currsize <= 32

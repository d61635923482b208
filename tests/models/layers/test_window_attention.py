"""Windows, their relative position bias, and the attention inside them."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from attnkit.models.layers import window_attention
from attnkit.models.layers.window_attention import (
    FORBIDDEN,
    WindowAttention,
    WindowWeights,
    classifier_shift,
    from_windows,
    padded_size,
    read_bias,
    relative_position_index,
    resize_bias_table,
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
    assert window_attention._kept_mask.cache_info().currsize <= 32


def test_index_of_a_window_of_two() -> None:
    """Tokens a b / c d. Rows of the table, from (-1, -1) to (1, 1): 3 (row + 1) + column + 1.

    From a to a nothing, 4; from a to b one column less, 3; from a to c one row less, 1; from a to d both, 0.
    """
    assert relative_position_index(2).tolist() == [[4, 3, 1, 0], [5, 4, 2, 1], [7, 6, 4, 3], [8, 7, 5, 4]]


def test_index_of_a_window_of_three() -> None:
    """The first token sees itself at the middle of 25, its right neighbour one before, the one below five before."""
    index = relative_position_index(3)
    assert index[0].tolist() == [12, 11, 10, 7, 6, 5, 2, 1, 0]
    assert index[8].tolist() == [24, 23, 22, 19, 18, 17, 14, 13, 12]
    assert index[4].tolist() == [18, 17, 16, 13, 12, 11, 8, 7, 6]


def test_reads_a_bias_for_every_head() -> None:
    table = torch.stack([torch.arange(9.0), 10 * torch.arange(9.0), torch.zeros(9)], dim=1)
    bias = read_bias(table, 2)
    assert bias[0].tolist() == [[4, 3, 1, 0], [5, 4, 2, 1], [7, 6, 4, 3], [8, 7, 5, 4]]
    assert torch.equal(bias[1], 10 * bias[0])
    assert not bias[2].any()


def test_an_index_made_while_predicting_serves_training() -> None:
    window_attention._kept_index.cache_clear()
    with torch.inference_mode():
        relative_position_index(3)
    table = torch.zeros(25, 2, requires_grad=True)
    read_bias(table, 3).sum().backward()
    assert table.grad[:, 0].tolist() == [1, 2, 3, 2, 1, 2, 4, 6, 4, 2, 3, 6, 9, 6, 3, 2, 4, 6, 4, 2, 1, 2, 3, 2, 1]


def test_a_table_is_resized_about_its_middle() -> None:
    """A constant stays one; a slope stays one, is as symmetric as before, and every head keeps its own."""
    down = torch.linspace(-3, 3, 7).repeat_interleave(7)
    across = torch.linspace(-3, 3, 7).repeat(7)
    table = torch.stack([torch.full((49,), 2.5), down, across], dim=1)
    resized = resize_bias_table(table, 6).t().view(3, 11, 11)
    torch.testing.assert_close(resized[0], torch.full((11, 11), 2.5))
    torch.testing.assert_close(resized[1], resized[2].t())
    torch.testing.assert_close(resized[1], -resized[1].flip(0))
    assert (resized[1].diff(dim=0) > 0).all()
    torch.testing.assert_close(resized[1], resized[1][:, :1].expand(11, 11))


def test_the_same_window_keeps_its_table() -> None:
    table = torch.randn(25, 2)
    assert resize_bias_table(table, 3) is table


@pytest.mark.parametrize("rows", [24, 36])
def test_rows_that_make_no_table(rows: int) -> None:
    with pytest.raises(ValueError, match=rf"^bias table: {rows} rows; expected \(2M - 1\)\^2 of them"):
        resize_bias_table(torch.zeros(rows, 2), 7)


C, HEADS, M = 6, 3, 2
SIZES = [(2, 2), (4, 6), (5, 7), (1, 3)]
SHIFTS = [(0, 0), (1, 1), (0, 1)]


def layer_with(seed: int = 1, **options: float) -> WindowAttention:
    """One none of whose weights has the value that it is born with."""
    torch.manual_seed(seed)
    layer = WindowAttention(C, HEADS, M, **options)
    for parameter in layer.parameters():
        parameter.data += torch.randn(parameter.shape)
    return layer.eval()


def captured(
    x: Tensor, shift: tuple[int, int] = (0, 0), *, layer: WindowAttention | None = None
) -> tuple[Tensor, WindowWeights]:
    weights: list[WindowWeights] = []
    out = (layer or layer_with())(x, shift, capture=weights)
    return out, weights[0]


def token_by_token(layer: WindowAttention, x: Tensor, shift: tuple[int, int]) -> Tensor:
    """The definition: a token attends to those of the padded map that are in its window and were before the roll."""
    _, height, width, _ = x.shape
    sides = padded_size(height, width, M)
    padded = F.pad(x, (0, 0, 0, sides[1] - width, 0, sides[0] - height))
    q, k, v = layer.qkv(padded).chunk(3, dim=-1)
    out = torch.zeros_like(x)

    def block(place: int, side: int, by: int) -> tuple[int, bool]:
        """The number of the window along an axis, and whether the token went round."""
        return (place - by) % side // M, place < by

    for row in range(height):
        for column in range(width):
            own = block(row, sides[0], shift[0]), block(column, sides[1], shift[1])
            keys = [
                (r, c)
                for r in range(sides[0])
                for c in range(sides[1])
                if (block(r, sides[0], shift[0]), block(c, sides[1], shift[1])) == own
            ]
            rows, columns = torch.tensor(keys).t()
            offsets = (row - rows + M - 1) * (2 * M - 1) + column - columns + M - 1
            for head in range(HEADS):
                part = slice(head * C // HEADS, (head + 1) * C // HEADS)
                scores = k[:, rows, columns, part] @ q[:, row, column, part, None]  # (B, keys, 1)
                scores = scores[..., 0] * (C // HEADS) ** -0.5 + layer.bias_table[offsets, head]
                out[:, row, column, part] = (scores.softmax(-1)[:, None] @ v[:, rows, columns, part])[:, 0]
    return layer.out(out)


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("size", SIZES)
@torch.no_grad()
def test_equals_its_definition(size: tuple[int, int], shift: tuple[int, int]) -> None:
    layer = layer_with()
    x = torch.randn(2, *size, C)
    torch.testing.assert_close(layer(x, shift), token_by_token(layer, x, shift), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("size", SIZES)
def test_gradients_equal_those_of_its_definition(size: tuple[int, int], shift: tuple[int, int]) -> None:
    layer = layer_with().double()
    x = torch.randn(2, *size, C, dtype=torch.float64, requires_grad=True)
    grad = torch.randn_like(x)
    wanted = [x, *layer.parameters()]
    found = torch.autograd.grad(layer(x, shift), wanted, grad)
    expected = torch.autograd.grad(token_by_token(layer, x, shift), wanted, grad)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_a_gradient_has_a_gradient() -> None:
    layer = layer_with().double()
    x = torch.randn(1, 2, 4, C, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: layer(x, (0, 1)), x)


def test_what_the_shift_brought_together_gets_no_weight() -> None:
    """Of a 2 x 4 map by one column: the second window holds the last column and the first."""
    weights = captured(torch.randn(1, 2, 4, C), (0, 1))[1].weights
    apart = torch.tensor([[False, True, False, True], [True, False, True, False]]).repeat(2, 1)
    assert not weights[0, 1, :, apart].any()
    assert (weights[0, 1, :, ~apart] > 0).all()


def test_bias_by_hand() -> None:
    """One head, no scores but those of the table: a token gives its right neighbour ln 3, all others 0."""
    layer = WindowAttention(1, 1, 2)
    for parameter in layer.parameters():
        parameter.data.zero_()
    layer.qkv.weight.data[2] = 1.0
    layer.out.weight.data[:] = 1.0
    layer.bias_table.data[3] = math.log(3)  # the same row, one column less than the key
    x = torch.tensor([[[[6.0], [12.0]], [[0.0], [18.0]]]])
    out, seen = captured(x, layer=layer)
    left, right = [1 / 6, 3 / 6, 1 / 6, 1 / 6], [1 / 4, 1 / 4, 1 / 4, 1 / 4]
    below = [1 / 6, 1 / 6, 1 / 6, 3 / 6]
    torch.testing.assert_close(seen.weights, torch.tensor([left, right, below, right]).view(1, 1, 1, 4, 4))
    torch.testing.assert_close(out, torch.tensor([[[[10.0], [9.0]], [[12.0], [9.0]]]]))


@pytest.mark.parametrize("shift", SHIFTS)
@torch.no_grad()
def test_weights(shift: tuple[int, int]) -> None:
    layer = layer_with()
    x = torch.randn(2, 5, 7, C)
    out, seen = captured(x, shift, layer=layer)
    assert torch.equal(out, layer(x, shift))
    assert (seen.size, seen.window, seen.shift) == ((5, 7), M, shift)
    assert seen.weights.shape == (2, 12, HEADS, M * M, M * M)
    torch.testing.assert_close(seen.weights.sum(-1), torch.ones(2, 12, HEADS, M * M))


def test_dropout_falls_on_the_weights() -> None:
    layer = layer_with(dropout=0.5).train()
    x = torch.randn(2, 4, 4, C)
    torch.manual_seed(1)
    first = layer(x)
    assert not torch.allclose(first, layer(x))
    layer.eval()
    assert torch.equal(layer(x), layer(x))


def test_heads_must_share_the_channels() -> None:
    with pytest.raises(ValueError, match=r"^attention: 7 channels do not divide into 3 heads$"):
        WindowAttention(7, 3, 2)

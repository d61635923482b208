import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from attnkit.models.layers.window_attention import WindowAttention
from attnkit.models.layers.windows import padded_size

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
    _, weights = layer_with().forward_with_weights(torch.randn(1, 2, 4, C), (0, 1))
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
    out, weights = layer.forward_with_weights(x)
    left, right = [1 / 6, 3 / 6, 1 / 6, 1 / 6], [1 / 4, 1 / 4, 1 / 4, 1 / 4]
    below = [1 / 6, 1 / 6, 1 / 6, 3 / 6]
    torch.testing.assert_close(weights, torch.tensor([left, right, below, right]).view(1, 1, 1, 4, 4))
    torch.testing.assert_close(out, torch.tensor([[[[10.0], [9.0]], [[12.0], [9.0]]]]))


@pytest.mark.parametrize("shift", SHIFTS)
@torch.no_grad()
def test_weights(shift: tuple[int, int]) -> None:
    layer = layer_with()
    x = torch.randn(2, 5, 7, C)
    out, weights = layer.forward_with_weights(x, shift)
    torch.testing.assert_close(out, layer(x, shift))
    assert weights.shape == (2, 12, HEADS, M * M, M * M)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 12, HEADS, M * M))


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

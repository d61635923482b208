"""The feed-forward network, and the one in which neighbours meet."""

import math

import pytest
import torch
from torch.nn import functional as F

from attnkit.models.layers.mlp import ConvMlp, Mlp


def mlp_by_hand(activation: str) -> Mlp:
    """Two channels, three inner ones: x0 + 1, -x1 and x0 - x1; out: their sum, and twice the third plus 5."""
    layer = Mlp(2, 3, activation=activation)
    layer.up.weight.data = torch.tensor([[1.0, 0.0], [0.0, -1.0], [1.0, -1.0]])
    layer.up.bias.data = torch.tensor([1.0, 0.0, 0.0])
    layer.down.weight.data = torch.tensor([[1.0, 1.0, 1.0], [0.0, 0.0, 2.0]])
    layer.down.bias.data = torch.tensor([0.0, 5.0])
    return layer


def test_relu() -> None:
    """Of (2, 3): inner 3, -3, -1, so 3 is left; of (-4, -2): inner -3, 2, -2, so 2 is left."""
    x = torch.tensor([[[2.0, 3.0], [-4.0, -2.0], [1.0, 0.0]]])
    expected = torch.tensor([[[3.0, 5.0], [2.0, 5.0], [3.0, 7.0]]])
    torch.testing.assert_close(mlp_by_hand("relu")(x), expected)


def test_gelu() -> None:
    """x times the share of a normal distribution below x (Hendrycks and Gimpel 2016)."""

    def gelu(x: float) -> float:
        return x * 0.5 * (1 + math.erf(x / math.sqrt(2)))

    x = torch.tensor([[[2.0, 3.0], [1.0, 0.5]]])
    expected = torch.tensor(
        [
            [[gelu(3) + gelu(-3) + gelu(-1), 2 * gelu(-1) + 5], [gelu(2) + gelu(-0.5) + gelu(0.5), 2 * gelu(0.5) + 5]],
        ]
    )
    torch.testing.assert_close(mlp_by_hand("gelu")(x), expected)


@pytest.mark.parametrize("activation", ["relu", "gelu", "gelu_tanh"])
def test_the_same_at_every_position(activation: str) -> None:
    layer = Mlp(5, 11, activation=activation)
    x = torch.randn(2, 3, 5)
    whole = layer(x)
    assert whole.shape == (2, 3, 5)
    for place in range(3):
        torch.testing.assert_close(layer(x[:, place : place + 1]), whole[:, place : place + 1])


def test_dropout_stands_behind_the_activation() -> None:
    """Half of the inner ones, which are all 1, are dropped and the others doubled; the bias is never dropped."""
    layer = Mlp(1, 1, dropout=0.5)
    for linear, bias in ((layer.up, 1.0), (layer.down, 10.0)):
        linear.weight.data.fill_(1.0 if linear is layer.down else 0.0)
        linear.bias.data.fill_(bias)
    seen = layer(torch.zeros(7, 11, 1))
    assert set(seen.unique().tolist()) == {10.0, 12.0}
    assert set(layer.eval()(torch.zeros(7, 11, 1)).unique().tolist()) == {11.0}


def test_gelu_by_tanh() -> None:
    """The approximation that JAX takes, which is off by up to 5e-4."""

    def gelu(x: float) -> float:
        return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))

    expected = torch.tensor([[[gelu(3) + gelu(-3) + gelu(-1), 2 * gelu(-1) + 5]]])
    actual = mlp_by_hand("gelu_tanh")(torch.tensor([[[2.0, 3.0]]]))
    torch.testing.assert_close(actual, expected)
    assert not torch.allclose(actual, mlp_by_hand("gelu")(torch.tensor([[[2.0, 3.0]]])), rtol=0, atol=1e-4)


def build() -> ConvMlp:
    torch.manual_seed(1)
    return ConvMlp(3, 7)


def test_it_is_an_mlp_where_the_convolution_is_zero() -> None:
    layer, plain = build(), Mlp(3, 7, activation="gelu")
    torch.nn.init.zeros_(layer.conv.weight)
    torch.nn.init.zeros_(layer.conv.bias)
    plain.load_state_dict({name: tensor for name, tensor in layer.state_dict().items() if "conv" not in name})
    x = torch.randn(2, 4, 5, 3)
    torch.testing.assert_close(layer(x), plain(x))


def test_neighbours_by_hand() -> None:
    """Each inner channel for itself: nine products around every token, zeros around the map."""
    layer, x = build().double(), torch.randn(2, 4, 5, 3, dtype=torch.float64)
    inner = x @ layer.up.weight.t() + layer.up.bias
    padded = torch.zeros(2, 6, 7, 7, dtype=torch.float64)
    padded[:, 1:5, 1:6] = inner
    near = layer.conv.bias.expand(2, 4, 5, 7).clone()
    for row in range(3):
        for column in range(3):
            near += padded[:, row : row + 4, column : column + 5] * layer.conv.weight[:, 0, row, column]
    expected = F.gelu(inner + near) @ layer.down.weight.t() + layer.down.bias
    torch.testing.assert_close(layer(x), expected)


def test_inner_values_are_dropped_in_training_only() -> None:
    torch.manual_seed(1)
    layer, x = ConvMlp(3, 7, dropout=0.5), torch.randn(1, 4, 5, 3)
    assert not torch.equal(layer(x), layer(x))
    assert torch.equal(layer.eval()(x), layer(x))

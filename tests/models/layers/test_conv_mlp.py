import torch
from torch.nn import functional as F

from attnkit.models.layers.conv_mlp import ConvMlp
from attnkit.models.layers.mlp import Mlp


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

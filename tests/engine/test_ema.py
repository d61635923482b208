import pytest
import torch
from torch import nn

from attnkit.engine.ema import Ema


@pytest.fixture
def model():
    model = nn.Linear(2, 1)
    fill(model, 1.0)
    return model


@torch.no_grad()
def fill(model, value):
    for p in model.parameters():
        p.fill_(value)


def test_by_hand(model):
    ema = Ema(model, decay=0.5)
    fill(model, 4.0)
    ema.update(model, step=1)  # a young average takes more: its decay is (1 + 1) / (10 + 1)
    expected = 2 / 11 * 1.0 + 9 / 11 * 4.0
    torch.testing.assert_close(ema.weights["weight"], torch.full((1, 2), expected))
    fill(model, -1.0)
    ema.update(model, step=100)
    torch.testing.assert_close(ema.weights["bias"], torch.full((1,), 0.5 * expected - 0.5))
    assert model.bias.item() == -1.0


def test_applied_inside_and_own_weights_behind(model):
    ema = Ema(model, decay=0.9)
    fill(model, 7.0)
    with ema.applied(model):
        assert model.weight.tolist() == [[1.0, 1.0]]
    assert model.weight.tolist() == [[7.0, 7.0]]
    with pytest.raises(RuntimeError, match="inside"), ema.applied(model):
        raise RuntimeError("inside")
    assert model.bias.tolist() == [7.0]
    assert ema.weights["bias"].tolist() == [1.0]


def test_statistics_of_a_batch_norm_are_averaged_too():
    norm = nn.BatchNorm1d(3)
    ema = Ema(norm, decay=0.5)
    norm(torch.full((4, 3), 5.0))  # the mean goes from 0 to 0.5
    ema.update(norm, step=100)
    assert set(ema.weights) == {"weight", "bias", "running_mean", "running_var"}
    torch.testing.assert_close(ema.weights["running_mean"], torch.full((3,), 0.25))
    with ema.applied(norm):
        assert norm.running_mean.tolist() == [0.25] * 3
        assert norm.num_batches_tracked.item() == 1
    assert norm.running_mean.tolist() == [0.5] * 3

"""The fast layer norm is torch's: outputs and gradients, in every dtype and of every width."""

import pytest
import torch
from torch import nn

from attnkit.models.kernels.layer_norm import LayerNorm


def outputs_and_gradients(norm, x, weights):
    """What comes out, and the gradients by input and parameters of a weighted sum of it."""
    x = x.clone().requires_grad_()
    out = norm(x)
    (out.float() * weights).sum().backward()
    return [out.detach(), x.grad, *(p.grad for p in norm.parameters())]


def pair(width):
    """Ours, and torch's with the same weights."""
    ours, theirs = LayerNorm(width), nn.LayerNorm(width)
    nn.init.normal_(ours.weight)
    nn.init.normal_(ours.bias)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


@pytest.mark.parametrize(
    ("width", "dtype"),
    [(5, torch.float32), (48, torch.float32), (64, torch.float32), (64, torch.bfloat16), (48, torch.float64)],
)
def test_equals_torch(width, dtype):
    torch.manual_seed(3)
    ours, theirs = pair(width)
    if dtype == torch.float64:
        ours, theirs = ours.double(), theirs.double()
    x, weights = torch.randn(2, 3, 7, width, dtype=dtype), torch.randn(2, 3, 7, width)
    found, expected = outputs_and_gradients(ours, x, weights), outputs_and_gradients(theirs, x, weights)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)


@pytest.mark.parametrize("autocast", [False, True])
def test_bfloat16_is_normed_in_float32_where_torch_is_slow(autocast):
    torch.manual_seed(4)
    ours, theirs = pair(48)
    x, weights = torch.randn(9, 48).bfloat16(), torch.randn(9, 48).bfloat16().float()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        found = outputs_and_gradients(ours, x, weights)
    expected = outputs_and_gradients(theirs, x.float(), weights)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other.to(one.dtype))


def test_weights_in_bfloat16_are_left_to_torch():
    ours, theirs = (norm.bfloat16() for norm in pair(48))
    x = torch.randn(9, 48).bfloat16()
    assert torch.equal(ours(x), theirs(x))

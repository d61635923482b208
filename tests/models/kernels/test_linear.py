"""The fast linear layer is torch's linear layer: outputs and gradients, in every dtype and shape."""

import copy

import pytest
import torch
from torch import nn

from attnkit.models.kernels import linear
from attnkit.models.kernels.linear import Linear


def pair(inputs, outputs, *, bias=True):
    """Ours, and torch's with the same weights."""
    torch.manual_seed(2)
    ours = Linear(inputs, outputs, bias=bias)
    theirs = nn.Linear(inputs, outputs, bias=bias)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def outputs_and_gradients(layer, x, weights, *, bfloat16=False):
    """What comes out, and the gradients by input and parameters of a weighted sum of it."""
    x = x.clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
        out = layer(x)
    (out.float() * weights).sum().backward()
    return [out.detach(), x.grad, *(p.grad for p in layer.parameters())]


SHAPES = [(5, 17, 3, 7), (3, 70, 131, 257), (2, 33, 257, 131), (1, 64, 5, 300), (1, 63, 11, 13), (0, 3, 11, 13)]
MANY_ROWS = [(3, 200, 131, 257), (2, 2060, 9, 30), (2, 2060, 30, 9), (1, 4097, 257, 259)]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("batch", "tokens", "inputs", "outputs"), SHAPES)
@pytest.mark.parametrize("bfloat16", [False, True])
def test_equals_torch(batch, tokens, inputs, outputs, bias, bfloat16):
    ours, theirs = pair(inputs, outputs, bias=bias)
    check(ours, theirs, torch.randn(batch, tokens, inputs), torch.randn(batch, tokens, outputs), bfloat16=bfloat16)


@pytest.mark.parametrize(("batch", "tokens", "inputs", "outputs"), MANY_ROWS)
@pytest.mark.parametrize("bfloat16", [False, True])
def test_many_rows_equal_torch(batch, tokens, inputs, outputs, bfloat16):
    """Gradients of weights are multiplied in other ways; they are sums of many rows, each of which weighs less."""
    ours, theirs = pair(inputs, outputs)
    weights = torch.randn(batch, tokens, outputs) / 32
    check(ours, theirs, torch.randn(batch, tokens, inputs), weights, bfloat16=bfloat16)


def check(ours, theirs, x, weights, *, bfloat16):
    """Outputs and gradients are the same to rounding."""
    found = outputs_and_gradients(ours, x, weights, bfloat16=bfloat16)
    expected = outputs_and_gradients(theirs, x, weights, bfloat16=bfloat16)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        if bfloat16:  # two ways to round the same sums
            scale = other.float().abs().max().item() if other.numel() else 1.0
            torch.testing.assert_close(one.float(), other.float(), rtol=0.02, atol=0.02 * scale)
        else:
            torch.testing.assert_close(one, other, rtol=1e-5, atol=2e-5)


@pytest.mark.skipif(not linear._HAS_ONEDNN, reason="this torch comes without oneDNN's operator")
def test_it_is_taken_where_it_pays(monkeypatch):
    calls = []
    multiply = linear._multiply
    monkeypatch.setattr(linear, "_multiply", lambda *operands: calls.append(1) or multiply(*operands))
    ours, _ = pair(130, 140)
    ours(torch.randn(64, 130, requires_grad=True)).sum().backward()
    assert len(calls) == 3, "the product, and both gradients"
    calls.clear()
    ours(torch.randn(63, 130))
    Linear(130, 140, dtype=torch.float64)(torch.randn(64, 130, dtype=torch.float64))
    Linear(130, 140, device="meta")(torch.randn(64, 130, device="meta"))
    assert not calls


@pytest.mark.skipif(not linear._HAS_BFLOAT16, reason="this processor does not multiply bfloat16")
@pytest.mark.parametrize(("threads", "expected"), [(1, 256.0), (2, 257.0), (3, 257.0)])
def test_threads_share_rows(threads, expected, monkeypatch):
    """A gradient of 256 + 1, which bfloat16 has no number for: one thread has 2,048 eighths, the other the one."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    ours = Linear(3, 2)
    x, grad = torch.zeros(4099, 3).bfloat16(), torch.ones(4099, 2).bfloat16()
    x[:2048] = 0.125
    x[2050] = 1.0
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours(x).backward(grad)
    assert (ours.weight.grad == expected).all()


@pytest.mark.skipif(not linear._HAS_ONEDNN, reason="this torch comes without oneDNN's operator")
def test_a_second_gradient_is_refused():
    x = torch.randn(70, 9, requires_grad=True)
    loss = Linear(9, 12)(x).square().sum()
    with pytest.raises(RuntimeError, match="its gradient has no gradient on a CPU"):
        torch.autograd.grad(loss, x, create_graph=True)


def test_an_input_that_needs_no_gradient():
    ours, theirs = pair(6, 9)
    x = torch.randn(80, 6)
    for layer in (ours, theirs):
        layer(x).square().sum().backward()
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad)
    torch.testing.assert_close(ours.bias.grad, theirs.bias.grad)


def test_frozen_weights_get_none():
    ours, theirs = pair(6, 9)
    ours.requires_grad_(False)
    x = torch.randn(80, 6, requires_grad=True)
    ours(x).sum().backward()
    torch.testing.assert_close(x.grad, theirs.weight.sum(0).expand(80, 6))
    assert ours.weight.grad is None
    assert ours.bias.grad is None


def test_an_input_that_is_a_view():
    ours, theirs = pair(7, 5)
    x = torch.randn(7, 90).t()
    torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(ours(x.expand(2, 90, 7)), theirs(x.expand(2, 90, 7)))


def test_it_is_saved_and_copied_like_any_other():
    ours, theirs = pair(3, 5)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    x = torch.randn(99, 3)
    assert torch.equal(copy.deepcopy(ours)(x), ours(x))

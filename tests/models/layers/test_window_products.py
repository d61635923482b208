import pytest
import torch
from torch import Tensor

from attnkit.models.layers.window_products import attend

HEADS = 3


def written_out(projected: Tensor, bias: Tensor) -> Tensor:
    """Head by head, as the definition reads."""
    q, k, v = projected.chunk(3, dim=-1)
    d = q.shape[-1] // HEADS
    heads = []
    for head in range(HEADS):
        part = slice(head * d, (head + 1) * d)
        scores = q[..., part] @ k[..., part].transpose(-2, -1) / d**0.5 + bias[:, head]
        heads.append(scores.softmax(-1) @ v[..., part])
    return torch.cat(heads, dim=-1)


def inputs(tokens: int, *, windows_of_bias: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Values that bfloat16 has, so that they are the same in every dtype."""
    generator = torch.Generator().manual_seed(1)
    projected = torch.randn(2, 4, tokens, 3 * HEADS * 5, generator=generator).bfloat16().to(dtype)
    bias = torch.randn(windows_of_bias, HEADS, tokens, tokens, generator=generator, dtype=torch.float64)
    return projected.requires_grad_(), bias.to(torch.promote_types(dtype, torch.float32)).requires_grad_()


@pytest.mark.parametrize("windows_of_bias", [1, 4], ids=["one bias", "a bias for each window"])
@pytest.mark.parametrize("tokens", [4, 36], ids=["few tokens", "many tokens"])
def test_outputs_and_gradients_equal_those_written_out(tokens: int, windows_of_bias: int) -> None:
    of_outputs, results = torch.randn(2, 4, tokens, HEADS * 5, dtype=torch.float64), []
    for function in (lambda *of: attend(*of, HEADS), written_out):
        projected, bias = inputs(tokens, windows_of_bias=windows_of_bias)
        found = function(projected, bias)
        found.backward(of_outputs)
        results.append((found.detach(), projected.grad, bias.grad))
    torch.testing.assert_close(results[0], results[1], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("tokens", [4, 36], ids=["few tokens", "many tokens"])
def test_bfloat16_is_close(tokens: int) -> None:
    """Eight bits of mantissa, here and there in the sums."""
    of_outputs, results = torch.randn(2, 4, tokens, HEADS * 5).bfloat16(), []
    for dtype in (torch.bfloat16, torch.float64):
        projected, bias = inputs(tokens, windows_of_bias=4, dtype=dtype)
        found = attend(projected, bias, HEADS)
        assert found.dtype == dtype
        found.backward(of_outputs.to(dtype))
        assert projected.grad is not None
        assert bias.grad is not None
        results.append((found.detach().double(), projected.grad.double(), bias.grad.double()))
    for found, expected in zip(*results, strict=True):
        assert (found - expected).norm() < 0.02 * expected.norm()


def test_without_gradients() -> None:
    projected, bias = inputs(4, windows_of_bias=4)
    with torch.inference_mode():
        torch.testing.assert_close(attend(projected, bias, HEADS), written_out(projected, bias), rtol=1e-6, atol=1e-7)

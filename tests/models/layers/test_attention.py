import math
from collections.abc import Callable
from typing import Any

import jaxtyping
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from attnkit.models.layers import attention
from attnkit.models.layers.attention import MultiHeadAttention, attend
from attnkit.models.layers.dropout import Dropout

B, H, Q, D = 2, 3, 5, 7
LENGTHS = [1, 13, 128, 129, 131]
"""Keys: below, at and above the number where `attend` changes its way."""


def captured(forward: Callable[..., Tensor], *args: Any, **options: Any) -> tuple[Tensor, list[Any]]:
    """What comes out, and the attention weights that were captured."""
    weights: list[Any] = []
    return forward(*args, **options, capture=weights), weights


def rows(*values: list[float]) -> Tensor:
    """One batch, one head."""
    return torch.tensor([[values]])


def tensors(keys: int, *, seed: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(B, H, tokens, D, generator=generator) for tokens in (Q, keys, keys))


def masks(keys: int) -> dict[str, Tensor | None]:
    """Additive ones, of every shape that callers use; the first key is always allowed."""
    generator = torch.Generator().manual_seed(2)

    def some(*shape: int) -> Tensor:
        forbidden = torch.rand(shape, generator=generator) < 0.4
        forbidden[..., 0] = False
        return torch.zeros(shape).masked_fill(forbidden, -math.inf)

    return {
        "none": None,
        "padding": some(B, 1, 1, keys),
        "causal": some(1, 1, Q, keys),
        "hypotheses": some(B, 1, Q, keys),
        "full": some(B, H, Q, keys),
    }


# by hand


def test_three_quarters_and_a_quarter() -> None:
    """Scores ln 3 and 0 (d = 4 halves the products), so weights 3/4 and 1/4."""
    q = rows([2 * math.log(3), 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0])
    k = rows([1.0, 5.0, 0.0, 0.0], [0.0, 0.0, 7.0, 0.0])
    v = rows([4.0, 8.0, 0.0, -4.0], [0.0, 4.0, 4.0, 4.0])
    heads, (weights,) = captured(attend, q, k, v)
    torch.testing.assert_close(weights, rows([0.75, 0.25], [0.5, 0.5]))
    torch.testing.assert_close(heads, rows([3.0, 7.0, 1.0, -2.0], [2.0, 6.0, 2.0, 0.0]))
    torch.testing.assert_close(attend(q, k, v), heads)


def test_a_forbidden_key_has_no_weight() -> None:
    q = rows([2 * math.log(3), 0.0, 0.0, 0.0])
    k = rows([1.0, 0.0, 0.0, 0.0], [0.0] * 4, [9.0, 9.0, 9.0, 9.0])
    v = rows([4.0, 8.0, 0.0, -4.0], [0.0, 4.0, 4.0, 4.0], [99.0] * 4)
    heads, (weights,) = captured(attend, q, k, v, rows([0.0, 0.0, -math.inf]))
    torch.testing.assert_close(weights, rows([0.75, 0.25, 0.0]))
    torch.testing.assert_close(heads, rows([3.0, 7.0, 1.0, -2.0]))


def test_each_head_has_its_own_channels() -> None:
    """Four channels, two heads; the first looks at all tokens alike, the second at the first token alone."""
    layer = MultiHeadAttention(4, 2)
    for parameter in layer.parameters():
        parameter.data.zero_()
    q, k, v = layer.qkv.weight.data.split(4)
    v.copy_(torch.eye(4))
    layer.out.weight.data.copy_(torch.eye(4))
    q[2, 0] = k[2, 1] = 100.0  # the second head's score: 100 x[query, 0] * 100 x[key, 1] / sqrt(2)
    x = torch.tensor([[[1.0, 1.0, 3.0, 5.0], [1.0, 0.0, 7.0, 9.0], [1.0, -1.0, 2.0, 1.0]]])
    heads, (weights,) = captured(layer, x)
    torch.testing.assert_close(weights[0, 0], torch.full((3, 3), 1 / 3))
    torch.testing.assert_close(weights[0, 1], torch.tensor([[1.0, 0.0, 0.0]] * 3))
    torch.testing.assert_close(heads, torch.tensor([[[1.0, 0.0, 3.0, 5.0]] * 3]))


# three ways to the same


@pytest.mark.parametrize("keys", LENGTHS)
@pytest.mark.parametrize("kind", list(masks(3)))
def test_every_way_gives_the_same(keys: int, kind: str) -> None:
    q, k, v = tensors(keys)
    mask = masks(keys)[kind]
    expected = F.scaled_dot_product_attention(q.double(), k.double(), v.double(), _double(mask)).float()
    heads, (weights,) = captured(attend, q, k, v, mask)
    torch.testing.assert_close(attend(q, k, v, mask), expected)
    torch.testing.assert_close(heads, expected)
    assert weights.shape == (B, H, Q, keys)
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(B, H, Q))
    torch.testing.assert_close(weights @ v, expected)
    if mask is not None:
        assert not weights[mask.expand_as(weights) == -math.inf].any()


@pytest.mark.parametrize("keys", [13, 131])
@pytest.mark.parametrize("kind", list(masks(3)))
def test_every_way_has_the_same_gradient(keys: int, kind: str) -> None:
    def gradients(attend_by: object, dtype: torch.dtype) -> list[Tensor]:
        inputs = [tensor.to(dtype).requires_grad_() for tensor in tensors(keys)]
        mask = masks(keys)[kind]
        heads = attend_by(*inputs, _double(mask) if dtype == torch.float64 else mask)
        (heads * torch.randn(heads.shape, generator=torch.Generator().manual_seed(3))).sum().backward()
        return [tensor.grad.float() for tensor in inputs]

    expected = gradients(F.scaled_dot_product_attention, torch.float64)
    for actual in (
        gradients(attend, torch.float32),
        gradients(lambda *args: captured(attend, *args)[0], torch.float32),
    ):
        torch.testing.assert_close(actual, expected)


def test_where_the_way_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways are really taken: up to the limit the plain products, above it the fused kernel."""
    taken = []
    fused = F.scaled_dot_product_attention
    monkeypatch.setattr(F, "scaled_dot_product_attention", lambda *args, **kw: (taken.append(1), fused(*args, **kw))[1])
    attend(*tensors(attention._SHORT))
    assert taken == []
    attend(*tensors(attention._SHORT + 1))
    assert taken == [1]


def test_where_the_way_changes_in_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """Later than in float32, and later still where there is no backward pass."""
    taken = []
    fused = F.scaled_dot_product_attention
    monkeypatch.setattr(F, "scaled_dot_product_attention", lambda *args, **kw: (taken.append(1), fused(*args, **kw))[1])
    limit, without_gradient = attention._SHORT_BFLOAT16, attention._SHORT_BFLOAT16_WITHOUT_GRADIENT
    assert attention._SHORT < limit < without_gradient

    def attend_to(keys: int) -> int:
        attend(*(tensor.bfloat16() for tensor in tensors(keys)))
        return len(taken)

    assert (attend_to(limit), attend_to(limit + 1)) == (0, 1)
    with torch.no_grad():
        assert (attend_to(limit + 1), attend_to(without_gradient + 1)) == (1, 2)


@pytest.mark.parametrize(("keys", "products"), [(32, torch.float32), (33, torch.bfloat16)])
def test_few_keys_are_multiplied_in_float32(keys: int, products: torch.dtype) -> None:
    (weights,) = captured(attend, *(tensor.bfloat16() for tensor in tensors(keys)))[1]
    assert weights.dtype == products


@pytest.mark.parametrize("keys", [13, 53, 131, 301])
def test_bfloat16_in_bfloat16_out(keys: int) -> None:
    q, k, v = (tensor.bfloat16() for tensor in tensors(keys))
    mask = masks(keys)["padding"]
    expected = F.scaled_dot_product_attention(q.double(), k.double(), v.double(), _double(mask))
    for heads in (attend(q, k, v, mask), captured(attend, q, k, v, mask)[0]):
        assert heads.dtype == torch.bfloat16
        torch.testing.assert_close(heads.double(), expected, rtol=0.02, atol=0.02)


def test_large_scores_do_not_overflow() -> None:
    q, k, v = tensors(13)
    heads, (weights,) = captured(attend, 1e4 * q, k, v)
    assert heads.isfinite().all()
    torch.testing.assert_close(weights.amax(dim=-1), torch.ones(B, H, Q))


# dropout


def test_dropout_drops_weights_but_shows_them_all() -> None:
    q, k, v = tensors(13)
    dropout = Dropout(0.4)
    torch.manual_seed(1)
    heads, (weights,) = captured(attend, q, k, v, dropout=dropout)
    torch.testing.assert_close(weights, captured(attend, q, k, v)[1][0])
    torch.manual_seed(1)
    torch.testing.assert_close(heads, dropout(weights) @ v)
    torch.manual_seed(1)
    torch.testing.assert_close(attend(q, k, v, dropout=dropout), heads)


@pytest.mark.parametrize("keys", [64, 256])
def test_dropout_keeps_the_mean(keys: int) -> None:
    """Equal weights, values of one: each output is the share of kept keys over 1 - p, whichever way it is computed."""
    q, k, v = torch.zeros(50, 2, 11, 3), torch.zeros(50, 2, keys, 3), torch.ones(50, 2, keys, 3)
    torch.manual_seed(1)
    heads = attend(q, k, v, dropout=Dropout(0.3))
    assert heads.mean().item() == pytest.approx(1.0, abs=5 * math.sqrt(0.3 / 0.7 / (keys * 50 * 2 * 11)))
    assert heads.std().item() == pytest.approx(math.sqrt(0.3 / 0.7 / keys), rel=0.1)
    torch.testing.assert_close(attend(q, k, v, dropout=Dropout(0.3).eval()), v[:, :, :11])


# the layer


def test_shapes_of_self_and_cross_attention() -> None:
    x, memory = torch.randn(2, 5, 12), torch.randn(2, 7, 12)
    assert MultiHeadAttention(12, 3)(x).shape == (2, 5, 12)
    heads, (weights,) = captured(MultiHeadAttention(12, 3, is_cross=True), x, memory)
    assert heads.shape == (2, 5, 12)
    assert weights.shape == (2, 3, 5, 7)


@pytest.mark.parametrize("is_cross", [False, True])
@pytest.mark.parametrize("tokens", [7, 131])
def test_with_and_without_weights(is_cross: bool, tokens: int) -> None:
    """131 are more than plain products are used for where nothing is captured."""
    layer = MultiHeadAttention(12, 3, is_cross=is_cross)
    x, memory = torch.randn(2, tokens, 12), torch.randn(2, tokens, 12) if is_cross else None
    torch.testing.assert_close(captured(layer, x, memory)[0], layer(x, memory), rtol=1e-5, atol=1e-5)


def test_memory_projected_beforehand_is_the_memory() -> None:
    """What decoding does: keys and values once, queries at every step."""
    layer = MultiHeadAttention(12, 3, is_cross=True)
    x, memory = torch.randn(2, 5, 12), torch.randn(2, 7, 12)
    k, v = layer.project_memory(memory)
    assert k.shape == v.shape == (2, 3, 7, 4)
    torch.testing.assert_close(layer.merge(attend(layer.project_queries(x), k, v)), layer(x, memory))


def test_heads_must_share_the_channels() -> None:
    with pytest.raises(ValueError, match=r"^attention: 10 channels do not divide into 3 heads$"):
        MultiHeadAttention(10, 3)


def test_cross_attention_needs_a_memory() -> None:
    layer = MultiHeadAttention(12, 3, is_cross=True)
    with pytest.raises(
        ValueError, match=r"^cross-attention: memory is missing; expected the encoder's output \(B, K, C\)$"
    ):
        layer(torch.randn(2, 5, 12))


def test_shapes_in_annotations_are_checked_in_tests() -> None:
    """Seven values for six keys; without the check torch would say something about matrix products."""
    with pytest.raises(jaxtyping.TypeCheckError, match="parameter 'v'"):
        attend(torch.randn(2, 3, 4, 5), torch.randn(2, 3, 6, 5), torch.randn(2, 3, 7, 5))


def _double(mask: Tensor | None) -> Tensor | None:
    return None if mask is None else mask.double()

import math

import pytest
import torch

from attnkit.models.layers.drop_path import DropPath


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_as_many_examples_as_asked_for_are_dropped(p: float) -> None:
    """Within five standard deviations of a binomial count."""
    torch.manual_seed(1)
    dropped = (DropPath(p)(torch.ones(9973, 2)) == 0).all(dim=1).sum().item()
    assert abs(dropped - 9973 * p) < 5 * math.sqrt(9973 * p * (1 - p))


@pytest.mark.parametrize("shape", [(31,), (31, 3), (31, 3, 5), (31, 2, 3, 5)])
def test_an_example_is_dropped_as_a_whole_or_scaled_as_a_whole(shape: tuple[int, ...]) -> None:
    torch.manual_seed(1)
    x = torch.rand(shape) + 0.1
    y = DropPath(0.75)(x)
    is_dropped = [bool((row == 0).all()) for row in y]
    assert 0 < sum(is_dropped) < 31
    for before, after, dropped in zip(x, y, is_dropped, strict=True):
        torch.testing.assert_close(after, torch.zeros_like(before) if dropped else 4 * before)


def test_the_gradient_passes_where_the_examples_passed() -> None:
    torch.manual_seed(1)
    x = torch.rand(5, 7).add_(0.1).requires_grad_()
    y = DropPath(0.5)(x)
    y.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, y.detach() / x.detach())


def test_bfloat16_stays_bfloat16() -> None:
    assert DropPath(0.5)(torch.ones(5, 7, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_nothing_happens_outside_training_and_without_a_rate() -> None:
    x = torch.rand(5, 7)
    assert DropPath(0.5).eval()(x) is x
    assert DropPath(0.0)(x) is x


def test_each_call_drops_anew_and_the_seed_decides() -> None:
    def some() -> torch.Tensor:
        return DropPath(0.5)(torch.ones(31))

    torch.manual_seed(1)
    first, second = some(), some()
    torch.manual_seed(1)
    assert torch.equal(some(), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("p", [-0.1, 1.0])
def test_a_rate_that_is_none(p: float) -> None:
    with pytest.raises(ValueError, match=rf"^drop path: p is {p}; expected 0 <= p < 1$"):
        DropPath(p)


def test_how_it_prints() -> None:
    assert repr(DropPath(0.3)) == "DropPath(p=0.3)"

import math

import pytest
import torch
from torch import Tensor, nn

from attnkit.models.layers.drop_path import DropPath


def ones(x: Tensor) -> Tensor:
    return torch.ones_like(x)


def dropped(x: Tensor, y: Tensor) -> list[bool]:
    """Which examples came through as they were."""
    return [torch.equal(before, after) for before, after in zip(x, y, strict=True)]


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_as_many_examples_as_asked_for_are_dropped(p: float) -> None:
    """Within five standard deviations of a binomial count."""
    torch.manual_seed(1)
    x = torch.zeros(9973, 2)
    assert abs(sum(dropped(x, DropPath(p)(x, ones))) - 9973 * p) < 5 * math.sqrt(9973 * p * (1 - p))


@pytest.mark.parametrize("shape", [(31,), (31, 3), (31, 3, 5), (31, 2, 3, 5)])
def test_an_example_skips_the_whole_branch_or_gets_it_scaled(shape: tuple[int, ...]) -> None:
    torch.manual_seed(1)
    x = torch.rand(shape)
    y = DropPath(0.75)(x, torch.exp)
    skipped = dropped(x, y)
    assert 0 < sum(skipped) < 31
    for before, after, skips in zip(x, y, skipped, strict=True):
        torch.testing.assert_close(after, before if skips else before + 4 * before.exp())


def test_the_branch_computes_only_what_is_kept() -> None:
    torch.manual_seed(1)
    x, seen = torch.rand(31, 3), list[Tensor]()
    y = DropPath(0.5)(x, lambda kept: seen.append(kept) or torch.ones_like(kept))  # type: ignore[func-returns-value]
    assert torch.equal(seen[0], x[~torch.tensor(dropped(x, y))])


def test_the_branch_may_read_something_else_than_is_added_to() -> None:
    """As the last block of a ViT does, of which only the first token is read."""
    torch.manual_seed(1)
    x = torch.rand(31, 5)
    y = DropPath(0.5)(x[:, :2], lambda kept: kept[:, -2:], of=x)
    skipped = dropped(x[:, :2], y)
    assert 0 < sum(skipped) < 31
    for before, after, skips in zip(x, y, skipped, strict=True):
        torch.testing.assert_close(after, before[:2] if skips else before[:2] + 2 * before[-2:])


@pytest.mark.parametrize(("seed", "kept"), [(26, 5), (13, 2), (118, 0)])
def test_gradients_are_those_of_a_mask(seed: int, kept: int) -> None:
    """Of everything, of some and of no examples."""
    x = torch.rand(5, 3, generator=torch.Generator().manual_seed(2))
    gradients = []
    for plain in (False, True):
        branch = nn.Linear(3, 3)
        nn.init.eye_(branch.weight)
        nn.init.ones_(branch.bias)
        own = x.clone().requires_grad_()
        torch.manual_seed(seed)
        if plain:
            mask = torch.rand(5) >= 0.4
            assert mask.sum() == kept
            y = own + branch(own) * mask[:, None] / 0.6
        else:
            y = DropPath(0.4)(own, branch)
        y.square().sum().backward()
        gradients.append([y, own.grad, branch.weight.grad, branch.bias.grad])
    for drop_path, masked in zip(*gradients, strict=True):
        torch.testing.assert_close(drop_path, masked)


def test_compiled_it_is_a_mask_of_the_same_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.rand(31, 3, 2)
    torch.manual_seed(1)
    eager = DropPath(0.3)(x, torch.exp)
    monkeypatch.setattr("torch.compiler.is_compiling", lambda: True)
    torch.manual_seed(1)
    torch.testing.assert_close(DropPath(0.3)(x, torch.exp), eager)
    assert 0 < sum(dropped(x, eager)) < 31


@pytest.mark.parametrize("seed", [26, 13, 118])
def test_bfloat16_stays_bfloat16(seed: int) -> None:
    torch.manual_seed(seed)
    x = torch.ones(5, 7, dtype=torch.bfloat16)
    assert DropPath(0.4)(x, ones).dtype == torch.bfloat16


def test_nothing_is_dropped_outside_training_and_without_a_rate() -> None:
    x = torch.rand(5, 7)
    assert torch.equal(DropPath(0.5).eval()(x, torch.exp), x + x.exp())
    assert torch.equal(DropPath(0.0)(x, torch.exp), x + x.exp())


def test_each_call_drops_anew_and_the_seed_decides() -> None:
    def some() -> torch.Tensor:
        return DropPath(0.5)(torch.ones(31), ones)

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

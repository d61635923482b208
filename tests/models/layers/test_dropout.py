"""Dropout and stochastic depth: what is kept, how it is scaled, and when."""

import math

import pytest
import torch
from torch import Tensor, nn

from attnkit.models.layers.dropout import Dropout, DropPath

RATES = [0.1, 0.3, 0.5, 0.9]


def dropped(p: float, *shape: int, seed: int = 1) -> Tensor:
    """Which of many elements are dropped."""
    torch.manual_seed(seed)
    return Dropout(p)(torch.ones(shape)) == 0


def near(count: float, trials: int, p: float) -> None:
    """Within five standard deviations of a binomial count."""
    assert abs(count - trials * p) < 5 * math.sqrt(trials * p * (1 - p))


@pytest.mark.parametrize("p", RATES)
def test_zeros_are_as_many_as_asked_for(p: float) -> None:
    near(dropped(p, 997, 401).sum().item(), 997 * 401, p)


@pytest.mark.parametrize("p", RATES)
def test_the_four_elements_of_a_draw_are_independent(p: float) -> None:
    """Each lane has the rate, and each pair of lanes its square."""
    lanes = dropped(p, 100_003, 4)
    for lane in range(4):
        near(lanes[:, lane].sum().item(), 100_003, p)
        for other in range(lane):
            near((lanes[:, lane] & lanes[:, other]).sum().item(), 100_003, p * p)
    near((lanes[1:, 0] & lanes[:-1, 3]).sum().item(), 100_002, p * p)


@pytest.mark.parametrize("p", RATES)
def test_the_mean_stays(p: float) -> None:
    torch.manual_seed(1)
    x = torch.rand(997, 401)
    kept = Dropout(p)(x)
    spread = math.sqrt((x**2).mean().item() * p / (1 - p) / x.numel())
    assert kept.mean().item() == pytest.approx(x.mean().item(), abs=5 * spread)


@pytest.mark.parametrize(
    ("p", "levels"), [(0.1, 6554), (0.3, 19661), (0.5, 32768), (1e-9, 0), (1 / 65536, 1), (0.999999, 65535)]
)
def test_the_rate_is_a_multiple_of_a_65536th_and_the_scale_fits_it(
    p: float, levels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With every number that 16 bits can hold drawn once, exactly `levels` are dropped, and the mean stays exactly."""

    def every_number_once(draws: Tensor, *_: object) -> Tensor:
        draws.view(torch.int16).copy_(torch.arange(-32768, 32768))
        return draws

    monkeypatch.setattr(Tensor, "random_", every_number_once)
    y = Dropout(p)(torch.ones(256, 256))
    assert (y == 0).sum().item() == levels
    assert set(y.unique().tolist()) - {0.0} == {torch.tensor(65536 / (65536 - levels)).item()}
    assert y.double().mean().item() == pytest.approx(1.0, rel=1e-7)


@pytest.mark.parametrize("shape", [(), (1,), (3,), (4,), (5, 7), (2, 3, 5, 7), (0, 3)])
def test_any_shape(shape: tuple[int, ...]) -> None:
    x = torch.full(shape, 2.0)
    y = Dropout(0.5)(x)
    assert y.shape == shape
    assert ((y == 0) | (y == 4)).all()


def test_kept_elements_are_scaled_where_they_stand() -> None:
    """Also where the input's rows are not in memory in their order."""
    x = torch.arange(1.0, 36.0).view(5, 7).T
    y = Dropout(0.5)(x)
    assert ((y == 0) | (y == 2 * x)).all()
    assert (y == 0).any()
    assert (y != 0).any()


def test_bfloat16_stays_bfloat16() -> None:
    y = Dropout(0.5)(torch.ones(5, 7, dtype=torch.bfloat16))
    assert y.dtype == torch.bfloat16
    assert ((y == 0) | (y == 2)).all()


def test_the_gradient_passes_where_the_elements_passed() -> None:
    x = torch.rand(5, 7).add_(0.1).requires_grad_()
    y = Dropout(0.5)(x)
    y.sum().backward()
    torch.testing.assert_close(x.grad, y.detach() / x.detach())


def test_nothing_happens_outside_training_and_without_a_rate() -> None:
    x = torch.rand(5, 7)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x


def test_the_same_seed_drops_the_same() -> None:
    assert torch.equal(dropped(0.3, 31, 17, seed=5), dropped(0.3, 31, 17, seed=5))
    assert not torch.equal(dropped(0.3, 31, 17, seed=5), dropped(0.3, 31, 17, seed=6))


def test_each_call_drops_anew() -> None:
    torch.manual_seed(1)
    dropout, x = Dropout(0.3), torch.ones(31, 17)
    assert not torch.equal(dropout(x), dropout(x))


@pytest.mark.parametrize("p", [-0.1, 1.0, 30.0])
def test_a_rate_that_is_none(p: float) -> None:
    with pytest.raises(ValueError, match=rf"^dropout: p is {p}; expected 0 <= p < 1$"):
        Dropout(p)


def test_how_it_prints() -> None:
    assert repr(Dropout(0.3)) == "Dropout(p=0.3)"


def ones(x: Tensor) -> Tensor:
    return torch.ones_like(x)


def paths_dropped(x: Tensor, y: Tensor) -> list[bool]:
    """Which examples came through as they were."""
    return [torch.equal(before, after) for before, after in zip(x, y, strict=True)]


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_as_many_examples_as_asked_for_are_dropped(p: float) -> None:
    """Within five standard deviations of a binomial count."""
    torch.manual_seed(1)
    x = torch.zeros(9973, 2)
    assert abs(sum(paths_dropped(x, DropPath(p)(x, ones))) - 9973 * p) < 5 * math.sqrt(9973 * p * (1 - p))


@pytest.mark.parametrize("shape", [(31,), (31, 3), (31, 3, 5), (31, 2, 3, 5)])
def test_an_example_skips_the_whole_branch_or_gets_it_scaled(shape: tuple[int, ...]) -> None:
    torch.manual_seed(1)
    x = torch.rand(shape)
    y = DropPath(0.75)(x, torch.exp)
    skipped = paths_dropped(x, y)
    assert 0 < sum(skipped) < 31
    for before, after, skips in zip(x, y, skipped, strict=True):
        torch.testing.assert_close(after, before if skips else before + 4 * before.exp())


def test_the_branch_computes_only_what_is_kept() -> None:
    torch.manual_seed(1)
    x, seen = torch.rand(31, 3), list[Tensor]()
    y = DropPath(0.5)(x, lambda kept: seen.append(kept) or torch.ones_like(kept))  # type: ignore[func-returns-value]
    assert torch.equal(seen[0], x[~torch.tensor(paths_dropped(x, y))])


def test_the_branch_may_read_something_else_than_is_added_to() -> None:
    """As the last block of a ViT does, of which only the first token is read."""
    torch.manual_seed(1)
    x = torch.rand(31, 5)
    y = DropPath(0.5)(x[:, :2], lambda kept: kept[:, -2:], of=x)
    skipped = paths_dropped(x[:, :2], y)
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
    assert 0 < sum(paths_dropped(x, eager)) < 31


@pytest.mark.parametrize("seed", [26, 13, 118])
def test_drop_path_bfloat16_stays_bfloat16(seed: int) -> None:
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
def test_drop_path_a_rate_that_is_none(p: float) -> None:
    with pytest.raises(ValueError, match=rf"^drop path: p is {p}; expected 0 <= p < 1$"):
        DropPath(p)


def test_drop_path_how_it_prints() -> None:
    assert repr(DropPath(0.3)) == "DropPath(p=0.3)"

import math

import pytest
import torch
from torch import Tensor

from attnkit.models.layers.dropout import Dropout

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

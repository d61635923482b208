import pytest

from attnkit.decoding.config import LengthPenaltyConfig
from attnkit.decoding.length_penalty import gnmt_penalty, no_penalty, power_penalty


@pytest.mark.parametrize(("length", "expected"), [(1, 1.0), (2, (7 / 6) ** 0.2), (3, (8 / 6) ** 0.2)])
def test_gnmt_of_sockeyes_vectors(length: int, expected: float) -> None:
    assert gnmt_penalty(0.2)(length) == pytest.approx(expected)


@pytest.mark.parametrize("length", [1, 2, 3])
def test_power_one_is_the_length(length: int) -> None:
    assert power_penalty(1.0)(length) == length


def test_alpha_zero_and_none_leave_the_log_probability() -> None:
    assert [penalty(17) for penalty in (gnmt_penalty(0.0), power_penalty(0.0), no_penalty)] == [1.0, 1.0, 1.0]


def test_the_forms_are_not_the_same_at_one_alpha() -> None:
    gnmt, power = gnmt_penalty(0.6), power_penalty(0.6)
    assert gnmt(20) / gnmt(10) == pytest.approx((25 / 15) ** 0.6)
    assert power(20) / power(10) == pytest.approx(2**0.6)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (LengthPenaltyConfig(), (16 / 6) ** 0.6),
        (LengthPenaltyConfig(form="power", alpha=0.5), 11**0.5),
        (LengthPenaltyConfig(form="none", alpha=2.0), 1.0),
    ],
)
def test_config_builds_its_form(config: LengthPenaltyConfig, expected: float) -> None:
    assert config.build()(11) == pytest.approx(expected)

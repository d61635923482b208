import pytest
from pydantic import TypeAdapter

from attnkit.engine.config import ScheduleConfig
from attnkit.engine.schedule import build_schedule


def schedule(steps=110, embed_dim=512, **config):
    return build_schedule(TypeAdapter(ScheduleConfig).validate_python(config), steps=steps, embed_dim=embed_dim)


def test_the_papers_equation_3():
    lr = schedule(name="inverse_sqrt", warmup_steps=4000)
    # 512**-0.5 * min(step**-0.5, step * 4000**-1.5)
    assert lr(1) == pytest.approx(1.746928e-7, rel=1e-6)
    assert lr(4000) == pytest.approx(6.987712e-4, rel=1e-6)
    assert lr(16_000) == pytest.approx(3.493856e-4, rel=1e-6)


def test_the_peak_can_be_named():
    lr = schedule(name="inverse_sqrt", warmup_steps=100, lr=2e-3)
    assert [lr(step) for step in (1, 50, 100, 400, 900)] == pytest.approx([2e-5, 1e-3, 2e-3, 1e-3, 2e-3 / 3])


def test_cosine():
    lr = schedule(name="cosine", lr=1.0, warmup_steps=10, final_lr=0.1)
    assert [lr(step) for step in (5, 10, 35, 60, 110)] == pytest.approx([0.5, 1.0, 0.868198, 0.55, 0.1])
    assert lr(200) == pytest.approx(0.1), "a step behind the last stays at the end"


def test_poly():
    lr = schedule(name="poly", lr=1.0, warmup_steps=10, power=2.0, final_lr=0.1)
    assert [lr(step) for step in (5, 10, 60, 110)] == pytest.approx([0.5, 1.0, 0.325, 0.1])
    straight = schedule(name="poly", lr=0.8, steps=40)
    assert [straight(step) for step in (1, 10, 40)] == pytest.approx([0.78, 0.6, 0.0])


def test_multi_step():
    lr = schedule(name="multi_step", lr=1.0, warmup_steps=8, milestones=(20, 30))
    assert [lr(step) for step in (2, 8, 20, 21, 30, 31, 99)] == pytest.approx([0.25, 1, 1, 0.1, 0.1, 0.01, 0.01])


@pytest.mark.parametrize("name", ["cosine", "poly", "multi_step"])
def test_without_warm_up_the_first_step_is_nearly_the_peak(name):
    assert schedule(name=name, lr=3.0, steps=100_000)(1) == pytest.approx(3.0, rel=1e-4)

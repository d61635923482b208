import pytest
from pydantic import ValidationError

from attnkit.engine.config import TrainConfig


def test_it_cannot_average_more_than_it_keeps():
    with pytest.raises(ValidationError, match="average_last 5 is above keep_last 2; raise keep_last to it"):
        TrainConfig(steps=1, keep_last=2)


def test_the_defaults_are_the_papers():
    config = TrainConfig(steps=100_000)
    assert config.optimizer.model_dump() == {"name": "adam", "beta1": 0.9, "beta2": 0.98, "eps": 1e-9}
    assert (config.schedule.name, config.schedule.warmup_steps, config.average_last) == ("inverse_sqrt", 4000, 5)

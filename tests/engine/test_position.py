"""Where a training stands in its data."""

from itertools import islice

import pytest
import torch

from attnkit.engine.config import TrainConfig
from attnkit.engine.optimize import TrainState, forever
from attnkit.errors import DataError
from tests.engine.line_task import PointBatches


def firsts(batches, count):
    return [batch.x[0, 0].item() for batch in islice(batches, count)]


def test_epoch_after_epoch():
    data, state = PointBatches(7, 3), TrainState()
    seen = firsts(forever(data, state), 7)
    assert (state.epoch, state.batch) == (2, 1)
    expected = [batch.x[0, 0].item() for epoch in range(3) for batch in data.batches(epoch)]
    assert seen == expected[:7]
    assert len(set(seen)) > 3, "every epoch has its own order"


@pytest.mark.parametrize("done", range(8))
def test_goes_on_in_the_middle_of_an_epoch(done):
    uninterrupted = firsts(forever(PointBatches(7, 3), TrainState()), 10)
    before = TrainState()
    assert firsts(forever(PointBatches(7, 3), before), done) == uninterrupted[:done]
    data, state = PointBatches(7, 3), TrainState(epoch=before.epoch, batch=before.batch)
    assert firsts(forever(data, state), 10 - done) == uninterrupted[done:]
    assert data.asked[0] == (before.epoch, before.batch), "what is done is not made again"


class NoBatches:
    def batches(self, epoch, start=0):
        return iter(())


def test_data_without_a_batch():
    with pytest.raises(
        DataError, match=r"^training data: no batch; expected at least one example that is not filtered out; "
    ):
        next(forever(NoBatches(), TrainState()))


def test_when_it_is_over():
    config = TrainConfig(steps=10, patience=2, max_minutes=1.5)
    assert not TrainState(step=9, worse=1, seconds=89.9).over(config)
    assert TrainState(step=10).over(config)
    assert TrainState(worse=2).over(config)
    assert TrainState(seconds=90.0).over(config)
    assert TrainState(seconds=60.0).seconds_left(config) == 30.0
    assert TrainState(seconds=1e9).seconds_left(TrainConfig(steps=1)) == torch.inf

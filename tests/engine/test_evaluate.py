import math

import pytest
import torch

from attnkit.engine.evaluate import evaluate
from attnkit.engine.task import Loss
from tests.engine.line_task import LineTask, make_points

CPU = torch.device("cpu")


class Fixed(LineTask):
    """A loss that says what it is told to say, and the truth for a prediction."""

    def __init__(self, means):
        super().__init__()
        self.means = iter(means)

    def forward(self, batch):
        assert not self.training
        assert not torch.is_grad_enabled()
        value = torch.tensor(next(self.means))
        return Loss({"squares": value}, int(batch.targets.sum()), {"nll": value / 2})

    def predict(self, batch):
        assert not self.training
        return batch.y


def test_means_are_weighted_by_targets():
    points = make_points(5)
    parts = [points.part(0, 2), points.part(2, 5)]
    counts = [int(part.targets.sum()) for part in parts]
    assert counts[0] != counts[1]
    scores = evaluate(Fixed([1.0, 4.0]), parts, device=CPU, precision="float32")
    mean = (1.0 * counts[0] + 4.0 * counts[1]) / sum(counts)
    assert scores == {
        "squares": pytest.approx(mean),
        "nll": pytest.approx(mean / 2),
        "perplexity": pytest.approx(math.exp(mean / 2)),
        "closeness": 0.0,
        "points": 5.0,
    }


def test_a_perplexity_beyond_all_numbers_does_not_overflow():
    scores = evaluate(Fixed([1e6]), [make_points(3)], device=CPU, precision="float32")
    assert scores["perplexity"] == pytest.approx(math.exp(100))


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_put_back(training):
    task = Fixed([1.0]).train(training)
    evaluate(task, [make_points(3)], device=CPU, precision="float32")
    assert task.training == training
    with pytest.raises(StopIteration):
        evaluate(task, [make_points(3)], device=CPU, precision="float32")
    assert task.training == training


def test_dropout_is_off():
    task, points = LineTask(dropout=0.9), make_points(4)
    one = evaluate(task, [points], device=CPU, precision="float32")
    assert evaluate(task, [points], device=CPU, precision="float32") == one


def test_predictions_are_made_in_float32():
    task, points = LineTask(), make_points(9)
    low, high = (evaluate(task, [points], device=CPU, precision=name) for name in ("bfloat16", "float32"))
    assert low["closeness"] == high["closeness"]
    assert low["squares"] != high["squares"], "the loss is that of training"

"""Score a task on data."""

import math

import torch

from attnkit.engine.precision import Precision, autocast
from attnkit.engine.task import Task, ValidData


@torch.no_grad()
def evaluate(task: Task, data: ValidData, *, device: torch.device, precision: Precision) -> dict[str, float]:
    """The metric's scores, the mean of every loss term and reported number over all targets, and `perplexity` where
    the task reports an `nll`.
    """
    was_training = task.training
    task.eval()
    try:
        metric = task.new_metric()
        sums: dict[str, float] = {}
        count = 0
        for batch in data:
            on_device = batch.to(device)
            loss, predictions = task.evaluate(on_device, autocast(precision, device))
            for name, mean in {**loss.terms, **loss.reported}.items():
                sums[name] = sums.get(name, 0.0) + float(mean) * loss.count
            count += loss.count
            metric.update(on_device, predictions)
    finally:
        task.train(was_training)
    means = {name: total / max(1, count) for name, total in sums.items()}
    if "nll" in means:
        means["perplexity"] = math.exp(min(means["nll"], 100.0))
    return {**means, **metric.compute()}

"""The smallest task that the loop can train: a line through points, where some points count for several targets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from attnkit.engine.task import Loss, Task


@dataclass(frozen=True)
class Points:
    """B points with 3 coordinates each; `targets` says how many targets a point stands for."""

    x: Tensor
    y: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.x)

    def to(self, device: torch.device) -> Points:
        return Points(self.x.to(device), self.y.to(device), self.targets.to(device))

    def halves(self) -> tuple[Points, Points]:
        middle = len(self) // 2
        return self.part(0, middle), self.part(middle, len(self))

    def part(self, first: int, last: int) -> Points:
        return Points(self.x[first:last], self.y[first:last], self.targets[first:last])


def make_points(count: int, *, seed: int = 5) -> Points:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 3, generator=generator)
    y = x @ torch.tensor([1.0, -2.0, 0.5]) + 0.3
    return Points(x, y, torch.randint(1, 12, (count,), generator=generator))


class PointBatches:
    """`count` points in batches of `size`, in an order of its own for every epoch."""

    def __init__(self, count: int, size: int, *, seed: int = 5) -> None:
        self.points = make_points(count, seed=seed)
        self.size = size
        self.asked: list[tuple[int, int]] = []

    def batches(self, epoch: int, start: int = 0) -> Iterator[Points]:
        self.asked.append((epoch, start))
        count = len(self.points)
        order = torch.randperm(count, generator=torch.Generator().manual_seed(epoch))
        shuffled = Points(self.points.x[order], self.points.y[order], self.points.targets[order])
        for first in range(start * self.size, count, self.size):
            yield shuffled.part(first, first + self.size)


class Closeness:
    """Minus the largest distance from the line, and how many points were seen."""

    def __init__(self) -> None:
        self.distances: list[float] = []

    def update(self, batch: Points, predictions: Tensor) -> None:
        self.distances += (predictions - batch.y).abs().tolist()

    def compute(self) -> dict[str, float]:
        return {"closeness": -max(self.distances), "points": float(len(self.distances))}


class LineTask(Task):
    """Squared distance, with dropout if wished, so that randomness matters."""

    score = "closeness"

    def __init__(self, *, dropout: float = 0.0, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.model = nn.Linear(3, 1)
        with torch.no_grad():
            self.model.weight.copy_(torch.randn(1, 3, generator=generator))
            self.model.bias.zero_()
        self.dropout = nn.Dropout(dropout)

    def forward(self, batch: Points) -> Loss:
        squares = (self.model(self.dropout(batch.x))[:, 0] - batch.y) ** 2
        count = int(batch.targets.sum())
        mean = (squares * batch.targets).sum() / count
        return Loss({"squares": mean}, count, {"nll": mean.detach() / 2})

    def predict(self, batch: Points) -> Tensor:
        return self.model(batch.x)[:, 0].detach()

    def new_metric(self) -> Closeness:
        return Closeness()

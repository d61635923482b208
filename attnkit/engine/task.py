"""The contract between the loop and what it trains. No task is known here by name."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, Self, TypeVar

import torch
from torch import Tensor, nn


class Batch(Protocol):
    """What one forward pass takes."""

    def __len__(self) -> int:
        """How many examples."""

    def to(self, device: torch.device) -> Self:
        """The same batch on another device."""

    def halves(self) -> tuple[Self, Self]:
        """Its examples in two smaller batches; asked for when memory runs out, and only of two or more examples."""


@dataclass(frozen=True)
class Loss:
    """The loss of a batch.

    Attributes:
        terms: by name, each a mean over `count` targets; all of them are summed and descended.
        count: how many targets; it travels along so that batches of different size are weighted rightly.
        reported: by name, more means over the same targets that are logged but not descended.
    """

    terms: dict[str, Tensor]
    count: int
    reported: dict[str, Tensor] = field(default_factory=dict)

    @property
    def total(self) -> Tensor:
        """The sum of the terms."""
        return torch.stack(list(self.terms.values())).sum()


class Metric(Protocol):
    """Collects predictions and scores them at the end."""

    def update(self, batch: Any, predictions: Any) -> None:
        """Take the predictions of a batch."""

    def compute(self) -> dict[str, float]:
        """The scores, by name."""


class Task(nn.Module, ABC):
    """A model together with its loss, its predictions and its score: all that the loop needs to know."""

    model: nn.Module
    """Whose weights are trained, averaged and kept."""
    score: str
    """Which of the metric's numbers decides what is best; higher is better."""
    facts: dict[str, Any]
    """What must travel with the weights because nothing else tells it, such as the names of the classes."""

    def __init__(self) -> None:
        super().__init__()
        self.facts = {}

    @abstractmethod
    def forward(self, batch: Any) -> Loss:
        """The loss of a batch. This is what a compiler or a data-parallel wrapper wraps."""

    @abstractmethod
    def predict(self, batch: Any) -> Any:
        """What the model says of a batch."""

    def evaluate(self, batch: Any, precision: AbstractContextManager[Any]) -> tuple[Loss, Any]:
        """The loss of a batch, in the precision of training, and its predictions, in float32.

        A task whose predictions fall out of the forward pass of its loss overrides this.

        Args:
            batch: on the device of the model.
            precision: the context in which training runs its forward pass.
        """
        with precision:
            loss = self(batch)
        return loss, self.predict(batch)

    @abstractmethod
    def new_metric(self) -> Metric:
        """An empty metric."""


B = TypeVar("B", bound=Batch, covariant=True)


class TrainData(Protocol[B]):
    """Training batches in an order that depends on the epoch (and the data's seed) alone."""

    def num_batches(self, epoch: int) -> int:
        """How many batches an epoch has; asked for only where several processes share them."""

    def batches(self, epoch: int, start: int = 0, every: int = 1) -> Iterator[B]:
        """The batches of an epoch without the first `start` of them; of the rest the first, and every `every`-th one
        behind it. What is left out is not made.
        """


ValidData = Iterable[Batch]

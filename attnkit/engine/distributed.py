"""Training in several processes: what they tell each other. A process alone has nobody to tell, and computes as ever.

The batches of a step are dealt out in turn. Every process sums the gradients of its own, one `all_reduce` adds these
up, and all take the same step: weights, optimizer and average stay the same everywhere and are never sent again. The
first process alone scores, saves and speaks. How they are started stands in processes.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from attnkit.engine.checkpoint import named_weights
from attnkit.errors import TrainingError

T = TypeVar("T")

_COUNT_BASE = 4096
"""Counts travel in two digits of this base, for float32 holds no whole number above 2**24 exactly."""


@dataclass(frozen=True)
class Totals:
    """Sums over targets, which processes can add up; means are made of them at the end."""

    terms: dict[str, float]
    reported: dict[str, float]
    count: int

    def means(self) -> tuple[dict[str, float], dict[str, float]]:
        """The terms of the loss and what is reported beside it, as means over all targets."""
        return (
            {name: total / self.count for name, total in self.terms.items()},
            {name: total / self.count for name, total in self.reported.items()},
        )


class Team:
    """A process among those that train together; the one with rank 0 leads."""

    def __init__(self, rank: int = 0, count: int = 1, *, wants_to_stop: Callable[[], bool] = lambda: False) -> None:
        self.rank, self.count = rank, count
        self._wants_to_stop = wants_to_stop
        self._agreed_to_stop = False
        self._last_seconds = self._seconds_of_first = 0.0
        self._names: list[tuple[str, str]] = []  # of all totals, in the order in which they travel

    @classmethod
    def here(cls, wants_to_stop: Callable[[], bool]) -> Team:
        """The team that this process was started in."""
        if not is_shared():
            return cls(wants_to_stop=wants_to_stop)
        return cls(dist.get_rank(), dist.get_world_size(), wants_to_stop=wants_to_stop)

    @property
    def leads(self) -> bool:
        """Whether this process scores, saves and speaks."""
        return self.rank == 0

    @property
    def stopping(self) -> bool:
        """Whether to stop after this step: all have agreed on it, for one that goes on alone would wait forever."""
        return self._agreed_to_stop if self.count > 1 else self._wants_to_stop()

    def sum_up(self, weights: Sequence[nn.Parameter], task: nn.Module, totals: Totals) -> Totals:
        """Add up the gradients and totals of all processes, and average the statistics of batch norms.

        The statistics are moving averages, so the mean of those that saw a share each moves as one that saw all.
        """
        if self.count == 1:
            return totals
        own = {("terms", name): value for name, value in totals.terms.items()}
        own |= {("reported", name): value for name, value in totals.reported.items()}
        news = [self._wants_to_stop(), self._last_seconds if self.leads else 0.0, *divmod(totals.count, _COUNT_BASE)]
        news += [not own.keys() <= set(self._names), *(own.get(name, 0.0) for name in self._names)]
        has_gradient, statistics = [p.grad is not None for p in weights], _statistics(task)
        tensors = [torch.zeros_like(p) if p.grad is None else p.grad for p in weights] + statistics
        tensors.append(torch.tensor([*map(float, news), *map(float, has_gradient)], device=tensors[0].device))
        *summed, tail = _all_reduce(tensors)
        for statistic, total in zip(statistics, summed[len(weights) :], strict=True):
            statistic.copy_(total / self.count)
        stops, self._seconds_of_first, high, low, has_new_names, *numbers = tail.tolist()
        self._agreed_to_stop = stops > 0
        sums, has_gradient = dict(zip(self._names, numbers, strict=False)), numbers[len(self._names) :]
        for p, total, has in zip(weights, summed, has_gradient, strict=False):
            p.grad = total if has else None  # as in one process, where none moves nothing
        if has_new_names:  # in the first step, and where a term was not there before
            sums = self._meet_names(own)
        return Totals(_of("terms", sums), _of("reported", sums), round(high) * _COUNT_BASE + round(low))

    def _meet_names(self, own: dict[tuple[str, str], float]) -> dict[tuple[str, str], float]:
        everyone = self._all(own)
        self._names = list(dict.fromkeys(name for sums in everyone for name in sums))
        return {name: sum(sums.get(name, 0.0) for sums in everyone) for name in self._names}

    def same_seconds(self, own: float) -> float:
        """How long a step took by the clock of the first process, so that all come to the end of their time together.

        It travels with the gradients, so where there are several processes it is that of the step before.
        """
        self._last_seconds = own
        return own if self.count == 1 else self._seconds_of_first

    @torch.no_grad()
    def share_weights(self, task: nn.Module) -> None:
        """Let all begin with the weights of the first."""
        if self.count == 1:
            return
        for tensor in named_weights(task).values():
            sent = tensor.contiguous()
            dist.broadcast(sent, 0)
            tensor.copy_(sent)

    def check_weights(self, step: int, weights: Sequence[Tensor]) -> None:
        """Compare the weights of all processes by their norms.

        Raises:
            TrainingError: they differ.
        """
        if self.count == 1:
            return
        norms = torch.stack(torch._foreach_norm([p.detach() for p in weights])).tolist()
        if any(others != norms for others in self._all(norms)):
            raise TrainingError(
                f"step {step}: the weights differ between the {self.count} processes; expected the same everywhere; "
                "go on from the last checkpoint with --resume, on equal devices or with --nproc 1"
            )

    def first_says(self, value: T) -> T:
        """What the first process has for `value`; the others wait for it. With it comes whether it was told to stop."""
        if self.count == 1:
            return value
        said: list[Any] = [value, self._agreed_to_stop or self._wants_to_stop()]
        dist.broadcast_object_list(said, 0)
        self._agreed_to_stop = said[1]
        return said[0]

    def wait(self) -> None:
        """Wait until all are here."""
        if self.count > 1:
            self._all(None)

    def let_others_begin(self) -> None:
        """Say that what is kept on disk for all (tokenizers, caches) is there; see `wait_for_first`."""
        if self.leads:
            self.wait()

    @contextmanager
    def all_threads(self) -> Iterator[None]:
        """Compute with the threads of all processes inside the block: the others are waiting."""
        if self.count == 1:
            yield
            return
        own = torch.get_num_threads()
        torch.set_num_threads(own * self.count)
        try:
            yield
        finally:
            torch.set_num_threads(own)

    def _all(self, value: T) -> list[T]:
        values: list[T] = [value] * self.count
        dist.all_gather_object(values, value)
        return values


ALONE = Team()
"""Training in one process."""


def is_shared() -> bool:
    """Whether this process trains together with others."""
    return dist.is_available() and dist.is_initialized()


def is_silent() -> bool:
    """Whether another process speaks for this one."""
    return is_shared() and dist.get_rank() > 0


def wait_for_first() -> None:
    """Let the first process go through all that comes before training, and fill the caches, where this is another."""
    if is_silent():
        Team(dist.get_rank(), dist.get_world_size()).wait()


def _statistics(task: nn.Module) -> list[Tensor]:
    """The running means and variances of the batch norms that are training."""
    norms = [m for m in task.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training]
    return [s for norm in norms for s in (norm.running_mean, norm.running_var) if s is not None]


def _all_reduce(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The sums over the processes, of all tensors at once: pieces of one flat tensor."""
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    dist.all_reduce(flat)
    pieces = flat.split([tensor.numel() for tensor in tensors])
    return [piece.view(tensor.shape) for piece, tensor in zip(pieces, tensors, strict=True)]


def _of(kind: str, sums: dict[tuple[str, str], float]) -> dict[str, float]:
    return {name: total for (of_kind, name), total in sums.items() if of_kind == kind}

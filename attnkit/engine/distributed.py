"""Training in several processes: what they exchange. A single process exchanges nothing, and computes as ever.

The batches of a step are dealt out in turn. Every process sums the gradients of its own, one `all_reduce` adds these
up, and all take the same step: weights, optimizer and average stay the same everywhere and are never sent again. Only
the main process, whose rank is 0, scores, saves and prints. How they are started stands in processes.py.
"""

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from attnkit.engine.checkpoint import named_weights
from attnkit.errors import AttnkitError, TrainingError

T = TypeVar("T")

_COUNT_BASE = 4096
"""Counts travel in two digits of this base, for float32 holds no whole number above 2**24 exactly."""
_TIMEOUT = timedelta(days=7)
"""Longer than any tokenizer learns or any validation takes. A process that has died is noticed by who started it."""


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


class Ranks:
    """The processes that train together, as the one with this `rank` sees them."""

    def __init__(self, rank: int = 0, count: int = 1, *, wants_to_stop: Callable[[], bool] = lambda: False) -> None:
        self.rank, self.count = rank, count
        self._wants_to_stop = wants_to_stop
        self._agreed_to_stop = False
        self._last_seconds = self._main_seconds = 0.0
        self._names: list[tuple[str, str]] = []  # of all totals, in the order in which they travel

    @classmethod
    def here(cls, wants_to_stop: Callable[[], bool]) -> "Ranks":
        """The processes that this one was started with."""
        if not _is_distributed():
            return cls(wants_to_stop=wants_to_stop)
        return cls(dist.get_rank(), dist.get_world_size(), wants_to_stop=wants_to_stop)

    @property
    def is_main(self) -> bool:
        """Whether this process scores, saves and prints."""
        return self.rank == 0

    @property
    def stopping(self) -> bool:
        """Whether to stop after this step: all have agreed on it, for one that goes on alone would wait forever."""
        return self._agreed_to_stop if self.count > 1 else self._wants_to_stop()

    def all_reduce(self, weights: Sequence[nn.Parameter], task: nn.Module, totals: Totals) -> Totals:
        """Add up the gradients and totals of all processes, and average the statistics of batch norms.

        The statistics are moving averages, so the mean of those that saw a share each is that of one that saw all.
        """
        if self.count == 1:
            return totals
        own = {("terms", name): value for name, value in totals.terms.items()}
        own |= {("reported", name): value for name, value in totals.reported.items()}
        message = [
            self._wants_to_stop(),
            self._last_seconds if self.is_main else 0.0,
            *divmod(totals.count, _COUNT_BASE),
        ]
        message += [not own.keys() <= set(self._names), *(own.get(name, 0.0) for name in self._names)]
        has_gradient, statistics = [p.grad is not None for p in weights], _statistics(task)
        tensors = [torch.zeros_like(p) if p.grad is None else p.grad for p in weights] + statistics
        tensors.append(torch.tensor([*map(float, message), *map(float, has_gradient)], device=tensors[0].device))
        *summed, tail = _all_reduce(tensors)
        for statistic, total in zip(statistics, summed[len(weights) :], strict=True):
            statistic.copy_(total / self.count)
        stops, self._main_seconds, high, low, has_new_names, *numbers = tail.tolist()
        self._agreed_to_stop = stops > 0
        sums, has_gradient = dict(zip(self._names, numbers, strict=False)), numbers[len(self._names) :]
        for p, total, has in zip(weights, summed, has_gradient, strict=False):
            p.grad = total if has else None  # as in one process, where none moves nothing
        if has_new_names:  # in the first step, and where a term was not there before
            sums = self._sum_by_name(own)
        return Totals(_of("terms", sums), _of("reported", sums), round(high) * _COUNT_BASE + round(low))

    def _sum_by_name(self, own: dict[tuple[str, str], float]) -> dict[tuple[str, str], float]:
        every = self._all_gather(own)
        self._names = list(dict.fromkeys(name for sums in every for name in sums))
        return {name: sum(sums.get(name, 0.0) for sums in every) for name in self._names}

    def main_seconds(self, own: float) -> float:
        """How long a step took by the clock of the main process, so that all come to the end of their time together.

        It travels with the gradients, so where there are several processes it is that of the step before.
        """
        self._last_seconds = own
        return own if self.count == 1 else self._main_seconds

    @torch.no_grad()
    def broadcast(self, task: nn.Module) -> None:
        """Give the weights of the main process to all."""
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
        if any(others != norms for others in self._all_gather(norms)):
            raise TrainingError(
                f"step {step}: the weights differ between the {self.count} processes; expected the same everywhere; "
                "go on from the last checkpoint with --resume, on equal devices or with --nproc 1"
            )

    def broadcast_object(self, value: T) -> T:
        """The `value` of the main process; the others wait for it. With it comes whether to stop after this step."""
        if self.count == 1:
            return value
        sent: list[Any] = [value, self._agreed_to_stop or self._wants_to_stop()]
        dist.broadcast_object_list(sent, 0)
        self._agreed_to_stop = sent[1]
        return sent[0]

    def barrier(self) -> None:
        """Wait until all are here."""
        if self.count > 1:
            self._all_gather(None)

    @contextmanager
    def all_threads(self) -> Iterator[None]:
        """Compute with the threads of all processes inside the block, while the others wait."""
        if self.count == 1:
            yield
            return
        own = torch.get_num_threads()
        torch.set_num_threads(own * self.count)
        try:
            yield
        finally:
            torch.set_num_threads(own)

    def _all_gather(self, value: T) -> list[T]:
        values: list[T] = [value] * self.count
        dist.all_gather_object(values, value)
        return values


SINGLE = Ranks()
"""Training in one process."""


def join_processes(rank: int, count: int, device: str, rendezvous: Path) -> str:
    """Meet the other processes, and take a share of the machine.

    Args:
        rank: of this process.
        count: how many there are.
        device: what the user asked for.
        rendezvous: a file that all of them can write, new for this training.

    Returns:
        The device of this process.

    Raises:
        AttnkitError: there is no gloo, or no GPU for each process.
    """
    if not (dist.is_available() and dist.is_gloo_available()):
        raise AttnkitError("--nproc: this torch has no gloo; expected one that has; install another, or leave it out")
    own = _device_of(rank, count, device)
    torch.set_num_threads(max(1, torch.get_num_threads() // count))
    loopback = next((name for _, name in socket.if_nameindex() if name.startswith("lo")), None)
    if loopback:  # nothing leaves the machine, which need not even know its own name
        os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback)
    backend = "gloo"
    if own.startswith("cuda"):
        torch.cuda.set_device(own)
        backend = "cpu:gloo,cuda:nccl"  # gradients go from GPU to GPU, messages by gloo, which waits without computing
    store = dist.FileStore(str(rendezvous), count)  # type: ignore[attr-defined]
    dist.init_process_group(backend, store=store, rank=rank, world_size=count, timeout=_TIMEOUT)
    return own


def _device_of(rank: int, count: int, device: str) -> str:
    if device == "cpu" or (device == "auto" and not torch.cuda.is_available()):
        return "cpu"
    if device in ("auto", "cuda") and torch.cuda.device_count() >= count:
        return f"cuda:{rank}"
    raise AttnkitError(
        f"--nproc {count}: not possible on --device {device} with {torch.cuda.device_count()} GPUs here; expected "
        "cpu, or cuda and a GPU for each process; take fewer processes, or --device cpu"
    )


def leave_processes() -> None:
    """Close the connections to the others, after the end of the training."""
    dist.destroy_process_group()


def is_main_process() -> bool:
    """Whether this process scores, saves and prints: the first of several, or the only one."""
    return not _is_distributed() or dist.get_rank() == 0


def wait_for_main() -> None:
    """Where this is not the main process, let that one learn tokenizers and fill caches first."""
    if not is_main_process():
        Ranks(dist.get_rank(), dist.get_world_size()).barrier()


def _is_distributed() -> bool:
    return dist.is_available() and dist.is_initialized()


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

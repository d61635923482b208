"""What a model sees of images, made job by job, here or by workers: in the same order, with the same result."""

import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from attnkit.errors import DataError
from attnkit.machine import cores

Workers = int | Literal["auto"]
Job = TypeVar("Job")
Made = TypeVar("Made")

_MOST_WORKERS = 8


def num_workers(workers: Workers, *, decodes: bool, slowly: bool = False) -> int:
    """How many processes make batches.

    Args:
        workers: `auto` is none where one process can do it beside the training, else one for each core, up to 8.
        decodes: whether images are not decoded yet, which needs several.
        slowly: whether images are varied one by one, which holds a GPU up, but no training on a CPU.
    """
    if workers != "auto":
        return workers
    if not decodes and not (slowly and torch.cuda.is_available()):
        return 0
    return min(cores(), _MOST_WORKERS)


def made_in_order(make: Callable[[Job], Made], jobs: Sequence[Job], workers: int) -> Iterator[Made]:
    """What comes of each job, in their order.

    Args:
        make: does one job. Every worker has a copy of it, so what it draws must follow from the job.
        jobs: what is to be made, a batch each.
        workers: processes, which end with the iterator; with 0 this one makes everything, when it is asked for.

    Raises:
        DataError: `make` raised it; here it comes at the place of its job, with the same message.
    """
    if not workers:
        yield from map(make, jobs)
        return
    for made in _made_by_workers(make, jobs, workers):
        if isinstance(made, _Failure):
            raise DataError(made.message)
        yield made


@dataclass(frozen=True)
class _Failure:
    """A DataError on its way out of a worker: as an exception, DataLoader would wrap it into a trace."""

    message: str


class _Jobs(Dataset[Made | _Failure], Generic[Job, Made]):
    """What comes of jobs, by their place, for DataLoader."""

    def __init__(self, make: Callable[[Job], Made], jobs: Sequence[Job]) -> None:
        self._make, self._jobs = make, jobs

    def __len__(self) -> int:
        return len(self._jobs)

    def __getitem__(self, place: int) -> Made | _Failure:
        try:
            return self._make(self._jobs[place])
        except DataError as error:
            return _Failure(str(error))


def _made_by_workers(make: Callable[[Job], Made], jobs: Sequence[Job], workers: int) -> Iterator[Made | _Failure]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="This DataLoader will create")  # more than cores: the user's choice
        loader = DataLoader(
            _Jobs(make, jobs),
            batch_size=None,
            num_workers=workers,
            collate_fn=_as_it_is,
            worker_init_fn=_leave_signals_to_the_parent,
            generator=torch.Generator(),  # or it would draw from the one that the model draws from
        )
        with _ctrl_c_held():
            batches = iter(loader)
    yield from batches


def _as_it_is(made: Made) -> Made:
    """DataLoader's own would make lists of tuples, and tensors of arrays."""
    return made


@contextmanager
def _ctrl_c_held() -> Iterator[None]:
    """Let Ctrl-C wait until the workers have started: they are born with it blocked, or some would print a trace."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _leave_signals_to_the_parent(_: int) -> None:
    """Ctrl-C reaches every process: the parent stops the workers, and they should not print traces of their own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # not what the parent does with it

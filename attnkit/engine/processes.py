"""Start the processes that train together, pass signals on to them, and end all when one fails. The process that does
this imports no torch.
"""

import math
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from rich.console import Console

from attnkit.engine.config import TrainConfig
from attnkit.engine.interrupt import StopRequest
from attnkit.errors import AttnkitError, RecipeError, TrainingError

_POLL_SECONDS = 0.2
_SECONDS_TO_EXIT_ALONE = 2.0
_SECONDS_TO_EXIT = 10.0
"""The others have this long to exit after one has failed: time to finish a checkpoint that is being written."""


def check_divisible(config: TrainConfig, count: int) -> None:
    """Refuse steps whose batches cannot be divided evenly among the processes.

    Raises:
        RecipeError: the number of batches in a step is no multiple of the number of processes.
    """
    if config.accumulate % count == 0:
        return
    times = count // math.gcd(config.accumulate, count)
    raise RecipeError(
        f"train.accumulate: {config.accumulate} batches a step cannot be dealt out to --nproc {count}; expected a "
        f"multiple of {count}; use --set train.accumulate={config.accumulate * times} with batches of 1/{times} the "
        "size (batch.images, or batch.src_tokens and batch.tgt_tokens), which makes the same steps"
    )


class Work(Protocol):
    """What each of the processes does."""

    def __call__(self, *, device: str) -> None:
        """Work on a device."""


def launch(work: Work, count: int, *, device: str) -> None:
    """Do the same work in `count` processes on this machine, which train together; return when all are done.

    Args:
        work: called in each with its device; it must be possible to pickle it.
        count: how many processes.
        device: cpu, or cuda for a GPU each; `auto` takes what is there.

    Raises:
        AttnkitError, OSError: one of them raised it; all have ended.
        TrainingError: one of them was killed.
        RuntimeError: one of them failed otherwise; the text holds its traceback.
        KeyboardInterrupt: a signal came before training had begun, or Ctrl-C a second time.
    """
    with TemporaryDirectory(prefix="attnkit-") as folder, StopRequest() as stop:
        workers = [_start(rank, count, device, Path(folder) / "rendezvous", work) for rank in range(count)]
        try:
            _watch(workers, stop)
        except KeyboardInterrupt:
            _end(workers, seconds=0.0)
            raise
        finally:
            _end(workers, seconds=_SECONDS_TO_EXIT)


@dataclass
class _Worker:
    """A started process, for the one that started it."""

    rank: int
    process: BaseProcess
    report: Connection

    def ended(self) -> tuple[float, BaseException | None] | None:
        """When it ended and by which error; None while it works."""
        alive = self.process.is_alive()  # asked first: what it reported before it died is still there to read
        if self.report.poll():
            try:
                reported: tuple[float, BaseException | None] = self.report.recv()
            except EOFError:
                return None if alive else self._killed()
            return reported
        return None if alive else self._killed()

    def _killed(self) -> tuple[float, BaseException]:
        code = self.process.exitcode
        return math.inf, TrainingError(
            f"process {self.rank}: ended without a word (exit code {code}); expected it to train; where the system "
            "killed it, memory ran out: use fewer processes, or smaller batches with a larger train.accumulate"
        )


def _start(rank: int, count: int, device: str, rendezvous: Path, work: Work) -> _Worker:
    spawn = multiprocessing.get_context("spawn")
    reader, writer = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_run, args=(rank, count, device, rendezvous, work, writer))
    process.start()
    writer.close()
    return _Worker(rank, process, reader)


def _run(rank: int, count: int, device: str, rendezvous: Path, work: Work, report: Connection) -> None:
    """Be process `rank` of `count`, from start to end; `report` takes when it ended, and by which error or None.

    Process 0 begins: what it leaves on disk before training is there for the others.
    """
    if hasattr(signal, "pthread_sigmask"):  # a terminal sends Ctrl-C to all; who started this one passes it on
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    from attnkit.engine import distributed  # imports torch, which the process that only watches need not

    ended: BaseException | None = None
    try:
        own_device = distributed.join_processes(rank, count, device, rendezvous)
        distributed.wait_for_main()
        work(device=own_device)
    except (AttnkitError, KeyboardInterrupt) as error:
        ended = error
    except OSError as error:  # a full disk is the user's business, others are not: see cli/app.py
        error.add_note(traceback.format_exc())
        ended = error
    except BaseException:
        ended = RuntimeError(f"process {rank} of {count} failed:\n{traceback.format_exc()}")
    try:
        report.send((time.monotonic(), ended))  # before the connections to the others close, which they will report
    except OSError:  # who would read it is gone
        return
    if ended is None:
        distributed.leave_processes()


def _stop_with_parent() -> None:
    """Save and stop when the process that started this one is killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _watch(workers: Sequence[_Worker], stop: StopRequest) -> None:
    """Wait until all are done; raise what the first that fails reports."""
    working = list(workers)
    passed_on = False
    while working:
        if stop.requested and not passed_on:
            passed_on = True
            for worker in working:
                worker.process.terminate()  # the first SIGTERM is a request
        failures = _failures(working)
        if failures and not any(isinstance(error, AttnkitError) for _, error in failures):
            time.sleep(2 * _POLL_SECONDS)  # perhaps it failed because another was killed
            failures += _failures(working)
        if failures:
            _raise(failures, stop)
        wait([worker.report for worker in working], timeout=_POLL_SECONDS)


def _failures(working: list[_Worker]) -> list[tuple[float, BaseException]]:
    """What has failed since the last call; processes that have ended are taken out of `working`."""
    failures = []
    for worker in list(working):
        ended = worker.ended()
        if ended is None:
            continue
        working.remove(worker)
        when, error = ended
        if error is not None:
            failures.append((when, error))
    return failures


def _raise(failures: Sequence[tuple[float, BaseException]], stop: StopRequest) -> None:
    """Raise the error that came first: the others only lost a process to talk to."""
    plain = [failure for failure in failures if isinstance(failure[1], AttnkitError)] or failures
    when, error = min(plain, key=lambda failure: failure[0])
    if stop.requested and when == math.inf:  # killed by the signal that was passed on, for there was nothing to save
        raise KeyboardInterrupt
    raise error


def _end(workers: Sequence[_Worker], *, seconds: float) -> None:
    """See every process to its end: most exit by themselves, some need a signal, and those that hang are killed."""
    _join(workers, min(seconds, _SECONDS_TO_EXIT_ALONE))
    for worker in workers:
        worker.process.terminate()
    _join(workers, seconds)
    for worker in workers:
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
            Console(stderr=True).show_cursor()  # a live line hides it
        worker.report.close()


def _join(workers: Sequence[_Worker], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    for worker in workers:
        worker.process.join(timeout=max(0.0, deadline - time.monotonic()))

"""Start the processes that train together, pass signals on to them, and end all when one fails. Imports no torch."""

from __future__ import annotations

import math
import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from rich.console import Console

from attnkit.engine.config import TrainConfig
from attnkit.engine.interrupt import StopRequest
from attnkit.errors import AttnkitError, RecipeError, TrainingError

if TYPE_CHECKING:
    from attnkit.engine.team_member import Work

_LOOK_EVERY = 0.2
"""Seconds."""
_TIME_TO_LEAVE_UNASKED = 2.0
"""Seconds."""
_TIME_TO_LEAVE = 10.0
"""Seconds that the others have to end after one has failed: time to finish a checkpoint that is being written."""


def check_share(config: TrainConfig, count: int) -> None:
    """Refuse steps whose batches cannot be dealt out evenly.

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


def work_together(work: Work, count: int, *, device: str) -> None:
    """Do the same work in `count` processes on this machine, which then are a team; return when all are done.

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
        members = [_start(rank, count, device, Path(folder) / "meeting", work) for rank in range(count)]
        try:
            _watch(members, stop)
        except KeyboardInterrupt:
            _end(members, seconds=0.0)
            raise
        finally:
            _end(members, seconds=_TIME_TO_LEAVE)


@dataclass
class _Member:
    """A process as it is seen by the one that started it."""

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


def _start(rank: int, count: int, device: str, meeting_place: Path, work: Work) -> _Member:
    spawn = multiprocessing.get_context("spawn")
    reader, writer = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_take_part, args=(rank, count, device, meeting_place, work, writer))
    process.start()
    writer.close()
    return _Member(rank, process, reader)


def _take_part(rank: int, count: int, device: str, meeting_place: Path, work: Work, report: Connection) -> None:
    from attnkit.engine.team_member import take_part  # imports torch, which the process that only watches need not

    take_part(rank, count, device, meeting_place, work, report)


def _watch(members: Sequence[_Member], stop: StopRequest) -> None:
    """Wait for all, or for the first that fails."""
    working = list(members)
    told = False
    while working:
        if stop.requested and not told:
            told = True
            for member in working:
                member.process.terminate()  # the first SIGTERM is a request
        failures = _look(working)
        if failures and not any(isinstance(error, AttnkitError) for _, error in failures):
            time.sleep(2 * _LOOK_EVERY)  # perhaps it failed because another was killed
            failures += _look(working)
        if failures:
            _raise(failures, stop)
        wait([member.report for member in working], timeout=_LOOK_EVERY)


def _look(working: list[_Member]) -> list[tuple[float, BaseException]]:
    """The failures that came to light; whoever has ended works no longer."""
    failures = []
    for member in list(working):
        ended = member.ended()
        if ended is None:
            continue
        working.remove(member)
        when, error = ended
        if error is not None:
            failures.append((when, error))
    return failures


def _raise(failures: Sequence[tuple[float, BaseException]], stop: StopRequest) -> None:
    """The error that began it: the others only lost a process to talk to."""
    plain = [failure for failure in failures if isinstance(failure[1], AttnkitError)] or failures
    when, error = min(plain, key=lambda failure: failure[0])
    if stop.requested and when == math.inf:  # killed by the signal that was passed on, for there was nothing to save
        raise KeyboardInterrupt
    raise error


def _end(members: Sequence[_Member], *, seconds: float) -> None:
    """See every process to its end: most leave by themselves, some have to be told, and those that hang are killed."""
    _join(members, min(seconds, _TIME_TO_LEAVE_UNASKED))
    for member in members:
        member.process.terminate()
    _join(members, seconds)
    for member in members:
        if member.process.is_alive():
            member.process.kill()
            member.process.join()
            Console(stderr=True).show_cursor()  # a live line hides it
        member.report.close()


def _join(members: Sequence[_Member], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    for member in members:
        member.process.join(timeout=max(0.0, deadline - time.monotonic()))

"""One of several processes that train together, from its start to its end: it meets the others, works, and reports."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import threading
import time
import traceback
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Protocol

import torch
import torch.distributed as dist

from attnkit.engine.distributed import wait_for_first
from attnkit.errors import AttnkitError

_PATIENCE = timedelta(days=7)
"""Longer than any tokenizer learns or any validation takes. A process that has died is noticed by who started it."""


class Work(Protocol):
    """What each of the processes does."""

    def __call__(self, *, device: str) -> None:
        """Work on a device."""


def take_part(rank: int, count: int, device: str, meeting_place: Path, work: Work, report: Connection) -> None:
    """Do the work of process `rank` of `count`.

    Args:
        rank: 0 goes first: what it leaves on disk before training is there for the others.
        count: how many there are.
        device: what the user asked for.
        meeting_place: a file that all of them can write, new for this team.
        work: what to do.
        report: takes when it ended, and by which error, or None.
    """
    if hasattr(signal, "pthread_sigmask"):  # a terminal sends Ctrl-C to all; who started this one passes it on
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    threading.Thread(target=_stop_when_left_alone, daemon=True).start()
    ended: BaseException | None = None
    try:
        own_device = _meet(rank, count, device, meeting_place)
        wait_for_first()
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
        dist.destroy_process_group()


def _meet(rank: int, count: int, device: str, meeting_place: Path) -> str:
    """Meet the others, take a share of the machine, and say which device it is."""
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
        backend = "cpu:gloo,cuda:nccl"  # gradients go from GPU to GPU, words by gloo, which waits without computing
    store = dist.FileStore(str(meeting_place), count)  # type: ignore[attr-defined]
    dist.init_process_group(backend, store=store, rank=rank, world_size=count, timeout=_PATIENCE)
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


def _stop_when_left_alone() -> None:
    """Where the process that started this one is killed, save and stop."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

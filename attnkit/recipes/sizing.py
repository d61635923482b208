"""What sizing a recipe to images and a machine takes, whatever the task. Free of torch until a machine is looked at."""

from __future__ import annotations

import os
from dataclasses import dataclass

from attnkit.machine import cores

MOST_HELD_BACK = 10_000
CPU_MINUTES, GPU_MINUTES = 60.0, 720.0
"""Of training, where nobody says."""


@dataclass(frozen=True)
class Machine:
    """What will train."""

    name: str
    """For people: 2 processor cores."""
    is_gpu: bool
    memory: int
    """Bytes that are free."""

    def minutes(self, asked: float | None) -> float:
        """Of training."""
        return asked or (GPU_MINUTES if self.is_gpu else CPU_MINUTES)


def this_machine() -> Machine:
    """What `attnkit train` would run on."""
    import torch

    from attnkit.engine.precision import find_device

    device = find_device("auto")
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return Machine(torch.cuda.get_device_name(device), is_gpu=True, memory=free)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES") if hasattr(os, "sysconf") else 4 << 30
    return Machine(f"{cores()} processor cores" if cores() > 1 else "one processor core", is_gpu=False, memory=memory)


def held_back_share(images: int) -> float:
    """A tenth, of many images less."""
    share = min(0.1, MOST_HELD_BACK / max(1, images))
    return float(f"{share:.1g}")


def two_digits(number: int) -> int:
    """Round to two leading digits, at least 1: 8123 is 8100."""
    return max(1, round(number, 2 - len(str(number))))


def power_of_two(number: int) -> int:
    """The largest one that is not above a number from 1 on."""
    return 1 << (number.bit_length() - 1)


def duration(minutes: float) -> str:
    """For people."""
    if minutes < 1:
        return "under a minute"
    return f"some {minutes:.0f} minutes" if minutes < 120 else f"some {minutes / 60:.1f} hours"

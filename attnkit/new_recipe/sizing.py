"""What sizing a recipe to images and a machine takes, whatever the task. Free of torch until a machine is looked at."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from attnkit.machine import cores

Candidate = TypeVar("Candidate")

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


def hold_back(train: int, valid: int, test: int) -> tuple[float, float, int]:
    """What to hold back of training images for the sets that are empty.

    Returns:
        The shares for validation and test, and how many images are left.
    """
    valid_share, test_share = (0.0 if own else held_back_share(train) for own in (valid, test))
    return valid_share, test_share, max(1, round(train * (1 - valid_share - test_share)))


def largest_affordable(
    candidates: Sequence[Candidate], speed: Callable[[Candidate], float], *, minutes: float, images: int
) -> tuple[Candidate, float, int]:
    """Choose among what might be trained.

    Args:
        candidates: the largest first.
        speed: measures how many images a second one is trained with.
        minutes: of training.
        images: that are to be seen in them at least, each time counted.

    Returns:
        The first that is fast enough, else the last; its speed; how many were too slow.
    """
    for tried, candidate in enumerate(candidates):
        rate = speed(candidate)
        if minutes * 60 * rate >= images or tried == len(candidates) - 1:
            return candidate, rate, tried
    raise AssertionError("there is always a candidate")


@dataclass(frozen=True)
class TrainingLength:
    """How long to train, and why."""

    steps: int
    epoch: int
    """Steps of an epoch."""
    bound: str
    """What ends it."""
    takes: float
    """Minutes."""

    @property
    def epochs(self) -> float:
        """Times through the images."""
        return self.steps / self.epoch

    @property
    def epoch_line(self) -> str:
        """The length of an epoch for people."""
        return f"an epoch is {self.epoch:,} step{'s' * (self.epoch != 1)}"

    def reasons(self, machine: Machine, rate: str) -> tuple[str, str]:
        """The lines on steps and time.

        Args:
            machine: what will train.
            rate: its images a second, for people.
        """
        return (
            f"steps: {self.steps:,}, {self.epochs:.3g} times through the images: {self.bound}",
            f"time: {duration(self.takes)} at the {rate} images a second that this network was measured to train "
            f"here, on {machine.name}; loading and validation come on top",
        )


def training_length(images: int, *, per_step: int, epochs: int, rate: float, minutes: float) -> TrainingLength:
    """As many epochs as are of use, or as the time allows.

    Args:
        images: to train on.
        per_step: images of a step.
        epochs: that are of use.
        rate: images a second.
        minutes: of training.
    """
    epoch = max(1, images // per_step)
    wanted, affordable = epochs * epoch, minutes * 60 * rate / per_step
    steps = two_digits(max(1, int(min(wanted, affordable))))
    bound = "all that so many images are good for" if wanted <= affordable else f"what {minutes:g} minutes give"
    return TrainingLength(steps, epoch, bound, takes=steps * per_step / rate / 60)


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

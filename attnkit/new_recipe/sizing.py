"""What sizing a recipe to somebody's images and machine takes in every task. Free of torch until a machine is asked."""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from attnkit.data.config import HoldBackConfig
from attnkit.engine.config import AdamWConfig, ScheduleConfig, TrainConfig
from attnkit.errors import DataError
from attnkit.machine import cores
from attnkit.recipes.base import BaseRecipe

Candidate = TypeVar("Candidate")
Item = TypeVar("Item")
SomeRecipe = TypeVar("SomeRecipe", bound=BaseRecipe)

SAMPLE = 200
"""Images that are opened to learn what all are like."""
MOST_HELD_BACK = 10_000
CPU_MINUTES, GPU_MINUTES = 60.0, 720.0
"""Of training, where the user does not say."""


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

    def fitting_images(self, bytes_per_image: int) -> int:
        """How many images half of the memory holds."""
        return int(self.memory / 2 / bytes_per_image)


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


@dataclass(frozen=True)
class ImageSurvey:
    """What was found in the user's images, whatever the task: abstract, each task adds its own."""

    path: str
    """For people."""
    train: int
    """Images, those that will be held back among them."""
    valid: int
    test: int
    side: int
    """Median of the shorter sides, in pixels."""

    @property
    def held_back(self) -> "HeldBack":
        """What is held back of the training images."""
        return hold_back(self.train, self.valid, self.test)

    @property
    def counts(self) -> str:
        """The images of each split, for people."""
        return f"{self.train:,} training, {self.valid:,} validation and {self.test:,} test images"


def sample(count: int, most: int = SAMPLE) -> list[int]:
    """Indices of at most so many items, evenly spread over `count`."""
    chosen: list[int] = np.linspace(0, count - 1, min(most, count)).astype(int).tolist()
    return chosen


def read_each(indices: Iterable[int], read: Callable[[int], Item]) -> tuple[list[Item], int]:
    """Read items of a data set.

    Returns:
        What was read of those that can be, and how many are broken.

    Raises:
        DataError: all are broken.
    """
    items, errors = [], []
    for index in indices:
        try:
            items.append(read(index))
        except DataError as error:
            errors.append(error)
    if not items:
        raise errors[0]
    return items, len(errors)


def refuse_too_few(path: str, images: int, *, least: int, what: str, hundreds: str) -> None:
    """Refuse so few images that nothing can be learned from them, and none can be held back.

    Raises:
        DataError: there are fewer than `least`.
    """
    if images < least:
        raise DataError(
            f"{path}: {images} {what} are too few; expected at least {least}, and hundreds {hundreds}; add images"
        )


def held_back_share(images: int) -> float:
    """A tenth, of many images less."""
    share = min(0.1, MOST_HELD_BACK / max(1, images))
    return float(f"{share:.1g}")


class HeldBack(NamedTuple):
    """What is held back of the training images for the sets that are empty."""

    valid: float
    """Share of the images."""
    test: float
    left: int
    """Images to train on."""

    @property
    def config(self) -> HoldBackConfig:
        """The shares in a recipe."""
        return HoldBackConfig(valid=self.valid, test=self.test)


def hold_back(train: int, valid: int, test: int) -> HeldBack:
    """Hold back a share for each of the other sets that has no image of its own."""
    valid_share, test_share = (0.0 if own else held_back_share(train) for own in (valid, test))
    return HeldBack(valid_share, test_share, max(1, round(train * (1 - valid_share - test_share))))


def why_held_back(held_back: HeldBack, of: str, *, together: str = "") -> tuple[str, ...]:
    """A line on the shares of something that are held back, if any, and on which images are kept together."""
    shares = (("validation", held_back.valid), ("test", held_back.test))
    parts = [f"{share:.2g} of {of} for {split}" for split, share in shares if share]
    if not parts:
        return ()
    return (f"held back: {' and '.join(parts)}, chosen by a hash of the file names{together and f'; {together}'}",)


def few_images(path: str, images: int, *, few: int) -> tuple[str, ...]:
    """A warning where there are fewer images than `few`."""
    if images >= few:
        return ()
    return (
        f"{path}: {images:,} images are few for attention; expected {few:,} or more, or pretrained weights; "
        "attnkit import FILE makes a run of them, and init in the recipe starts from it",
    )


class Affordable(NamedTuple, Generic[Candidate]):
    """What can be trained in the time available."""

    candidate: Candidate
    rate: float
    """Images a second that it is trained with."""
    too_slow: int
    """Larger candidates that were tried before it."""


def largest_affordable(
    candidates: Sequence[Candidate], speed: Callable[[Candidate], float], *, minutes: float, images: int
) -> Affordable[Candidate]:
    """Choose among what might be trained.

    Args:
        candidates: the largest first.
        speed: measures how many images a second a candidate is trained with.
        minutes: of training.
        images: that training should use at least in them, each time counted.

    Returns:
        The first that is fast enough, else the last.
    """
    for too_slow, candidate in enumerate(candidates):
        rate = speed(candidate)
        if minutes * 60 * rate >= images or too_slow == len(candidates) - 1:
            return Affordable(candidate, rate, too_slow)
    raise AssertionError("there is always a candidate")


def why_no_larger(too_slow: int, *, epochs: int, can_be_larger: bool, more: str = "more") -> str:
    """What limits a size, to follow what it was chosen by; nothing where it could not be larger.

    Args:
        too_slow: larger candidates that were tried.
        epochs: times through the images that training should take at least.
        can_be_larger: whether the user may ask for more.
        more: what a larger size has more of.
    """
    if too_slow:
        return f"; anything larger would go through them fewer than {epochs} times in the time available"
    return f"; {more} costs time by its square: --image-size" if can_be_larger else ""


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

    def train(
        self,
        *,
        schedule: ScheduleConfig,
        weight_decay: float,
        clip_norm: float,
        validations: int,
        average_last: int,
        keep_last: int,
        accumulate: int = 1,
        ema_decay: float | None = None,
    ) -> TrainConfig:
        """The section of a recipe: AdamW, and twice as many checkpoints as validations."""
        return TrainConfig(
            steps=self.steps,
            accumulate=accumulate,
            optimizer=AdamWConfig(name="adamw", weight_decay=weight_decay),
            schedule=schedule,
            clip_norm=clip_norm,
            ema_decay=ema_decay,
            validate_every=max(1, self.steps // validations),
            save_every=max(1, self.steps // (2 * validations)),
            keep_last=keep_last,
            average_last=average_last,
        )

    def reasons(self, machine: Machine, rate: float) -> tuple[str, str]:
        """The lines on steps and time, at `rate` images a second."""
        return (
            f"steps: {self.steps:,}, {self.epochs:.3g} times through the images: {self.bound}",
            f"time: {duration(self.takes)} at {_speed(rate)} images a second, the measured training speed of this "
            f"network on {machine.name}; loading and validation come on top",
        )


def training_length(images: int, *, per_step: int, epochs: int, rate: float, minutes: float) -> TrainingLength:
    """As many epochs as are of use, or as the time allows at `rate` images a second."""
    epoch = max(1, images // per_step)
    wanted, affordable = epochs * epoch, minutes * 60 * rate / per_step
    steps = two_digits(max(1, int(min(wanted, affordable))))
    bound = "more would not help with so few images" if wanted <= affordable else f"what fits into {minutes:g} minutes"
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
    if minutes < 1.5:
        return "about a minute"
    return f"about {minutes:.0f} minutes" if minutes < 120 else f"about {minutes / 60:.1f} hours"


def _speed(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"


@dataclass(frozen=True)
class SizedRecipe(Generic[SomeRecipe]):
    """A recipe whose numbers follow from images and machine."""

    recipe: SomeRecipe
    length: TrainingLength
    reasons: tuple[str, ...]
    """One line per choice: what, and why."""

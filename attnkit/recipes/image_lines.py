"""What is said of images in every task: while they are looked at, of their sizes, and before training."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from attnkit.structures.arrays import Size

if TYPE_CHECKING:
    import torch

    from attnkit.data.config import Split
    from attnkit.engine.log import RunLog
    from attnkit.engine.task import Task


def progress_of_check(say: Callable[[str], None]) -> Callable[[Split, int, int], None]:
    """What tells how far a check of data is."""
    return lambda split, done, total: say(f"{split}: {done:,} of {total:,} images checked")


def progress_before_training(say: Callable[[str], None]) -> Callable[[Split, int, int], None]:
    """What tells how far the look at the data is that comes before training."""
    return lambda split, done, total: say(f"data: {done:,} of {total:,} {split} images checked")


def sizes_between(smallest: Size | None, largest: Size | None) -> str:
    """What a line on a split ends with; nothing where no image could be read."""
    if smallest is None or largest is None:
        return ""
    return f", {smallest[1]}x{smallest[0]} to {largest[1]}x{largest[0]} pixels"


def say_what_is_trained(
    log: RunLog, task: Task, *, images: int, held_out: int, epoch: int, device: torch.device
) -> None:
    """Say how much there is to learn from, and how large the model is.

    Args:
        log: takes the lines.
        task: its facts name the classes.
        images: to train on.
        held_out: to validate on.
        epoch: its steps.
        device: where it is trained.
    """
    classes = len(task.facts["classes"])
    log.say(f"data: {images:,} training and {held_out:,} validation images, {classes:,} classes")
    log.say(f"model: {sum(p.numel() for p in task.parameters()):,} parameters, on {device}")
    log.say(f"an epoch is {epoch:,} steps")

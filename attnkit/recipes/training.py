"""The wiring of a training that the tasks on images share: check the data, build the parts, run the loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import torch

from attnkit.data.config import Split
from attnkit.data.finding import DataReport
from attnkit.data.images.batches import EpochBatches
from attnkit.engine.log import RunLog, open_log
from attnkit.engine.loop import Parts, fit
from attnkit.engine.precision import find_device
from attnkit.engine.schedule import build_schedule
from attnkit.engine.task import Task
from attnkit.errors import DataError
from attnkit.recipes.initial_weights import begin_with
from attnkit.run_dir import RunDir

if TYPE_CHECKING:
    from torch import nn

    from attnkit.engine.config import TrainConfig
    from attnkit.recipes.base import InitConfig

Progress = Callable[[Split, int, int], None]
"""Takes a split, how many of its images are done, and how many there are."""


class _Images(Protocol):
    """The opened set of a split."""

    @property
    def class_names(self) -> Sequence[str]:
        """The names of the K classes."""

    def __len__(self) -> int: ...


Images = TypeVar("Images", bound=_Images)


@dataclass(frozen=True)
class ImageTraining(Generic[Images]):
    """What differs between the tasks on images: the parts of a training."""

    check: Callable[[Progress], DataReport[Any]]
    """Looks at every file from outside."""
    expected: str
    """What the training set should be and how to name it, for an error message."""
    build_task: Callable[[Images, RunLog, torch.device], Task]
    """Makes the task for the training set, with the weights that it begins with."""
    train_batches: Callable[[Images, RunLog], EpochBatches[Any]]
    valid_batches: Callable[[Images], Iterable[Any]]
    embed_dim: int
    """The width that the schedule of the Transformer paper depends on."""


def train_on_images(
    data: Mapping[Split, Images | None],
    parts: ImageTraining[Images],
    config: TrainConfig,
    run: RunDir,
    *,
    resume: bool,
    device: str,
) -> None:
    """Train in a run folder, from the beginning or from its last checkpoint.

    Args:
        data: the splits of the recipe's data.
        parts: of the task.
        config: how long and how.
        run: the run folder.
        resume: whether to go on from the last checkpoint.
        device: auto, cpu, cuda...

    Raises:
        AttnkitError: whatever the user can fix; the run folder then holds what was saved before.
    """
    chosen = find_device(device)
    log = open_log(run, config)
    # from outside, every file: what is wrong there shows before anything takes long
    report = parts.check(lambda split, done, total: log.say(f"data: {done:,} of {total:,} {split} images checked"))
    report.raise_or_warn(log.warn)
    images = data["train"]
    if images is None:
        raise DataError(f"data.train: none; expected {parts.expected}")
    task = parts.build_task(images, log, chosen)
    batches = parts.train_batches(images, log)
    valid = data["valid"]
    valid_batches = None if valid is None else parts.valid_batches(valid)
    held_out = 0 if valid is None else len(valid)
    classes = len(task.facts["classes"])
    log.say(f"data: {len(images):,} training and {held_out:,} validation images, {classes:,} classes")
    log.say(f"model: {sum(p.numel() for p in task.parameters()):,} parameters, on {chosen}")
    log.say(f"an epoch is {batches.batches_per_epoch // config.accumulate:,} steps")
    schedule = build_schedule(config.schedule, steps=config.steps, embed_dim=parts.embed_dim)
    fit(Parts(task, batches, valid_batches, schedule), config, run, log, device=chosen, resume=resume)


def init_model(
    model: nn.Module, init: InitConfig | None, class_names: Sequence[str], log: RunLog, *, loads: bool
) -> None:
    """Give a model the weights that a recipe begins with, if it names any, and say which.

    Args:
        model: with fresh weights.
        init: which weights, and how.
        class_names: of the model.
        log: takes a line for each thing that was done.
        loads: whether to read them at all: a resumed training has its own.
    """
    if init is not None:
        for line in begin_with(model, init, class_names, loads=loads):
            log.say(line)

"""What `attnkit evaluate` was asked, and which task that is about."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from attnkit.cli.chosen_run import chosen_run
from attnkit.cli.evaluation.text_scoring import refuse_unknown
from attnkit.errors import AttnkitError

METRICS = {"translation": ("bleu", "chrf", "ter"), "classification": ("top1", "top5", "ece", "real")}
"""Task to its metrics, as they are listed to whoever names another one; top5 stands for any topK."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What every evaluation has, whatever its task."""

    metrics: Sequence[str]
    """As they were named; none for the usual ones."""
    run: Path | None
    split: str
    checkpoint: Path | None
    device: str
    save: Path | None
    as_json: bool


@dataclass(frozen=True, kw_only=True)
class TextOptions:
    """What is only for translation. The names are those of the options."""

    hyp: str | None
    ref: Sequence[str] | None
    baseline: str | None
    tokenize: str | None
    lowercase: bool | None
    compat: str | None
    language: str | None
    raw_ref: bool
    beam_size: int | None
    length_penalty: str | None


@dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """What is only for classification. The names are those of the options."""

    predictions: str | None
    labels: str | None
    real: str | None
    per_class: bool
    rows: int | None
    confusion: Path | None
    batch_size: int | None
    precision: str | None


def task_asked_for(asked: Evaluation, text: TextOptions, images: ImageOptions) -> tuple[str, Path | None]:
    """The task, and the run if the task was its.

    The metrics tell it, else the options that only one task has, else the run, which is the newest if none is named.

    Raises:
        AttnkitError: an unknown metric, or metrics or options of several tasks.
    """
    options = {"translation": _given(text), "classification": _given(images)}
    named = [(_task_of_metric(metric), f"--metric {metric}") for metric in asked.metrics]
    named += [(task, option) for task, given in options.items() for option in given]
    if not named:
        from attnkit.run_dir import task_of

        run = chosen_run(asked.run, task=None)
        return task_of(run) or "translation", run.path
    task, option = named[0]
    for other_task, other in named:
        if other_task != task:
            raise AttnkitError(
                f"{other}: is for {other_task}, but {option} for {task}; expected one task; leave one of them out"
            )
    return task, asked.run


def _given(options: TextOptions | ImageOptions) -> list[str]:
    values = {field.name: getattr(options, field.name) for field in fields(options)}
    return [f"--{name.replace('_', '-')}" for name, value in values.items() if value is not None and value is not False]


def _task_of_metric(metric: str) -> str:
    every = {name: task for task, names in METRICS.items() for name in names}
    if metric not in every and not re.fullmatch(r"top[1-9][0-9]*", metric):
        refuse_unknown("--metric", metric, list(every))
    return every.get(metric, "classification")

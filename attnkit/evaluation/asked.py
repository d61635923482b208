"""What `attnkit evaluate` was asked, and which task that is about."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnkit.cli.options import refuse_precision
from attnkit.errors import AttnkitError
from attnkit.evaluation.text_scoring import refuse_unknown
from attnkit.report.picture_file import check_picture
from attnkit.run_dir import chosen_run

if TYPE_CHECKING:
    from attnkit.data.open import DataConfig, OpenedData

METRICS = {
    "translation": ("bleu", "chrf", "ter"),
    "classification": ("top1", "top5", "ece", "real"),
    "segmentation": ("miou", "macc", "aacc", "fwiou"),
    "detection": ("ap",),
}
"""Task to its metrics, as they are listed to whoever names another one; top5 stands for any topK."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What every evaluation has, whatever its task."""

    metrics: Sequence[str] = ()
    """As they were named; none for the usual ones."""
    run: Path | None = None
    split: str = "test"
    checkpoint: Path | None = None
    device: str = "auto"
    save: Path | None = None
    as_json: bool = False
    data: OpenedData[Any] | None = None
    """That of the run, where it is opened already, by its training."""

    def opened_data(self, config: DataConfig) -> OpenedData[Any]:
        """The data of the run, whose recipe has this of it."""
        from attnkit.data.open import OpenedData

        return OpenedData(config) if self.data is None else self.data


@dataclass(frozen=True, kw_only=True)
class TextOptions:
    """What is only for translation. The names are those of the options."""

    hyp: str | None = None
    ref: Sequence[str] | None = None
    baseline: str | None = None
    tokenize: str | None = None
    lowercase: bool | None = None
    compat: str | None = None
    language: str | None = None
    raw_ref: bool = False
    beam_size: int | None = None
    length_penalty: str | None = None


@dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """What tasks about images have in common, though detection has no labels and confusion. The names are those of the
    options.
    """

    predictions: str | None = None
    labels: str | None = None
    per_class: bool = False
    rows: int | None = None
    confusion: Path | None = None
    precision: str | None = None


@dataclass(frozen=True, kw_only=True)
class ClassificationOptions:
    """What is only for classification. The names are those of the options."""

    real: str | None = None
    batch_size: int | None = None


@dataclass(frozen=True, kw_only=True)
class SegmentationOptions:
    """What is only for segmentation. The names are those of the options."""

    bars: Path | None = None
    classes: str | None = None
    ignore: Sequence[int] | None = None
    reduce_zero_label: bool = False
    scales: str | None = None
    flip: bool | None = None
    """For detection too."""
    window: str | None = None
    overlap: float | None = None


@dataclass(frozen=True, kw_only=True)
class DetectionOptions:
    """What is only for detection. The names are those of the options."""

    ground_truth: str | None = None
    max_detections: int | None = None
    curves: Path | None = None
    errors: bool = False
    sizes: str | None = None
    nms_threshold: float | None = None
    soft_nms: bool | None = None


Options = TextOptions | ImageOptions | ClassificationOptions | SegmentationOptions | DetectionOptions

_TASKS: dict[type[Options], frozenset[str]] = {
    TextOptions: frozenset({"translation"}),
    ImageOptions: frozenset({"classification", "segmentation", "detection"}),
    ClassificationOptions: frozenset({"classification"}),
    SegmentationOptions: frozenset({"segmentation"}),
    DetectionOptions: frozenset({"detection"}),
}
_OF_FEWER_OR_MORE = {
    "--labels": frozenset({"classification", "segmentation"}),
    "--confusion": frozenset({"classification", "segmentation"}),
    "--flip": frozenset({"segmentation", "detection"}),
}
"""Options whose tasks are not those of the options beside them."""


def check_images(options: ImageOptions) -> None:
    """Refuse what no task about images can do, before it is known which one it is.

    Raises:
        AttnkitError: an option without the one that it belongs to.
    """
    if options.rows is not None and not options.per_class:
        raise AttnkitError("--rows: says how long --per-class is; expected that too; add it")
    if options.labels is not None and options.predictions is None:
        raise AttnkitError("--labels: nothing to compare with; expected --predictions too; add it")
    if options.confusion is not None:
        check_picture("--confusion", options.confusion)
    if options.precision is not None:
        refuse_precision(options.precision)


def task_asked_for(asked: Evaluation, *options: Options) -> tuple[str, Path | None]:
    """The task, and the run if the task was its.

    The metrics tell it, else the options that not every task has, else whether --predictions is a folder, of masks,
    else the run, which is the newest if none is named.

    Raises:
        AttnkitError: an unknown metric, or metrics, options and run of several tasks.
    """
    named = [(_tasks_of_metric(metric), f"--metric {metric}") for metric in asked.metrics]
    named += [
        (_OF_FEWER_OR_MORE.get(option, _TASKS[type(some)]), option) for some in options for option in _given(some)
    ]
    _refuse_strangers(named)
    tasks = frozenset.intersection(*(tasks for tasks, _ in named)) if named else frozenset(METRICS)
    predictions = next((some.predictions for some in options if isinstance(some, ImageOptions)), None)
    if len(tasks) > 1 and predictions is not None:
        tasks = frozenset({"segmentation" if Path(predictions).expanduser().is_dir() else "classification"})
    if len(tasks) == 1:
        return next(iter(tasks)), asked.run
    return _task_of_run(asked, tasks, named)


def _task_of_run(
    asked: Evaluation, tasks: frozenset[str], named: Sequence[tuple[frozenset[str], str]]
) -> tuple[str, Path]:
    from attnkit.run_dir import task_of

    run = chosen_run(asked.run, task=None)
    task = task_of(run) or "translation"
    _refuse_strangers([*named, (frozenset({task}), f"{run.path}")])
    return task, run.path


def _refuse_strangers(named: Sequence[tuple[frozenset[str], str]]) -> None:
    """Refuse two options that have no task in common."""
    for number, (tasks, option) in enumerate(named):
        for others, other in named[number + 1 :]:
            if not tasks & others:
                raise AttnkitError(
                    f"{other}: is for {_said(others)}, but {option} for {_said(tasks)}; expected one task; "
                    "leave one of them out"
                )


def _said(tasks: frozenset[str]) -> str:
    *first, last = sorted(tasks)
    return f"{', '.join(first)} and {last}" if first else last


def _given(options: Options) -> Iterator[str]:
    for field in fields(options):
        value = getattr(options, field.name)
        if value is not None and value is not False and value != []:
            yield f"--{field.name.replace('_', '-')}"


def _tasks_of_metric(metric: str) -> frozenset[str]:
    every = {name: task for task, names in METRICS.items() for name in names}
    if metric not in every and not re.fullmatch(r"top[1-9][0-9]*", metric):
        refuse_unknown("--metric", metric, list(every))
    return frozenset({every.get(metric, "classification")})

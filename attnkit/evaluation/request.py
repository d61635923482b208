"""What `attnkit evaluate` is asked, which task that is about, and the scores that a run keeps."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, Protocol, cast

import typer

from attnkit.errors import AttnkitError
from attnkit.report.picture_file import check_picture
from attnkit.run_dir import chosen_run, chosen_weights

if TYPE_CHECKING:
    from attnkit.config import Config
    from attnkit.data.config import Split
    from attnkit.data.open import DataConfig, OpenedData
    from attnkit.recipe_file import Override
    from attnkit.run_dir import RunDir

TASKS = frozenset({"translation", "classification", "segmentation", "detection"})


@dataclass(frozen=True, kw_only=True)
class Request:
    """What every evaluation is asked, whatever its task."""

    metrics: Sequence[str] = ()
    """Names of metrics; none for the usual ones."""
    run: Path | None = None
    split: Split = "test"
    checkpoint: Path | None = None
    device: str = "auto"
    save: Path | None = None
    as_json: bool = False
    overrides: Sequence[Override] = ()
    """What is changed in the run's recipe."""
    data: OpenedData[Any] | None = None
    """The data of the run, if its training has opened it already."""

    def opened_data(self, config: DataConfig) -> OpenedData[Any]:
        """The data of the run, opened now unless it is already."""
        from attnkit.data.open import OpenedData

        return OpenedData(config) if self.data is None else self.data

    def refuse_run(self, option: str, scored: str, *own: object, others: str) -> None:
        """Refuse what only a run can be asked, where files are scored.

        Args:
            option: that names the files.
            scored: what they hold, for people.
            own: values of options of the task that are for runs; None where they are not given.
            others: the names of these, and of options that change a recipe.

        Raises:
            AttnkitError: there is such a thing.
        """
        if self.overrides or any(given is not None for given in (self.run, self.checkpoint, self.save, *own)):
            raise AttnkitError(
                f"{option}: scores {scored}, no run; expected no --run, --checkpoint, --save, {others}; leave them "
                f"out, or {option}"
            )


class OptionGroup(Protocol):
    """A dataclass whose fields are options of the command, named alike."""

    @property
    def tasks(self) -> frozenset[str]:
        """The tasks that have these options."""


@dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """Options of all tasks about images."""

    predictions: Annotated[
        str | None, typer.Option("--predictions", metavar="FILE|DIR", help="Score these, no run; see above.")
    ] = None
    per_class: Annotated[
        bool, typer.Option("--per-class", help="A table of the classes, that of the lowest recall, IoU or AP first.")
    ] = False
    rows: Annotated[
        int | None, typer.Option("--rows", metavar="N", min=0, help="Of --per-class  [default: 20]; 0 is all.")
    ] = None
    precision: Annotated[
        str | None, typer.Option("--precision", metavar="NAME", help="Of images: float32, bfloat16; auto by default.")
    ] = None

    tasks = frozenset({"classification", "segmentation", "detection"})


@dataclass(frozen=True, kw_only=True)
class LabelOptions:
    """Options of the tasks that give an image, or each of its pixels, one class."""

    labels: Annotated[
        str | None,
        typer.Option(
            "--labels", metavar="FILE|DIR", help="What is true: a file, a folder of images per class, or one of masks."
        ),
    ] = None
    confusion: Annotated[
        Path | None, typer.Option("--confusion", metavar="FILE", help="Draw the confusion matrix: .png, .svg, or .csv.")
    ] = None

    tasks = frozenset({"classification", "segmentation"})


def check_images(images: ImageOptions, labels: LabelOptions) -> None:
    """Refuse what no task about images can do, before it is known which one it is.

    Raises:
        AttnkitError: an option without the one that it belongs to, or a drawing that cannot be made.
    """
    if images.rows is not None and not images.per_class:
        raise AttnkitError("--rows: says how long --per-class is; expected that too; add it")
    if labels.labels is not None and images.predictions is None:
        raise AttnkitError("--labels: nothing to compare with; expected --predictions too; add it")
    if labels.confusion is not None:
        check_picture("--confusion", labels.confusion)


def find_task(request: Request, predictions: str | None, groups: Sequence[OptionGroup]) -> tuple[str, Path | None]:
    """Find the task that a request is about, and the run if that was needed to decide.

    The metrics decide; or else the options that not every task has; or else the predictions, which for masks are a
    folder; or else the run, which is the newest if none is named.

    Raises:
        AttnkitError: an unknown metric, or metrics, options and run of several tasks.
    """
    named = [(_tasks_of_metric(metric), f"--metric {metric}") for metric in request.metrics]
    named += [(group.tasks, option) for group in groups for option in _given(group)]
    _refuse_different_tasks(named)
    tasks = frozenset.intersection(*(tasks for tasks, _ in named)) if named else TASKS
    if len(tasks) > 1 and predictions is not None:
        tasks = frozenset({"segmentation" if Path(predictions).expanduser().is_dir() else "classification"})
    if len(tasks) == 1:
        return next(iter(tasks)), request.run
    return _task_of_run(request.run, named)


def _task_of_run(run: Path | None, named: Sequence[tuple[frozenset[str], str]]) -> tuple[str, Path]:
    from attnkit.run_dir import task_of

    chosen = chosen_run(run, task=None)
    task = task_of(chosen) or "translation"
    _refuse_different_tasks([*named, (frozenset({task}), f"{chosen.path}")])
    return task, chosen.path


def _refuse_different_tasks(named: Sequence[tuple[frozenset[str], str]]) -> None:
    """Refuse two options that have no task in common."""
    for number, (tasks, option) in enumerate(named):
        for others, other in named[number + 1 :]:
            if not tasks & others:
                raise AttnkitError(
                    f"{other}: is for {_listed(others)}, but {option} for {_listed(tasks)}; expected one task; "
                    "leave one of them out"
                )


def _listed(tasks: frozenset[str]) -> str:
    *first, last = sorted(tasks)
    return f"{', '.join(first)} and {last}" if first else last


def _given(group: OptionGroup) -> Iterator[str]:
    for field in fields(cast("Any", group)):
        value = getattr(group, field.name)
        if value is not None and value is not False and value != []:
            yield f"--{field.name.replace('_', '-')}"


def _tasks_of_metric(metric: str) -> frozenset[str]:
    from attnkit.metrics.accuracy import CLASSIFICATION_METRICS
    from attnkit.metrics.coco_ap import DETECTION_METRICS
    from attnkit.metrics.mean_iou import SEGMENTATION_METRICS
    from attnkit.metrics.text import TEXT_METRICS

    every = (
        dict.fromkeys(TEXT_METRICS, "translation")
        | dict.fromkeys(CLASSIFICATION_METRICS, "classification")
        | dict.fromkeys(SEGMENTATION_METRICS, "segmentation")
        | dict.fromkeys(DETECTION_METRICS, "detection")
    )
    if metric not in every and not re.fullmatch(r"top[1-9][0-9]*", metric):
        refuse_unknown("--metric", metric, list(every))
    return frozenset({every.get(metric, "classification")})


def refuse_unknown(option: str, value: str, known: Sequence[str]) -> NoReturn:
    """Say that an option has no such choice, and which ones it has.

    Raises:
        AttnkitError: always.
    """
    close = get_close_matches(value.lower(), known, n=1)
    hint = f"did you mean {close[0]}?" if close else "choose one of them"
    raise AttnkitError(f"{option}: there is no '{value}'; expected {', '.join(known)}; {hint}")


def run_to_score(request: Request, task: str, *changes: Override) -> tuple[RunDir, Any, Path]:
    """The run, its recipe with all that is changed in it, and the weights.

    Raises:
        AttnkitError: there is no such run of the task, its recipe cannot be read or changed so, or it has no weights.
    """
    from attnkit import recipe_file

    run = chosen_run(request.run, task=task)
    recipe = recipe_file.load(run.recipe, options=[*request.overrides, *changes])
    return run, recipe, chosen_weights(run, request.checkpoint)


def variant_of(run: RunDir, inference: Config) -> str:
    """The suffix, in scores.json, of scores of a model that was not run as its recipe says."""
    from attnkit import recipe_file

    values = inference.model_dump(mode="json")
    of_recipe = cast("Any", recipe_file.load(run.recipe)).inference.model_dump(mode="json")
    return "".join(
        f".{name}={json.dumps(value, separators=(',', ':'))}"
        for name, value in values.items()
        if value != of_recipe[name]
    )


def keep_scores(run: RunDir, split: str, scores: Mapping[str, Mapping[str, Any]]) -> None:
    """Put scores into the run's scores.json, beside those of other splits and metrics."""
    from attnkit.run_dir import write_json

    try:
        kept = json.loads(run.scores.read_text(encoding="utf-8")) if run.scores.exists() else {}
        if not isinstance(kept, dict) or not isinstance(kept.get(split, {}), dict):
            raise ValueError("not an object of splits")
        write_json(run.scores, kept | {split: kept.get(split, {}) | dict(scores)})
    except (OSError, ValueError) as error:
        typer.echo(f"{run.scores}: the scores were not kept: {error}; fix or remove the file", err=True)

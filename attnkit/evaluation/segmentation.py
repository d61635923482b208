"""attnkit evaluate, of masks: those of a run on its test set, or anyone's against labels."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from attnkit.errors import AttnkitError, DataError
from attnkit.evaluation.request import ImageOptions, LabelOptions, Request, keep_scores, run_to_score, variant_of
from attnkit.report.confusion_plot import write_confusion
from attnkit.report.iou_bars import write_bars
from attnkit.report.picture_file import check_picture
from attnkit.report.score_tables import lowest_first, print_class_ious, print_image_scores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from attnkit.engine.precision import Precision
    from attnkit.metrics.accuracy import Score
    from attnkit.metrics.mean_iou import SegmentationCounts, SegmentationScores
    from attnkit.recipes.segmentation.recipe import SegmentationRecipe
    from attnkit.recipes.segmentation.segmenter import Segmenter
    from attnkit.run_dir import RunDir


@dataclass(frozen=True, kw_only=True)
class SegmentationOptions:
    """Options of segmentation alone."""

    classes: Annotated[
        str | None,
        typer.Option("--classes", metavar="FILE", help="Names of the masks' classes: .json, or .txt, one a line."),
    ] = None
    ignore: Annotated[
        list[int] | None,
        typer.Option("--ignore", metavar="N", help="Value of a label of no class  [default: 255]. Repeatable."),
    ] = None
    reduce_zero_label: Annotated[
        bool,
        typer.Option("--reduce-zero-label", help="Labels are one more than predictions, 0 is of no class: ADE20K."),
    ] = False
    bars: Annotated[
        Path | None, typer.Option("--bars", metavar="FILE", help="Draw the IoU of each class: .png, .svg, or .csv.")
    ] = None

    tasks = frozenset({"segmentation"})


def evaluate_segmentation(
    request: Request, images: ImageOptions, labels: LabelOptions, options: SegmentationOptions
) -> None:
    """Score masks, print the scores, and keep those of a run.

    Raises:
        AttnkitError: options do not go together, or what they name cannot be scored.
    """
    _check(request, images, labels, options)
    if images.predictions is not None:
        from attnkit.evaluation.segmentation_files import count_files

        assert labels.labels is not None, "checked before"
        counts, class_names = count_files(
            images.predictions,
            labels.labels,
            classes=options.classes,
            ignore=options.ignore or None,
            reduce_zero_label=options.reduce_zero_label,
        )
        about: dict[str, Any] = {"predictions": images.predictions, "labels": labels.labels}
        _score(request, images, labels, options, counts, class_names, about)
    else:
        _evaluate_run(request, images, labels, options)


def _check(request: Request, images: ImageOptions, labels: LabelOptions, options: SegmentationOptions) -> None:
    """Refuse what cannot be, before anything takes long."""
    if options.bars is not None:
        check_picture("--bars", options.bars)
    if images.predictions is None:
        if options.classes is not None or options.ignore or options.reduce_zero_label:
            raise AttnkitError(
                "--classes, --ignore, --reduce-zero-label: say what masks of --predictions mean; a run knows it by its "
                "recipe; expected --predictions too; add it, or leave them out"
            )
        if request.save is not None and request.save.is_file():
            raise AttnkitError(f"--save {request.save}: is a file; expected a folder for masks; name another")
        return
    others = "--precision, --scales, --flip, --window or --overlap"
    request.refuse_run("--predictions", "masks", images.precision, others=others)
    if labels.labels is None:
        raise AttnkitError("--predictions: nothing to compare with; expected the true masks too; add --labels DIR")


def _evaluate_run(request: Request, images: ImageOptions, labels: LabelOptions, options: SegmentationOptions) -> None:
    from attnkit.recipes.segmentation.segmenter import load_segmenter

    run, recipe, weights = run_to_score(request, "segmentation")
    segmenter = load_segmenter(
        recipe,
        run,
        device=request.device,
        precision=cast("Precision", images.precision or "auto"),
        weights=weights,
        say=lambda line: typer.echo(line, err=True),
    )
    counts = _segment(request, segmenter, recipe, run)
    inference = recipe.inference.model_dump(mode="json")
    about = {"weights": str(weights), "precision": segmenter.precision, "inference": inference}
    shown = {"run": str(run.path), "split": request.split, **about}
    scores = _score(request, images, labels, options, counts, segmenter.class_names, shown)
    variant = variant_of(run, recipe.inference)
    keep_scores(run, request.split, {name + variant: score.as_dict() | about for name, score in scores.items()})


def _segment(request: Request, segmenter: Segmenter, recipe: SegmentationRecipe, run: RunDir) -> SegmentationCounts:
    """The pixels of the split, counted by their true and predicted classes; the masks are saved if asked for."""
    from attnkit.metrics.mean_iou import SegmentationCounts
    from attnkit.recipes.segmentation.segmenter import segment_split

    saved = None if request.save is None else _SavedMasks(request.save, segmenter)
    counts = SegmentationCounts(len(segmenter.class_names))
    for scene in segment_split(segmenter, request.opened_data(recipe.data), run, request.split):
        counts.add(scene.labels, scene.prediction)
        if saved is not None:
            saved.save(scene.name, scene.prediction)
    if not counts.confusion.any():
        raise DataError(
            f"{run.recipe}: data.{request.split}: no pixel is of a class; expected labels; see attnkit data check"
        )
    if saved is not None:
        typer.echo(f"{request.save}: masks of {len(counts)} images", err=True)
    return counts


class _SavedMasks:
    """A folder of masks as attnkit segment --save writes them, to be read by --predictions."""

    def __init__(self, folder: Path, segmenter: Segmenter) -> None:
        self._folder, self._colours = folder, segmenter.colours
        self._taken: set[str] = set()

    def save(self, name: str, prediction: Any) -> None:
        from attnkit.data.formats.mask_png import mask_png
        from attnkit.run_dir import write_whole

        if name in self._taken:
            raise DataError(
                f"--save {self._folder}: two images are named {name}, in different folders; expected each name once; "
                "leave --save out, or use attnkit segment --save"
            )
        self._taken.add(name)
        write_whole(self._folder / f"{name}.png", mask_png(prediction, self._colours))


def _score(
    request: Request,
    images: ImageOptions,
    labels: LabelOptions,
    options: SegmentationOptions,
    counts: SegmentationCounts,
    class_names: Sequence[str],
    about: dict[str, Any],
) -> dict[str, Score]:
    """Compute, print and draw what was asked for."""
    from attnkit.metrics.mean_iou import SEGMENTATION_METRICS, iou_scores

    scores = iou_scores(counts)
    wanted = {name: scores.means[name] for name in request.metrics or SEGMENTATION_METRICS}
    if request.as_json:
        values = {"scores": {name: score.as_dict() for name, score in wanted.items()}}
        typer.echo(
            json.dumps({**about, **values, "per_class": _plain(scores, class_names)}, indent=2, ensure_ascii=False)
        )
    else:
        print_image_scores(list(wanted.values()), interval="bootstrap")
        if images.per_class:
            typer.echo()
            print_class_ious(scores, class_names, rows=images.rows)
    if labels.confusion is not None:
        write_confusion(labels.confusion, counts.confusion, class_names, unit="pixels")
        typer.echo(f"{labels.confusion}: confusion matrix of {len(class_names)} classes", err=True)
    if options.bars is not None:
        write_bars(options.bars, scores, class_names)
        typer.echo(f"{options.bars}: IoU of {len(class_names)} classes", err=True)
    return wanted


def _plain(scores: SegmentationScores, class_names: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {
            "class": class_names[k],
            "index": k,
            "labelled": int(scores.labelled[k]),
            "predicted": int(scores.predicted[k]),
            "iou": _or_none(scores.iou[k]),
            "accuracy": _or_none(scores.accuracy[k]),
        }
        for k in lowest_first(scores)
    ]


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else float(value)

"""attnkit evaluate, of masks: those of a run on its test set, or anyone's against labels."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import typer

from attnkit.cli.options import SegmenterOptions
from attnkit.errors import AttnkitError, DataError
from attnkit.evaluation.asked import METRICS, Evaluation, ImageOptions, SegmentationOptions
from attnkit.evaluation.kept_scores import keep_scores
from attnkit.evaluation.segmentation_files import PixelValues, count_files
from attnkit.report.class_tables import lowest_first, print_class_ious, print_scores
from attnkit.report.confusion_plot import write_confusion
from attnkit.report.iou_bars import write_bars
from attnkit.report.picture_file import check_picture
from attnkit.run_dir import chosen_run, chosen_weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from attnkit.data.config import Split
    from attnkit.engine.precision import Precision
    from attnkit.metrics.accuracy import Score
    from attnkit.metrics.mean_iou import SegmentationCounts, SegmentationScores
    from attnkit.recipe_file import Override
    from attnkit.recipes.segmentation.recipe import InferenceConfig, SegmentationRecipe
    from attnkit.recipes.segmentation.segmenter import Segmenter
    from attnkit.run_dir import RunDir


def evaluate_segmentation(asked: Evaluation, options: ImageOptions, own: SegmentationOptions) -> None:
    """Score masks, print the scores, and keep those of a run."""
    _check(asked, options, own)
    if options.predictions is not None:
        assert options.labels is not None, "checked before"
        values = PixelValues(classes=own.classes, ignore=own.ignore, reduce_zero_label=own.reduce_zero_label)
        counts, class_names = count_files(options.predictions, options.labels, values)
        about: dict[str, Any] = {"predictions": options.predictions, "labels": options.labels}
        _score(asked, options, own, counts, class_names, about)
        return
    run, recipe = _open_run(asked)
    looking = SegmenterOptions(scales=own.scales, flip=own.flip, window=own.window, overlap=own.overlap)
    inference = _load(run, looking.overrides()).inference
    counts, class_names, about = _segment(asked, options, recipe, run, inference)
    scores = _score(asked, options, own, counts, class_names, {"run": str(run.path), "split": asked.split, **about})
    variant = _variant(inference, recipe.inference)
    keep_scores(run, asked.split, {name + variant: score.as_dict() | about for name, score in scores.items()})


def _check(asked: Evaluation, options: ImageOptions, own: SegmentationOptions) -> None:
    """Refuse what cannot be, before anything takes long."""
    if own.bars is not None:
        check_picture("--bars", own.bars)
    looks = {"scales": own.scales, "flip": own.flip, "window": own.window, "overlap": own.overlap}
    if options.predictions is None:
        if own.classes is not None or own.ignore is not None or own.reduce_zero_label:
            raise AttnkitError(
                "--classes, --ignore, --reduce-zero-label: say what masks of --predictions mean; a run knows it by its "
                "recipe; expected --predictions too; add it, or leave them out"
            )
        if asked.save is not None and asked.save.is_file():
            raise AttnkitError(f"--save {asked.save}: is a file; expected a folder for masks; name another")
        return
    of_runs = (asked.run, asked.checkpoint, asked.save, options.precision, *looks.values())
    if any(option is not None for option in of_runs):
        raise AttnkitError(
            "--predictions: scores masks, no run; expected no --run, --checkpoint, --save, --precision, --scales, "
            "--flip, --window or --overlap; leave them out, or --predictions"
        )
    if options.labels is None:
        raise AttnkitError("--predictions: nothing to compare with; expected the true masks too; add --labels DIR")


def _open_run(asked: Evaluation) -> tuple[RunDir, SegmentationRecipe]:
    run = chosen_run(asked.run, task="segmentation")
    return run, _load(run)


def _load(run: RunDir, options: Sequence[Override] = ()) -> SegmentationRecipe:
    from attnkit import recipe_file

    return cast("SegmentationRecipe", recipe_file.load(run.recipe, options=options))


def _segment(
    asked: Evaluation, options: ImageOptions, recipe: SegmentationRecipe, run: RunDir, inference: InferenceConfig
) -> tuple[SegmentationCounts, tuple[str, ...], dict[str, Any]]:
    """What a run makes of its split, counted and saved if asked for, and what the scores depend on."""
    weights = chosen_weights(run, asked.checkpoint)
    from attnkit.metrics.mean_iou import SegmentationCounts
    from attnkit.recipes.segmentation.segmenter import load_segmenter, segment_split

    segmenter = load_segmenter(
        recipe,
        run,
        device=asked.device,
        precision=cast("Precision", options.precision or "auto"),
        weights=weights,
        say=lambda line: typer.echo(line, err=True),
    )
    saved = None if asked.save is None else _SavedMasks(asked.save, segmenter)
    counts = SegmentationCounts(len(segmenter.class_names))
    for scene in segment_split(
        segmenter, asked.opened_data(recipe.data), run, cast("Split", asked.split), inference=inference
    ):
        counts.add(scene.labels, scene.prediction)
        if saved is not None:
            saved.save(scene.name, scene.prediction)
    if not counts.confusion.any():
        raise DataError(
            f"{run.recipe}: data.{asked.split}: no pixel is of a class; expected labels; see attnkit data check"
        )
    if saved is not None:
        typer.echo(f"{asked.save}: masks of {len(counts)} images", err=True)
    about = {"weights": str(weights), "precision": segmenter.precision, "inference": inference.model_dump(mode="json")}
    return counts, segmenter.class_names, about


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


def _variant(inference: InferenceConfig, usual: InferenceConfig) -> str:
    """What tells these scores from those of the recipe's way to look at images, in scores.json."""
    values, of_recipe = inference.model_dump(mode="json"), usual.model_dump(mode="json")
    return "".join(
        f".{name}={json.dumps(value, separators=(',', ':'))}"
        for name, value in values.items()
        if value != of_recipe[name]
    )


def _score(
    asked: Evaluation,
    options: ImageOptions,
    own: SegmentationOptions,
    counts: SegmentationCounts,
    class_names: Sequence[str],
    about: dict[str, Any],
) -> dict[str, Score]:
    """Compute and print what was asked for."""
    from attnkit.metrics.mean_iou import iou_scores

    scores = iou_scores(counts)
    wanted = {name: scores.means[name] for name in asked.metrics or METRICS["segmentation"]}
    if asked.as_json:
        values = {"scores": {name: score.as_dict() for name, score in wanted.items()}}
        typer.echo(
            json.dumps({**about, **values, "per_class": _plain(scores, class_names)}, indent=2, ensure_ascii=False)
        )
    else:
        print_scores(list(wanted.values()), interval="bootstrap")
        if options.per_class:
            typer.echo()
            print_class_ious(scores, class_names, rows=options.rows)
    _draw(options, own, counts, scores, class_names)
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


def _draw(
    options: ImageOptions,
    own: SegmentationOptions,
    counts: SegmentationCounts,
    scores: SegmentationScores,
    class_names: Sequence[str],
) -> None:
    if options.confusion is not None:
        write_confusion(options.confusion, counts.confusion, class_names, unit="pixels")
        typer.echo(f"{options.confusion}: confusion matrix of {len(class_names)} classes", err=True)
    if own.bars is not None:
        write_bars(own.bars, scores, class_names)
        typer.echo(f"{own.bars}: IoU of {len(class_names)} classes", err=True)

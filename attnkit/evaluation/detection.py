"""attnkit evaluate, of boxes and masks of objects: those of a run on its test set, or anyone's against the truth."""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, cast

import typer

from attnkit.cli.options import DetectorOptions
from attnkit.data.formats.coco_results import CocoResult, CocoResultsWriter
from attnkit.errors import AttnkitError, DataError
from attnkit.evaluation.asked import DetectionOptions, Evaluation, ImageOptions
from attnkit.evaluation.detection_files import score_files
from attnkit.evaluation.kept_scores import keep_scores
from attnkit.metrics.detection_scores import DetectionScoring, Scored
from attnkit.report.detection_tables import print_classes, print_errors, print_scores
from attnkit.report.picture_file import check_picture
from attnkit.report.precision_recall_plot import write_curves
from attnkit.run_dir import chosen_run, chosen_weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from attnkit.data.config import Split
    from attnkit.engine.precision import Precision
    from attnkit.recipe_file import Override
    from attnkit.recipes.detection.detector import DetectedImage, Detector
    from attnkit.recipes.detection.recipe import DetectionInferenceConfig, DetectionRecipe
    from attnkit.run_dir import RunDir
    from attnkit.structures.image_objects import ImageFound, Rle

MAX_DETECTIONS = 100
"""Of a class on an image: COCO's. A run's own number stands in its recipe."""


def evaluate_detection(asked: Evaluation, options: ImageOptions, own: DetectionOptions, *, flip: bool | None) -> None:
    """Score detections, print the scores, and keep those of a run."""
    changes = _check(asked, options, own, flip)
    if options.predictions is not None:
        assert own.ground_truth is not None, "checked before"
        most = own.max_detections or MAX_DETECTIONS
        scoring = score_files(options.predictions, own.ground_truth, max_detections=most)
        if not scoring.has_objects:
            raise DataError(
                f"{own.ground_truth}: no objects; expected annotations that are no crowds; correct the path"
            )
        about: dict[str, Any] = {"predictions": options.predictions, "ground_truth": own.ground_truth}
        _score(asked, options, own, scoring, about)
        return
    run, recipe = _open_run(asked)
    inference = _load(run, changes).inference
    scoring, about = _detect(asked, options, recipe, run, inference)
    scored = _score(asked, options, own, scoring, {"run": str(run.path), "split": asked.split, **about})
    variant = _variant(inference, recipe.inference)
    kept = {name + variant: score | about for name, score in scored.plain_scores().items()}
    keep_scores(run, asked.split, kept)


def _check(asked: Evaluation, options: ImageOptions, own: DetectionOptions, flip: bool | None) -> list[Override]:
    """Refuse what cannot be, before anything takes long; give what is changed in how a run looks at images."""
    if own.curves is not None:
        check_picture("--curves", own.curves)
    changes = DetectorOptions(
        nms_threshold=own.nms_threshold,
        soft_nms=own.soft_nms,
        max_detections=own.max_detections,
        sizes=own.sizes,
        flip=flip,
    ).overrides()
    if options.predictions is None:
        if own.ground_truth is not None:
            raise AttnkitError("--ground-truth: nothing to compare with; expected --predictions too; add it")
        if asked.save is not None and asked.save.is_dir():
            raise AttnkitError(
                f"--save {asked.save}: is a folder; expected a file for results; name results.json in it"
            )
        return changes
    of_runs = (asked.run, asked.checkpoint, asked.save, options.precision)
    if any(option is not None for option in of_runs) or {change.key for change in changes} - {
        "inference.max_detections"
    }:
        raise AttnkitError(
            "--predictions: scores detections, no run; expected no --run, --checkpoint, --save, --precision, --sizes, "
            "--flip, --nms-threshold or --soft-nms; leave them out, or --predictions"
        )
    if own.max_detections is not None and own.max_detections < 1:
        raise AttnkitError(
            f"--max-detections {own.max_detections}: nothing would be found; expected 1 or more; write 100"
        )
    if own.ground_truth is None:
        raise AttnkitError("--predictions: nothing to compare with; expected the truth too; add --ground-truth FILE")
    return changes


def _open_run(asked: Evaluation) -> tuple[RunDir, DetectionRecipe]:
    run = chosen_run(asked.run, task="detection")
    return run, _load(run)


def _load(run: RunDir, options: Sequence[Override] = ()) -> DetectionRecipe:
    from attnkit import recipe_file

    return cast("DetectionRecipe", recipe_file.load(run.recipe, options=options))


def _detect(
    asked: Evaluation,
    options: ImageOptions,
    recipe: DetectionRecipe,
    run: RunDir,
    inference: DetectionInferenceConfig,
) -> tuple[DetectionScoring, dict[str, Any]]:
    """What a run finds on its split, compared and saved if asked for, and what the scores depend on."""
    weights = chosen_weights(run, asked.checkpoint)
    from attnkit.recipes.detection.average_precision import found_of, truth_of
    from attnkit.recipes.detection.detector import detect_split, load_detector

    detector = load_detector(
        recipe, run, device=asked.device, precision=cast("Precision", options.precision or "auto"), weights=weights
    )
    scoring: DetectionScoring | None = None
    saver = None if asked.save is None else CocoResultsWriter(asked.save)
    with saver or nullcontext():
        for one in detect_split(
            detector, asked.opened_data(recipe.data), run, cast("Split", asked.split), inference=inference
        ):
            masks = detector.has_masks and one.objects.masks is not None
            scoring = scoring or DetectionScoring(
                detector.class_names, masks=masks, max_detections=inference.max_detections
            )
            drawn = masks or (detector.has_masks and saver is not None)
            found = found_of(one.detections, one.size, mask_threshold=inference.mask_threshold if drawn else None)
            scoring.add(truth_of(one.objects, masks=masks), found, image_id=one.image_id)
            if saver is not None:
                _save(saver, detector, one, found)
    if scoring is None or not scoring.has_objects:
        raise DataError(
            f"{run.recipe}: data.{asked.split}: no objects; expected some to be found; see attnkit data check"
        )
    if asked.save is not None:
        typer.echo(f"{asked.save}: what was found, as COCO's results", err=True)
    about = {"weights": str(weights), "precision": detector.precision, "inference": inference.model_dump(mode="json")}
    return scoring, about


def _save(saver: CocoResultsWriter, detector: Detector, one: DetectedImage, found: ImageFound) -> None:
    detections = one.detections
    codes: Sequence[Rle | None] = found.rles or [None] * len(detections)
    rows = zip(
        detections.labels.tolist(),
        detections.scores.tolist(),
        detections.boxes.tolist(),
        codes,
        strict=True,
    )
    results = [CocoResult(detector.category_ids[label], score, tuple(box), code) for label, score, box, code in rows]
    saver.add(one.image_id, one.place, results)


def _variant(inference: DetectionInferenceConfig, usual: DetectionInferenceConfig) -> str:
    """What tells these scores from those of the recipe's way to look at images, in scores.json."""
    values, of_recipe = inference.model_dump(mode="json"), usual.model_dump(mode="json")
    return "".join(
        f".{name}={json.dumps(value, separators=(',', ':'))}"
        for name, value in values.items()
        if value != of_recipe[name]
    )


def _score(
    asked: Evaluation, options: ImageOptions, own: DetectionOptions, scoring: DetectionScoring, about: dict[str, Any]
) -> Scored:
    """Compute and print what was asked for."""
    scoring.note_hidden()
    scored = scoring.compute(errors=own.errors)
    if asked.as_json:
        about = {**about, "max_detections": scored.max_detections}
        typer.echo(json.dumps({**about, **scored.plain()}, indent=2, ensure_ascii=False))
    else:
        print_scores(scored)
        if options.per_class:
            typer.echo()
            print_classes(scored, rows=options.rows)
        if own.errors:
            typer.echo()
            print_errors(scored)
    if own.curves is not None:
        write_curves(own.curves, scored)
        typer.echo(f"{own.curves}: precision over recall of {len(scored.class_names)} classes", err=True)
    return scored

"""attnkit evaluate, of boxes and masks of objects: those of a run on its test set, or anyone's against the truth."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from attnkit.errors import AttnkitError, DataError
from attnkit.evaluation.request import ImageOptions, Request, keep_scores, run_to_score, variant_of
from attnkit.report.picture_file import check_picture
from attnkit.report.precision_recall_plot import write_curves
from attnkit.report.score_tables import print_class_aps, print_detection_scores, print_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from attnkit.data.formats.coco_results import CocoResultsWriter
    from attnkit.engine.precision import Precision
    from attnkit.metrics.detection_scores import DetectionScoring, Scored
    from attnkit.recipes.detection.detector import DetectedImage, Detector
    from attnkit.recipes.detection.recipe import DetectionRecipe
    from attnkit.run_dir import RunDir
    from attnkit.structures.image_objects import ImageFound, Rle


@dataclass(frozen=True, kw_only=True)
class DetectionOptions:
    """Options of detection alone."""

    ground_truth: Annotated[
        str | None,
        typer.Option("--ground-truth", metavar="FILE", help="What is there: COCO's json of instances, with boxes."),
    ] = None
    max_detections: Annotated[
        int | None,
        typer.Option(
            "--max-detections",
            metavar="N",
            help="Most of a class on an image that count  [default: 100, or the run's].",
            show_default=False,
        ),
    ] = None
    errors: Annotated[
        bool, typer.Option("--errors", help="Count detections that are wrong by their kinds, and what they cost.")
    ] = False
    curves: Annotated[
        Path | None, typer.Option("--curves", metavar="FILE", help="Draw precision over recall: .png, .svg, or .csv.")
    ] = None

    tasks = frozenset({"detection"})


def evaluate_detection(request: Request, images: ImageOptions, options: DetectionOptions) -> None:
    """Score detections, print the scores, and keep those of a run.

    Raises:
        AttnkitError: options do not go together, or what they name cannot be scored.
    """
    _check(request, images, options)
    if images.predictions is None:
        _evaluate_run(request, images, options)
        return
    from attnkit.evaluation.detection_files import score_files
    from attnkit.metrics.coco_ap import MAX_DETECTIONS

    assert options.ground_truth is not None, "checked before"
    most = options.max_detections or MAX_DETECTIONS
    scoring = score_files(images.predictions, options.ground_truth, max_detections=most)
    if not scoring.has_objects:
        raise DataError(
            f"{options.ground_truth}: no objects; expected annotations that are no crowds; correct the path"
        )
    about: dict[str, Any] = {"predictions": images.predictions, "ground_truth": options.ground_truth}
    _score(request, images, options, scoring, about)


def _check(request: Request, images: ImageOptions, options: DetectionOptions) -> None:
    """Refuse what cannot be, before anything takes long."""
    if options.curves is not None:
        check_picture("--curves", options.curves)
    if images.predictions is None:
        if options.ground_truth is not None:
            raise AttnkitError("--ground-truth: nothing to compare with; expected --predictions too; add it")
        if request.save is not None and request.save.is_dir():
            raise AttnkitError(
                f"--save {request.save}: is a folder; expected a file for results; name results.json in it"
            )
        return
    others = "--precision, --sizes, --flip, --nms-threshold or --soft-nms"
    request.refuse_run("--predictions", "detections", images.precision, others=others)
    if options.max_detections is not None and options.max_detections < 1:
        raise AttnkitError(f"--max-detections {options.max_detections}: must be at least 1")
    if options.ground_truth is None:
        raise AttnkitError("--predictions: nothing to compare with; expected the truth too; add --ground-truth FILE")


def _evaluate_run(request: Request, images: ImageOptions, options: DetectionOptions) -> None:
    from attnkit.recipe_file import Override
    from attnkit.recipes.detection.detector import load_detector

    most = options.max_detections
    changes = [] if most is None else [Override(f"--max-detections {most}", "inference.max_detections", str(most))]
    run, recipe, weights = run_to_score(request, "detection", *changes)
    detector = load_detector(
        recipe, run, device=request.device, precision=cast("Precision", images.precision or "auto"), weights=weights
    )
    scoring = _detect(request, detector, recipe, run)
    inference = recipe.inference.model_dump(mode="json")
    about = {"weights": str(weights), "precision": detector.precision, "inference": inference}
    scored = _score(request, images, options, scoring, {"run": str(run.path), "split": request.split, **about})
    variant = variant_of(run, recipe.inference)
    kept = {name + variant: score | about for name, score in scored.plain_scores().items()}
    keep_scores(run, request.split, kept)


def _detect(request: Request, detector: Detector, recipe: DetectionRecipe, run: RunDir) -> DetectionScoring:
    """What is found on the split, compared with the truth; saved if asked for."""
    from attnkit.data.formats.coco_results import CocoResultsWriter
    from attnkit.metrics.detection_scores import DetectionScoring
    from attnkit.recipes.detection.average_precision import found_of, truth_of
    from attnkit.recipes.detection.detector import detect_split

    inference = recipe.inference
    scoring: DetectionScoring | None = None
    saver = None if request.save is None else CocoResultsWriter(request.save)
    with saver or nullcontext():
        for image in detect_split(detector, request.opened_data(recipe.data), run, request.split):
            masks = detector.has_masks and image.objects.masks is not None
            scoring = scoring or DetectionScoring(
                detector.class_names, masks=masks, max_detections=inference.max_detections
            )
            drawn = masks or (detector.has_masks and saver is not None)
            found = found_of(image.detections, image.size, mask_threshold=inference.mask_threshold if drawn else None)
            scoring.add(truth_of(image.objects, masks=masks), found, image_id=image.image_id)
            if saver is not None:
                _save(saver, detector, image, found)
    if scoring is None or not scoring.has_objects:
        raise DataError(
            f"{run.recipe}: data.{request.split}: no objects; expected some to be found; see attnkit data check"
        )
    if request.save is not None:
        typer.echo(f"{request.save}: what was found, as COCO's results", err=True)
    return scoring


def _save(saver: CocoResultsWriter, detector: Detector, image: DetectedImage, found: ImageFound) -> None:
    from attnkit.data.formats.coco_results import CocoResult

    detections = image.detections
    codes: Sequence[Rle | None] = found.rles or [None] * len(detections)
    rows = zip(detections.labels.tolist(), detections.scores.tolist(), detections.boxes.tolist(), codes, strict=True)
    results = [CocoResult(detector.category_ids[label], score, tuple(box), code) for label, score, box, code in rows]
    saver.add(image.image_id, image.place, results)


def _score(
    request: Request, images: ImageOptions, options: DetectionOptions, scoring: DetectionScoring, about: dict[str, Any]
) -> Scored:
    """Compute, print and draw what was asked for."""
    scoring.note_hidden()
    scored = scoring.compute(errors=options.errors)
    if request.as_json:
        about = {**about, "max_detections": scored.max_detections}
        typer.echo(json.dumps({**about, **scored.plain()}, indent=2, ensure_ascii=False))
    else:
        print_detection_scores(scored)
        if images.per_class:
            typer.echo()
            print_class_aps(scored, rows=images.rows)
        if options.errors:
            typer.echo()
            print_errors(scored)
    if options.curves is not None:
        write_curves(options.curves, scored)
        typer.echo(f"{options.curves}: precision over recall of {len(scored.class_names)} classes", err=True)
    return scored

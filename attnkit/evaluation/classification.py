"""attnkit evaluate, of classes of images: those of a run on its test set, or anyone's against labels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from attnkit.data.formats.class_list import CSV_HEADER, ImageClasses, NamedClass, format_csv, format_json
from attnkit.data.formats.real_labels import read_real_labels
from attnkit.errors import AttnkitError
from attnkit.evaluation.classification_files import Predicted, predicted_by_file
from attnkit.evaluation.request import ImageOptions, LabelOptions, Request, keep_scores, run_to_score
from attnkit.report.confusion_plot import write_confusion
from attnkit.report.score_tables import print_class_scores, print_image_scores, worst_first

if TYPE_CHECKING:
    from attnkit.engine.precision import Precision
    from attnkit.metrics.accuracy import ClassScore, Score

_SAVED = 5
"""Classes per image that --save writes."""


@dataclass(frozen=True, kw_only=True)
class ClassificationOptions:
    """Options of classification alone."""

    real: Annotated[
        str | None, typer.Option("--real", metavar="FILE", help="ImageNet-ReaL's real.json, or one like it.")
    ] = None
    batch_size: Annotated[int | None, typer.Option("--batch-size", metavar="N", min=1, help="Images at once.")] = None

    tasks = frozenset({"classification"})


def evaluate_classification(
    request: Request, images: ImageOptions, labels: LabelOptions, options: ClassificationOptions
) -> None:
    """Score classes, print the scores, and keep those of a run.

    Raises:
        AttnkitError: options do not go together, or what they name cannot be scored.
    """
    _check(request, images, labels, options)
    if images.predictions is None:
        _evaluate_run(request, images, labels.confusion, options)
        return
    predicted = predicted_by_file(images.predictions, labels.labels)
    about: dict[str, Any] = {"predictions": images.predictions, "labels": labels.labels}
    _score(request, images, labels.confusion, options.real, predicted, about)


def _check(request: Request, images: ImageOptions, labels: LabelOptions, options: ClassificationOptions) -> None:
    """Refuse what cannot be, before anything takes long."""
    if "real" in request.metrics and options.real is None:
        raise AttnkitError("--metric real: needs ImageNet-ReaL's labels; expected their file; add --real real.json")
    if images.predictions is None:
        if request.save is not None and request.save.suffix.lower() not in (".csv", ".jsonl"):
            raise AttnkitError(f"--save {request.save}: no known ending; expected .csv or .jsonl; rename it")
        return
    own = (options.batch_size, images.precision)
    request.refuse_run("--predictions", "a file", *own, others="--batch-size or --precision")
    needs_labels = images.per_class or labels.confusion is not None or set(request.metrics) - {"real"}
    if labels.labels is None and (options.real is None or needs_labels):
        raise AttnkitError("--predictions: nothing to compare with; expected the true classes too; add --labels FILE")


def _evaluate_run(
    request: Request, images: ImageOptions, confusion: Path | None, options: ClassificationOptions
) -> None:
    from attnkit.recipes.classification.classifier import classify_split, load_classifier

    run, recipe, weights = run_to_score(request, "classification")
    precision = cast("Precision", images.precision or "auto")
    classifier = load_classifier(recipe, run, device=request.device, precision=precision, weights=weights)
    result = classify_split(
        classifier,
        request.opened_data(recipe.data),
        run,
        request.split,
        top=max(_SAVED, *map(_depth, request.metrics), 1),
        batch_size=options.batch_size or recipe.batch.images,
        workers=recipe.batch.workers,
    )
    predicted = Predicted(
        name=f"{run.path} ({request.split})",
        inputs=result.inputs,
        labels=result.labels,
        top=result.top,
        probs=result.probs,
        class_names=classifier.class_names,
    )
    if request.save is not None:
        _save(request.save, predicted)
    about = {"weights": str(weights), "precision": classifier.precision}
    shown = {"run": str(run.path), "split": request.split, **about}
    scores = _score(request, images, confusion, options.real, predicted, shown)
    keep_scores(run, request.split, {name: score.as_dict() | about for name, score in scores.items()})


def _depth(metric: str) -> int:
    """How many classes per image a metric takes into account."""
    return int(metric.removeprefix("top")) if metric.startswith("top") else 1


def _save(path: Path, predicted: Predicted) -> None:
    """Write the predictions as attnkit classify prints them, to be read by --predictions."""
    from attnkit.run_dir import write_whole

    assert predicted.probs is not None, "a run knows them"
    names, top, probs = predicted.class_names, predicted.top[:, :_SAVED], predicted.probs[:, :_SAVED]
    rows = [
        ImageClasses(name, tuple(NamedClass(names[k], int(k), float(p)) for k, p in zip(*best, strict=True)))
        for name, *best in zip(predicted.inputs, top, probs, strict=True)
    ]
    text = format_json(rows) if path.suffix.lower() == ".jsonl" else CSV_HEADER + format_csv(rows)
    write_whole(path, text.encode("utf-8", "surrogateescape"))
    typer.echo(f"{path}: predictions of {len(rows)} images", err=True)


def _score(
    request: Request,
    images: ImageOptions,
    confusion: Path | None,
    real: str | None,
    predicted: Predicted,
    about: dict[str, Any],
) -> dict[str, Score]:
    """Compute, print and draw what was asked for."""
    metrics = request.metrics or _usual(predicted, with_real=real is not None)
    scores = {metric: _score_by(metric, predicted, real) for metric in metrics}
    classes = _classes(predicted) if images.per_class else []
    if predicted.unread:
        what = "images that could not be read: topK and real count them as wrong, the rest leaves them out"
        typer.echo(f"{predicted.name}: {predicted.unread} {what}", err=True)
    if request.as_json:
        values: dict[str, Any] = {"scores": {name: score.as_dict() for name, score in scores.items()}}
        if images.per_class:
            values["per_class"] = _plain(classes, predicted.class_names)
        typer.echo(json.dumps({**about, **values}, indent=2, ensure_ascii=False))
    else:
        print_image_scores(list(scores.values()), interval="Wilson")
        if images.per_class:
            typer.echo()
            print_class_scores(classes, predicted.class_names, rows=images.rows)
    if confusion is not None:
        _draw(confusion, predicted)
    return scores


def _usual(predicted: Predicted, *, with_real: bool) -> list[str]:
    """The metrics where none is named: those that can be computed and are informative."""
    if predicted.labels is None:
        return ["real"]
    several = predicted.top.shape[1] >= 5 and len(predicted.class_names) > 5
    return ["top1"] + ["top5"] * several + ["ece"] * (predicted.probs is not None) + ["real"] * with_real


def _score_by(metric: str, predicted: Predicted, real: str | None) -> Score:
    from attnkit.metrics.accuracy import NO_CLASS, calibration_error, real_accuracy, top_k

    best = predicted.top[:, 0]
    if metric == "real":
        assert real is not None, "checked before"
        sets = read_real_labels(
            real,
            predicted.inputs,
            predicted.class_names,
            own_numbers=predicted.own_numbers,
            warn=lambda line: typer.echo(line, err=True),
        )
        return real_accuracy(best, sets)
    assert predicted.labels is not None, "checked before"
    if metric == "ece":
        if predicted.probs is None:
            raise AttnkitError(
                f"--metric ece: {predicted.name} has no probabilities; expected one for each prediction; "
                "add a column probability, or leave the metric out"
            )
        read = best != NO_CLASS
        return calibration_error(predicted.probs[read, 0], (best == predicted.labels)[read])
    k, depth = _depth(metric), predicted.top.shape[1]
    if k > depth:
        raise AttnkitError(
            f"--metric {metric}: {predicted.name} names {depth} classes per image; expected at most top{depth}; "
            "ask for that"
        )
    return top_k(predicted.top, predicted.labels, k)


def _classes(predicted: Predicted) -> list[ClassScore]:
    from attnkit.metrics.accuracy import class_scores

    labels, best = _readable(predicted)
    return class_scores(labels, best, num_classes=len(predicted.class_names))


def _readable(predicted: Predicted) -> tuple[Any, Any]:
    """Truth and best guess of the images that could be read."""
    from attnkit.metrics.accuracy import NO_CLASS

    assert predicted.labels is not None, "checked before"
    read = predicted.top[:, 0] != NO_CLASS
    return predicted.labels[read], predicted.top[read, 0]


def _plain(classes: Sequence[ClassScore], class_names: Sequence[str]) -> list[dict[str, Any]]:
    return [{"class": class_names[one.index], **asdict(one)} for one in worst_first(classes)]


def _draw(path: Path, predicted: Predicted) -> None:
    from attnkit.metrics.accuracy import confusion_matrix

    labels, best = _readable(predicted)
    confusion = confusion_matrix(labels, best, num_classes=len(predicted.class_names))
    write_confusion(path, confusion, predicted.class_names)
    typer.echo(f"{path}: confusion matrix of {len(predicted.class_names)} classes", err=True)

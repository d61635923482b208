"""attnkit evaluate, of classes of images: those of a run on its test set, or anyone's against labels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import typer

from attnkit.data.formats.class_list import CSV_HEADER, ImageClasses, NamedClass, format_csv, format_json
from attnkit.data.formats.real_labels import read_real_labels
from attnkit.errors import AttnkitError
from attnkit.evaluation.asked import ClassificationOptions, Evaluation, ImageOptions
from attnkit.evaluation.kept_scores import keep_scores
from attnkit.evaluation.predicted import Predicted, predicted_by_file
from attnkit.report.class_tables import print_class_scores, print_scores, worst_first
from attnkit.report.confusion_plot import write_confusion
from attnkit.run_dir import chosen_run, chosen_weights

if TYPE_CHECKING:
    from attnkit.data.config import Split
    from attnkit.engine.precision import Precision
    from attnkit.metrics.accuracy import ClassScore, Score
    from attnkit.recipes.classification.recipe import ClassificationRecipe
    from attnkit.run_dir import RunDir

_SAVED = 5
"""Classes per image that --save writes."""


def evaluate_classification(asked: Evaluation, options: ImageOptions, own: ClassificationOptions) -> None:
    """Score classes, print the scores, and keep those of a run."""
    _check(asked, options, own)
    if options.predictions is not None:
        predicted = predicted_by_file(options.predictions, options.labels)
        about: dict[str, Any] = {"predictions": options.predictions, "labels": options.labels}
        _score(asked, options, own.real, predicted, about)
        return
    folder, predicted, about = _classify(asked, options, own)
    if asked.save is not None:
        _save(asked.save, predicted)
    scores = _score(asked, options, own.real, predicted, {"run": str(folder.path), "split": asked.split, **about})
    keep_scores(folder, asked.split, {name: score.as_dict() | about for name, score in scores.items()})


def _check(asked: Evaluation, options: ImageOptions, own: ClassificationOptions) -> None:
    """Refuse what cannot be, before anything takes long."""
    if "real" in asked.metrics and own.real is None:
        raise AttnkitError("--metric real: needs ImageNet-ReaL's labels; expected their file; add --real real.json")
    if options.predictions is None:
        if asked.save is not None and asked.save.suffix.lower() not in (".csv", ".jsonl"):
            raise AttnkitError(f"--save {asked.save}: no known ending; expected .csv or .jsonl; rename it")
        return
    of_runs = (asked.run, asked.checkpoint, asked.save, own.batch_size, options.precision)
    if any(option is not None for option in of_runs):
        raise AttnkitError(
            "--predictions: scores a file, no run; expected no --run, --checkpoint, --save, --batch-size or "
            "--precision; leave them out, or --predictions"
        )
    if options.labels is None and (own.real is None or set(asked.metrics) - {"real"} or _needs_labels(options)):
        raise AttnkitError("--predictions: nothing to compare with; expected the true classes too; add --labels FILE")


def _needs_labels(options: ImageOptions) -> bool:
    return options.per_class or options.confusion is not None


def _classify(
    asked: Evaluation, options: ImageOptions, own: ClassificationOptions
) -> tuple[RunDir, Predicted, dict[str, Any]]:
    """What a run says of its split, and what the scores depend on."""
    from attnkit import recipe_file

    run = chosen_run(asked.run, task="classification")
    recipe = cast("ClassificationRecipe", recipe_file.load(run.recipe))
    weights = chosen_weights(run, asked.checkpoint)
    from attnkit.recipes.classification.classifier import classify_split, load_classifier

    precision = cast("Precision", options.precision or "auto")
    classifier = load_classifier(recipe, run, device=asked.device, precision=precision, weights=weights)
    result = classify_split(
        classifier,
        asked.opened_data(recipe.data),
        run,
        cast("Split", asked.split),
        top=max(_SAVED, *map(_depth, asked.metrics), 1),
        batch_size=own.batch_size or recipe.batch.images,
        workers=recipe.batch.workers,
    )
    predicted = Predicted(
        name=f"{run.path} ({asked.split})",
        inputs=result.inputs,
        labels=result.labels,
        top=result.top,
        probs=result.probs,
        class_names=classifier.class_names,
    )
    return run, predicted, {"weights": str(weights), "precision": classifier.precision}


def _depth(metric: str) -> int:
    """How many classes per image a metric looks at."""
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
    asked: Evaluation, options: ImageOptions, real: str | None, predicted: Predicted, about: dict[str, Any]
) -> dict[str, Score]:
    """Compute and print what was asked for."""
    metrics = asked.metrics or _usual(predicted, with_real=real is not None)
    scores = {metric: _score_by(metric, predicted, real) for metric in metrics}
    classes = _classes(predicted) if options.per_class else []
    if predicted.unread:
        what = "images that could not be read: topK and real count them as wrong, the rest leaves them out"
        typer.echo(f"{predicted.name}: {predicted.unread} {what}", err=True)
    if asked.as_json:
        values: dict[str, Any] = {"scores": {name: score.as_dict() for name, score in scores.items()}}
        if options.per_class:
            values["per_class"] = _plain(classes, predicted.class_names)
        typer.echo(json.dumps({**about, **values}, indent=2, ensure_ascii=False))
    else:
        print_scores(list(scores.values()), interval="Wilson")
        if options.per_class:
            typer.echo()
            print_class_scores(classes, predicted.class_names, rows=options.rows)
    if options.confusion is not None:
        _draw(options.confusion, predicted)
    return scores


def _usual(predicted: Predicted, *, with_real: bool) -> list[str]:
    """The metrics where none is named: those that there is enough for, and that say something."""
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
            real, predicted.inputs, predicted.class_names, own_numbers=predicted.own_numbers, warn=_warn
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


def _warn(message: str) -> None:
    typer.echo(message, err=True)


def _classes(predicted: Predicted) -> list[ClassScore]:
    from attnkit.metrics.accuracy import class_scores

    labels, best = _read_ones(predicted)
    return class_scores(labels, best, num_classes=len(predicted.class_names))


def _read_ones(predicted: Predicted) -> tuple[Any, Any]:
    """Truth and best guess of the images that could be read."""
    from attnkit.metrics.accuracy import NO_CLASS

    assert predicted.labels is not None, "checked before"
    read = predicted.top[:, 0] != NO_CLASS
    return predicted.labels[read], predicted.top[read, 0]


def _plain(classes: Sequence[ClassScore], class_names: Sequence[str]) -> list[dict[str, Any]]:
    from dataclasses import asdict

    return [{"class": class_names[one.index], **asdict(one)} for one in worst_first(classes)]


def _draw(path: Path, predicted: Predicted) -> None:
    from attnkit.metrics.accuracy import confusion_matrix

    labels, best = _read_ones(predicted)
    confusion = confusion_matrix(labels, best, num_classes=len(predicted.class_names))
    write_confusion(path, confusion, predicted.class_names)
    typer.echo(f"{path}: confusion matrix of {len(predicted.class_names)} classes", err=True)

"""attnkit classify: images in, their most probable classes out, in order, as soon as they are known."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from attnkit.cli.options import CheckpointOption, DeviceOption, PrecisionOption, RunOption, refuse_precision
from attnkit.data.formats.class_list import CSV_HEADER, ImageClasses, format_csv, format_json
from attnkit.errors import AttnkitError, DataError
from attnkit.machine import cores
from attnkit.predict.classified_images import AnswerTable, classify_groups
from attnkit.predict.decode_ahead import decode_ahead
from attnkit.predict.image_answers import put
from attnkit.predict.image_inputs import image_inputs, in_groups
from attnkit.run_dir import chosen_run, chosen_weights

if TYPE_CHECKING:
    from attnkit.recipes.classification.classifier import Classifier
    from attnkit.recipes.classification.recipe import ClassificationRecipe

_DECODING_THREADS = 4
"""At most; more than a model can keep up with."""


def classify(
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT...", show_default=False, help="Images, folders, globs; - is paths on stdin."),
    ],
    run: RunOption = None,
    top: Annotated[int, typer.Option("--top", metavar="K", min=1, help="Classes per image, best first.")] = 5,
    json_lines: Annotated[bool, typer.Option("--json", help="A JSON object per image, one per line.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="A CSV row per class, with a header.")] = False,
    batch_size: Annotated[
        int, typer.Option("--batch-size", metavar="N", min=1, help="Images at once; changes the speed and the memory.")
    ] = 16,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    checkpoint: CheckpointOption = None,
) -> None:
    """Say what images show: their most probable classes, in the order of the inputs.

    A folder stands for the images in it, at any depth. An image that cannot be read is named, the others go on, and the
    exit code is 2 at the end.

    \b
    Examples:
      attnkit classify photo.jpg
      attnkit classify photos/ --top 1
      attnkit classify 'photos/**/*.png' --json > classes.jsonl
      find . -name '*.jpg' | attnkit classify - --run runs/mine --csv
    """
    if json_lines and csv:
        raise AttnkitError("--csv: given beside --json; expected one of the two; leave one out")
    refuse_precision(precision)
    classifier = _open(run, checkpoint, device=device, precision=precision)
    listed = image_inputs(inputs, sys.stdin.buffer)
    groups = in_groups(listed, size=batch_size, wait="-" not in inputs)
    decoded = decode_ahead(groups, classifier.load, threads=min(cores(), _DECODING_THREADS))
    top = min(top, len(classifier.class_names))
    if csv:
        put(CSV_HEADER)
    write = format_json if json_lines else format_csv if csv else AnswerTable(top=top).write
    _answer(classify_groups(classifier, decoded, top=top), write, name_problems=not json_lines and not csv)


def _open(run: Path | None, checkpoint: Path | None, *, device: str, precision: str) -> Classifier:
    from attnkit import recipe_file

    folder = chosen_run(run, task="classification")
    recipe = cast("ClassificationRecipe", recipe_file.load(folder.recipe))
    weights = chosen_weights(folder, checkpoint)
    from attnkit.recipes.classification.classifier import load_classifier

    return load_classifier(recipe, folder, device=device, precision=precision, weights=weights)  # type: ignore[arg-type]


def _answer(
    groups: Iterable[list[ImageClasses]], write: Callable[[list[ImageClasses]], str], *, name_problems: bool
) -> None:
    """Print answers as they come; leave with an error if some images had none."""
    total = failed = 0
    for answers in groups:
        problems = [answer.problem for answer in answers if answer.problem is not None]
        total, failed = total + len(answers), failed + len(problems)
        put(write(answers))
        if name_problems:
            for problem in problems:
                typer.echo(problem, err=True)
    if failed:
        raise DataError(
            f"{failed} of {total} images could not be read; expected images; mend or remove them, the others are done"
        )

"""attnkit classify: images in, their most probable classes out, in order, as soon as they are known."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from attnkit.cli.options import CheckpointOption, DeviceOption, PrecisionOption, RunOption, refuse_precision
from attnkit.data.formats.class_list import CSV_HEADER
from attnkit.errors import AttnkitError
from attnkit.machine import cores
from attnkit.predict.classified_images import class_table, classes_as_csv, classes_as_json, classify_images
from attnkit.predict.image_answers import print_answers, print_text
from attnkit.predict.image_inputs import decode_ahead, image_inputs, in_groups
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
        print_text(CSV_HEADER)
    write = classes_as_json if json_lines else classes_as_csv if csv else class_table(top=top).write
    answers = classify_images(classifier, decoded, top=top)
    print_answers(answers, write, name_problems=not json_lines and not csv).check()


def _open(run: Path | None, checkpoint: Path | None, *, device: str, precision: str) -> Classifier:
    from attnkit import recipe_file

    folder = chosen_run(run, task="classification")
    recipe = cast("ClassificationRecipe", recipe_file.load(folder.recipe))
    weights = chosen_weights(folder, checkpoint)
    from attnkit.recipes.classification.classifier import load_classifier

    return load_classifier(recipe, folder, device=device, precision=precision, weights=weights)  # type: ignore[arg-type]

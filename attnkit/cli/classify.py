"""attnkit classify: images in, their most probable classes out, in order, as soon as they are known."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, cast

import typer

from attnkit.cli.options import ImageInputs, ModelOptions, spread_options
from attnkit.data.formats.class_list import CSV_HEADER
from attnkit.errors import AttnkitError
from attnkit.machine import cores
from attnkit.predict.classified_images import class_table, classes_as_csv, classes_as_json, classify_images
from attnkit.predict.image_answers import print_answers, print_text
from attnkit.predict.image_inputs import decoded_inputs

if TYPE_CHECKING:
    from attnkit.recipes.classification.classifier import Classifier
    from attnkit.recipes.classification.recipe import ClassificationRecipe

_DECODING_THREADS = 4
"""At most; more than a model can keep up with."""


@spread_options
def classify(
    inputs: ImageInputs,
    model: ModelOptions,
    top: Annotated[int, typer.Option("--top", metavar="K", min=1, help="Classes per image, best first.")] = 5,
    json_lines: Annotated[bool, typer.Option("--json", help="A JSON object per image, one per line.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="A CSV row per class, with a header.")] = False,
    batch_size: Annotated[
        int, typer.Option("--batch-size", metavar="N", min=1, help="Images at once; changes the speed and the memory.")
    ] = 16,
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
    classifier = _open(model)
    threads = min(cores(), _DECODING_THREADS)
    decoded = decoded_inputs(inputs, sys.stdin.buffer, classifier.load, size=batch_size, threads=threads)
    top = min(top, len(classifier.class_names))
    if csv:
        print_text(CSV_HEADER)
    write = classes_as_json if json_lines else classes_as_csv if csv else class_table(top=top).write
    answers = classify_images(classifier, decoded, top=top)
    print_answers(answers, write, name_problems=not json_lines and not csv).check()


def _open(model: ModelOptions) -> Classifier:
    folder, recipe, weights = model.open("classification")
    from attnkit.recipes.classification.classifier import load_classifier

    return load_classifier(
        cast("ClassificationRecipe", recipe), folder, device=model.device, precision=model.numbers, weights=weights
    )

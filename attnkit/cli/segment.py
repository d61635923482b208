"""attnkit segment: images in, the class of each of their pixels out, in order, as soon as it is known."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from attnkit.cli.options import AlphaOption, FlipOptions, ImageInputs, ModelOptions, SegmenterOptions, spread_options
from attnkit.predict.image_answers import print_answers
from attnkit.predict.image_inputs import decode_upright, decoded_inputs
from attnkit.predict.segmented_images import area_table, areas_as_json, segment_images

if TYPE_CHECKING:
    from collections.abc import Sequence

    from attnkit.recipe_file import Override
    from attnkit.recipes.segmentation.recipe import SegmentationRecipe
    from attnkit.recipes.segmentation.segmenter import Segmenter


@spread_options
def segment(
    inputs: ImageInputs,
    model: ModelOptions,
    inference: SegmenterOptions,
    mirrored: FlipOptions,
    save: Annotated[
        Path | None,
        typer.Option("--save", metavar="DIR", help="Write NAME.png, the classes, and NAME_overlay.png for each image."),
    ] = None,
    json_lines: Annotated[bool, typer.Option("--json", help="A JSON object per image, one per line.")] = False,
    alpha: AlphaOption = 0.5,
) -> None:
    """Find the class of every pixel of images: prints the area of each class, largest first, and writes masks.

    A folder stands for the images in it, at any depth; in DIR their files lie as they do. Of two images of one name the
    second's files are NAME_2. An image that cannot be read is named, the others go on, and the exit code is 2 at the
    end. How images are looked at is as the run's recipe says, but for what is given here; images too large to be
    handled as a whole are cut into windows.

    \b
    Examples:
      attnkit segment street.jpg
      attnkit segment photos/ --save masks
      attnkit segment street.jpg --save masks --scales 0.75,1,1.25 --flip
      find . -name '*.jpg' | attnkit segment - --run runs/mine --json > areas.jsonl
    """
    segmenter = _open(model, [*inference.overrides(), *mirrored.overrides()])
    saver = None
    if save is not None:
        from attnkit.predict.saved_files import MaskFolder

        saver = MaskFolder(save, inputs, segmenter.colours, alpha=alpha)
    decoded = decoded_inputs(inputs, sys.stdin.buffer, decode_upright, reserve=saver.reserve if saver else None)
    write = areas_as_json if json_lines else area_table().write
    answers = segment_images(segmenter, decoded, saver.save if saver else None)
    print_answers(answers, write, name_problems=not json_lines).check()


def _open(model: ModelOptions, overrides: Sequence[Override]) -> Segmenter:
    folder, recipe, weights = model.open("segmentation", overrides)
    from attnkit.recipes.segmentation.segmenter import load_segmenter

    return load_segmenter(
        cast("SegmentationRecipe", recipe),
        folder,
        device=model.device,
        precision=model.numbers,
        weights=weights,
        say=lambda line: typer.echo(line, err=True),
    )

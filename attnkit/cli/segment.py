"""attnkit segment: images in, the class of each of their pixels out, in order, as soon as it is known."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from attnkit.cli.options import (
    AlphaOption,
    CheckpointOption,
    DeviceOption,
    PrecisionOption,
    RunOption,
    SegmenterOptions,
    refuse_alpha,
    refuse_precision,
    spread_options,
)
from attnkit.predict.image_answers import print_answers
from attnkit.predict.image_inputs import decode_ahead, decode_upright, image_inputs, in_groups
from attnkit.predict.segmented_images import area_table, areas_as_json, segment_images
from attnkit.run_dir import chosen_run, chosen_weights

if TYPE_CHECKING:
    from attnkit.predict.saved_files import MaskFolder
    from attnkit.recipes.segmentation.recipe import SegmentationRecipe
    from attnkit.recipes.segmentation.segmenter import Segmenter
    from attnkit.run_dir import RunDir

_DECODING_THREADS = 1
"""Keeps up with any model; each more would hold one more image, which may be large."""


@spread_options
def segment(
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT...", show_default=False, help="Images, folders, globs; - is paths on stdin."),
    ],
    *,
    run: RunOption = None,
    save: Annotated[
        Path | None,
        typer.Option("--save", metavar="DIR", help="Write NAME.png, the classes, and NAME_overlay.png for each image."),
    ] = None,
    json_lines: Annotated[bool, typer.Option("--json", help="A JSON object per image, one per line.")] = False,
    looking: SegmenterOptions,
    alpha: AlphaOption = 0.5,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    checkpoint: CheckpointOption = None,
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
    refuse_precision(precision)
    refuse_alpha(alpha)
    folder, recipe = _chosen(run, looking)
    segmenter = _open(folder, recipe, checkpoint, device=device, precision=precision)
    saver = None if save is None else _mask_folder(save, inputs, segmenter, alpha=alpha)
    listed = image_inputs(inputs, sys.stdin.buffer, reserve=saver.reserve if saver else None)
    groups = in_groups(listed, size=1, wait="-" not in inputs)
    decoded = decode_ahead(groups, decode_upright, threads=_DECODING_THREADS)
    write = areas_as_json if json_lines else area_table().write
    answers = segment_images(segmenter, decoded, saver.save if saver else None)
    print_answers(answers, write, name_problems=not json_lines).check()


def _chosen(run: Path | None, looking: SegmenterOptions) -> tuple[RunDir, SegmentationRecipe]:
    from attnkit import recipe_file

    folder = chosen_run(run, task="segmentation")
    return folder, cast("SegmentationRecipe", recipe_file.load(folder.recipe, options=looking.overrides()))


def _open(
    folder: RunDir, recipe: SegmentationRecipe, checkpoint: Path | None, *, device: str, precision: str
) -> Segmenter:
    weights = chosen_weights(folder, checkpoint)
    from attnkit.recipes.segmentation.segmenter import load_segmenter

    return load_segmenter(
        recipe,
        folder,
        device=device,
        precision=precision,  # type: ignore[arg-type]
        weights=weights,
        say=lambda line: typer.echo(line, err=True),
    )


def _mask_folder(save: Path, inputs: Sequence[str], segmenter: Segmenter, *, alpha: float) -> MaskFolder:
    from attnkit.predict.saved_files import MaskFolder

    return MaskFolder(save, inputs, segmenter.colours, alpha=alpha)

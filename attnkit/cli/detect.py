"""attnkit detect: images in, the objects on them out, in order, as soon as they are known."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from attnkit.cli.options import (
    AlphaOption,
    CheckpointOption,
    DetectorOptions,
    DeviceOption,
    PrecisionOption,
    RunOption,
    refuse_alpha,
    refuse_precision,
    score_overrides,
    spread_options,
)
from attnkit.errors import AttnkitError
from attnkit.predict.detected_images import count_table, detect_images, objects_as_json
from attnkit.predict.image_answers import print_answers
from attnkit.predict.image_inputs import decode_ahead, decode_as_stored, decode_upright, image_inputs, in_groups
from attnkit.run_dir import chosen_run, chosen_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from attnkit.predict.saved_files import DetectionFolder
    from attnkit.recipe_file import Override
    from attnkit.recipes.detection.detector import Detector
    from attnkit.recipes.detection.recipe import DetectionRecipe

_DECODING_THREADS = 1
"""Keeps up with any detector; each more would hold one more image, which may be large."""


@spread_options
def detect(
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT...", show_default=False, help="Images, folders, globs; - is paths on stdin."),
    ],
    *,
    run: RunOption = None,
    save: Annotated[
        Path | None,
        typer.Option(
            "--save", metavar="DIR", help="Write NAME_overlay.png for each image, and results.json as COCO has it."
        ),
    ] = None,
    image_ids: Annotated[
        Path | None,
        typer.Option(
            "--image-ids", metavar="FILE", help="COCO's json that says what results.json calls each image, by its name."
        ),
    ] = None,
    json_lines: Annotated[bool, typer.Option("--json", help="A JSON object per image, one per line.")] = False,
    score_threshold: Annotated[
        float, typer.Option("--score-threshold", metavar="SCORE", help="Of findings that are surer than this.")
    ] = 0.5,
    looking: DetectorOptions,
    alpha: AlphaOption = 0.5,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    checkpoint: CheckpointOption = None,
) -> None:
    """Find the objects on images: prints how many there are of each class, and draws their boxes and masks.

    A folder stands for the images in it, at any depth; in DIR their files lie as they do. Of two images of one name the
    second's file is NAME_2. An image that cannot be read is named, the others go on, and the exit code is 2 at the end.
    How images are looked at is as the run's recipe says, but for what is given here.

    Images are numbered from 1 in results.json, unless --image-ids says what to call them; it is there when all images
    are done. Average precision wants unsure findings too: for results to be scored, take --score-threshold 0.05.

    \b
    Examples:
      attnkit detect photo.jpg --save found
      attnkit detect photos/ --save found --score-threshold 0.3
      attnkit detect photo.jpg --save found --sizes 640,800,1000 --flip
      attnkit detect val2017 --save found --image-ids instances_val2017.json --score-threshold 0.05
      find . -name '*.jpg' | attnkit detect - --run runs/mine --json > found.jsonl
    """
    refuse_precision(precision)
    refuse_alpha(alpha)
    if image_ids is not None and save is None:
        raise AttnkitError(f"--image-ids {image_ids}: given without --save; expected a folder for results.json; add it")
    asked = [*score_overrides(score_threshold), *looking.overrides()]
    detector = _open(run, asked, checkpoint, device=device, precision=precision)
    threshold = detector.inference.mask_threshold if detector.has_masks else None
    saver = None if save is None else _folder(save, inputs, image_ids, mask_threshold=threshold, alpha=alpha)
    listed = image_inputs(inputs, sys.stdin.buffer, reserve=saver.reserve if saver else None)
    groups = in_groups(listed, size=1, wait="-" not in inputs)
    decode = decode_upright if image_ids is None else decode_as_stored
    decoded = decode_ahead(groups, decode, threads=_DECODING_THREADS)
    write = objects_as_json if json_lines else count_table().write
    drawn = threshold if json_lines or saver else None  # a table says nothing of masks
    with saver or nullcontext():
        answers = detect_images(detector, decoded, saver.save if saver else None, mask_threshold=drawn)
        printed = print_answers(answers, write, name_problems=not json_lines)
    printed.check()


def _open(
    run: Path | None, asked: Sequence[Override], checkpoint: Path | None, *, device: str, precision: str
) -> Detector:
    from attnkit import recipe_file

    folder = chosen_run(run, task="detection")
    recipe = cast("DetectionRecipe", recipe_file.load(folder.recipe, options=asked))
    weights = chosen_weights(folder, checkpoint)
    from attnkit.recipes.detection.detector import load_detector

    return load_detector(recipe, folder, device=device, precision=precision, weights=weights)  # type: ignore[arg-type]


def _folder(
    save: Path, inputs: Sequence[str], image_ids: Path | None, *, mask_threshold: float | None, alpha: float
) -> DetectionFolder:
    from attnkit.predict.saved_files import CocoImageIds, DetectionFolder

    find_id: Callable[[str], int] | None = None if image_ids is None else CocoImageIds(image_ids).find
    return DetectionFolder(save, inputs, mask_threshold=mask_threshold, alpha=alpha, find_id=find_id)

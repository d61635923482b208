"""attnkit detect: images in, the objects on them out, in order, as soon as they are known."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from attnkit.cli.options import (
    AlphaOption,
    DetectorOptions,
    FlipOptions,
    ImageInputs,
    ModelOptions,
    overrides_of,
    spread_options,
)
from attnkit.errors import AttnkitError
from attnkit.predict.detected_images import count_table, detect_images, objects_as_json
from attnkit.predict.image_answers import print_answers
from attnkit.predict.image_inputs import decode_as_stored, decode_upright, decoded_inputs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from attnkit.predict.saved_files import DetectionFolder
    from attnkit.recipe_file import Override
    from attnkit.recipes.detection.detector import Detector
    from attnkit.recipes.detection.recipe import DetectionRecipe


@dataclass(frozen=True, kw_only=True)
class SavedDetections:
    """What is written for each image, and how."""

    save: Annotated[
        Path | None,
        typer.Option(
            "--save", metavar="DIR", help="Write NAME_overlay.png for each image, and results.json as COCO has it."
        ),
    ] = None
    image_ids: Annotated[
        Path | None,
        typer.Option(
            "--image-ids", metavar="FILE", help="COCO's json that says what results.json calls each image, by its name."
        ),
    ] = None
    json_lines: Annotated[bool, typer.Option("--json", help="A JSON object per image, one per line.")] = False
    alpha: AlphaOption = 0.5

    def folder(self, inputs: Sequence[str], *, mask_threshold: float | None) -> DetectionFolder | None:
        """Where files of the images go, if anywhere."""
        if self.save is None:
            return None
        from attnkit.predict.saved_files import CocoImageIds, DetectionFolder

        find_id = None if self.image_ids is None else CocoImageIds(self.image_ids).find
        return DetectionFolder(self.save, inputs, mask_threshold=mask_threshold, alpha=self.alpha, find_id=find_id)


@dataclass(frozen=True, kw_only=True)
class CountedDetections:
    """Which findings count, instead of as the recipe says."""

    score_threshold: Annotated[
        float, typer.Option("--score-threshold", metavar="SCORE", help="Of findings that are surer than this.")
    ] = 0.5
    max_detections: Annotated[
        int | None, typer.Option("--max-detections", metavar="N", help="Most objects on an image.")
    ] = None
    mask_threshold: Annotated[
        float | None,
        typer.Option("--mask-threshold", metavar="P", help="Pixels of this probability belong to an object: 0.5."),
    ] = None

    def overrides(self) -> list[Override]:
        """What they change in a recipe."""
        return overrides_of(
            ("--score-threshold", self.score_threshold, "inference.score_threshold", self.score_threshold),
            ("--max-detections", self.max_detections, "inference.max_detections", self.max_detections),
            ("--mask-threshold", self.mask_threshold, "inference.mask_threshold", self.mask_threshold),
        )


@spread_options
def detect(
    inputs: ImageInputs,
    output: SavedDetections,
    counted: CountedDetections,
    inference: DetectorOptions,
    mirrored: FlipOptions,
    model: ModelOptions,
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
    if output.image_ids is not None and output.save is None:
        raise AttnkitError(
            f"--image-ids {output.image_ids}: given without --save; expected a folder for results.json; add it"
        )
    detector = _open(model, [*counted.overrides(), *inference.overrides(), *mirrored.overrides()])
    threshold = detector.inference.mask_threshold if detector.has_masks else None
    saver = output.folder(inputs, mask_threshold=threshold)
    decode = decode_upright if output.image_ids is None else decode_as_stored
    decoded = decoded_inputs(inputs, sys.stdin.buffer, decode, reserve=saver.reserve if saver else None)
    write = objects_as_json if output.json_lines else count_table().write
    drawn = threshold if output.json_lines or saver else None  # a table says nothing of masks
    with saver or nullcontext():
        answers = detect_images(detector, decoded, saver.save if saver else None, mask_threshold=drawn)
        printed = print_answers(answers, write, name_problems=not output.json_lines)
    printed.check()


def _open(model: ModelOptions, overrides: Sequence[Override]) -> Detector:
    folder, recipe, weights = model.open("detection", overrides)
    from attnkit.recipes.detection.detector import load_detector

    return load_detector(
        cast("DetectionRecipe", recipe), folder, device=model.device, precision=model.numbers, weights=weights
    )

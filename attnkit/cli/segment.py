"""attnkit segment: images in, the class of each of their pixels out, in order, as soon as it is known."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from attnkit.cli.chosen_run import chosen_run, chosen_weights
from attnkit.cli.decode_ahead import decode_ahead
from attnkit.cli.image_inputs import ImageInput, image_inputs, in_groups
from attnkit.cli.inference_options import (
    FlipOption,
    OverlapOption,
    ScalesOption,
    WindowOption,
    check_inference,
    inference_with,
)
from attnkit.cli.options import CheckpointOption, DeviceOption, PrecisionOption, RunOption, refuse_precision
from attnkit.cli.segmented_images import Answer, AreaTable, as_json, segment_images
from attnkit.errors import AttnkitError, DataError

if TYPE_CHECKING:
    from torch import Tensor

    from attnkit.cli.saved_masks import MaskFolder
    from attnkit.recipes.segmentation.recipe import SegmentationRecipe
    from attnkit.recipes.segmentation.segmenter import Segmenter
    from attnkit.run_dir import RunDir

_DECODING_THREADS = 1
"""Keeps up with any model; each more would hold one more image, which may be large."""


def segment(
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT...", show_default=False, help="Images, folders, globs; - is paths on stdin."),
    ],
    run: RunOption = None,
    save: Annotated[
        Path | None,
        typer.Option("--save", metavar="DIR", help="Write NAME.png, the classes, and NAME_overlay.png for each image."),
    ] = None,
    json_lines: Annotated[bool, typer.Option("--json", help="A JSON object per image, one per line.")] = False,
    scales: ScalesOption = None,
    flip: FlipOption = None,
    window: WindowOption = None,
    overlap: OverlapOption = None,
    alpha: Annotated[
        float, typer.Option("--alpha", metavar="SHARE", help="How much of an overlay is colour, 0 to 1.")
    ] = 0.5,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    checkpoint: CheckpointOption = None,
) -> None:
    """Find the class of every pixel of images: prints the area of each class, largest first, and writes masks.

    A folder stands for the images in it, at any depth; in DIR their files lie as they do. Of two images of one name the
    second's files are NAME_2. An image that cannot be read is named, the others go on, and the exit code is 2 at the
    end. How images are looked at is as the run's recipe says, but for what is given here; images too large to be
    looked at whole are seen through windows.

    \b
    Examples:
      attnkit segment street.jpg
      attnkit segment photos/ --save masks
      attnkit segment street.jpg --save masks --scales 0.75,1,1.25 --flip
      find . -name '*.jpg' | attnkit segment - --run runs/mine --json > areas.jsonl
    """
    refuse_precision(precision)
    _refuse_alpha(alpha)
    check_inference(scales=scales, flip=flip, window=window, overlap=overlap)
    folder, recipe = _chosen(run)
    recipe = recipe.model_copy(
        update={"inference": inference_with(recipe.inference, scales=scales, flip=flip, window=window, overlap=overlap)}
    )
    segmenter = _open(folder, recipe, checkpoint, device=device, precision=precision)
    saver = None if save is None else _mask_folder(save, inputs, segmenter, alpha=alpha)
    groups = in_groups(_listed(inputs, saver), size=1, wait="-" not in inputs)
    decoded = decode_ahead(groups, _decode, threads=_DECODING_THREADS)
    write = as_json if json_lines else AreaTable().write
    _answer(segment_images(segmenter, decoded, saver), write, name_problems=not json_lines)


def _refuse_alpha(alpha: float) -> None:
    if not 0 <= alpha <= 1:
        raise AttnkitError(f"--alpha {alpha:g}: no share; expected 0 (the photograph) to 1 (colours); write 0.5")


def _chosen(run: Path | None) -> tuple[RunDir, SegmentationRecipe]:
    from attnkit import recipe_file

    folder = chosen_run(run, task="segmentation")
    return folder, cast("SegmentationRecipe", recipe_file.load(folder.recipe))


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
    from attnkit.cli.saved_masks import MaskFolder

    return MaskFolder(save, inputs, segmenter.colours, alpha=alpha)


def _listed(inputs: Sequence[str], saver: MaskFolder | None) -> Iterator[ImageInput]:
    """The inputs; where masks are saved, all of them are known before the first mask could take one's place."""
    listed = image_inputs(inputs, sys.stdin.buffer)
    if saver is None or "-" in inputs:
        return listed
    every = list(listed)
    saver.spare(one.name for one in every if one.problem is None)
    return iter(every)


def _decode(path: Path) -> Tensor:
    from attnkit.data.images.decode import decode_image

    return decode_image(path, str(path))


def _answer(answers: Iterable[Answer], write: Callable[[Answer], str], *, name_problems: bool) -> None:
    """Print answers as they come; leave with an error if some images had none."""
    total = failed = 0
    for answer in answers:
        total += 1
        _put(write(answer))
        if answer.problem is not None:
            failed += 1
            if name_problems:
                typer.echo(answer.problem, err=True)
    if failed:
        raise DataError(
            f"{failed} of {total} images could not be segmented; expected images; "
            "mend or remove them, the others are done"
        )


def _put(text: str) -> None:
    # Names of files may hold bytes that are not UTF-8; they go out as they came in.
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
    sys.stdout.buffer.flush()

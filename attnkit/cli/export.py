"""attnkit export: a run's model for other programs."""

from __future__ import annotations

from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from attnkit.cli.options import CheckpointOption, RunOption
from attnkit.errors import AttnkitError
from attnkit.run_dir import chosen_run, chosen_weights

if TYPE_CHECKING:
    from attnkit.interop.export_weights import Library, TrainedNetwork
    from attnkit.recipes.classification.recipe import ClassificationRecipe
    from attnkit.recipes.detection.recipe import DetectionRecipe
    from attnkit.recipes.segmentation.recipe import SegmentationRecipe
    from attnkit.recipes.translation.recipe import TranslationRecipe
    from attnkit.run_dir import RunDir

_CHECK_LINES = 200
_IMAGE_TASKS = ("classification", "segmentation", "detection")
_OF_ANY_SIZE = ("segmentation", "detection")
_SMALLEST = 8


class Format(StrEnum):
    """What can be written."""

    CT2 = "ct2"
    ONNX = "onnx"
    TORCHVISION = "torchvision"
    TIMM = "timm"
    TRANSFORMERS = "transformers"


def export(
    to: Annotated[Path, typer.Argument(metavar="TO", help="The new file or folder, by the format.")],
    file_format: Annotated[
        Format | None,
        typer.Option(
            "--format",
            help="Translation: ct2, a folder. Classification: onnx or torchvision, a file; timm or transformers, a "
            "folder. Segmentation: onnx or transformers. Detection: onnx or torchvision.  "
            "[default: ct2, or onnx where --run names a run of images]",
        ),
    ] = None,
    run: RunOption = None,
    checkpoint: CheckpointOption = None,
    image_size: Annotated[
        str | None,
        typer.Option(
            "--image-size",
            metavar="HxW",
            help="Of the onnx of a segmenter or detector: height and width of the images  [default: those of the run]",
        ),
    ] = None,
) -> None:
    """Write a run's model for another program.

    Without --run that of the newest run that the format is for.

    ct2 (CTranslate2) and onnx are checked to compute the same before they are kept; they come by
    pip install 'attnkit[ct2]' and 'attnkit[onnx]'. The others are files that the libraries read themselves.

    \b
    Examples:
      attnkit export --format ct2 --run runs/demo demo_ct2
      attnkit export --format onnx --run runs/flowers flowers.onnx
      attnkit export --format transformers --run runs/flowers flowers_hf
      attnkit export --format onnx --run runs/streets --image-size 512x1024 streets.onnx
      attnkit export --format onnx --run runs/cells --image-size 512x512 cells.onnx
    """
    from attnkit.run_dir import open_run, task_of

    if file_format is None:
        images = run is not None and task_of(open_run(run)) in _IMAGE_TASKS
        file_format = Format.ONNX if images else Format.CT2
    size = None if image_size is None else _size(image_size)
    if file_format is Format.CT2:
        _refuse_size(size, "a translation")
        _export_translation(chosen_run(run, task="translation"), to, checkpoint)
    else:
        _export_network(chosen_run(run, task=_IMAGE_TASKS), to, file_format, checkpoint, size)
    typer.echo(to)


def _size(written: str) -> tuple[int, int]:
    """Height and width, from 512x1024, or from one number for both."""
    parts = written.lower().split("x")
    if len(parts) > 2 or not all(part.isascii() and part.isdigit() and int(part) >= _SMALLEST for part in parts):
        raise AttnkitError(
            f"--image-size {written}: no size; expected height x width in pixels, {_SMALLEST} or more; write 512x1024"
        )
    return int(parts[0]), int(parts[-1])


def _refuse_size(size: tuple[int, int] | None, what: str) -> None:
    if size is not None:
        raise AttnkitError(
            f"--image-size {size[0]}x{size[1]}: {what} has no choice of it; expected it for the onnx of a segmentation "
            "or detection run; leave it out"
        )


def _export_translation(run: RunDir, folder: Path, checkpoint: Path | None) -> None:
    from attnkit import recipe_file
    from attnkit.interop.ctranslate2 import export_ctranslate2
    from attnkit.recipes.translation.translator import load_translator

    recipe = cast("TranslationRecipe", recipe_file.load(run.recipe))
    translator = load_translator(recipe, run, device="cpu", weights=chosen_weights(run, checkpoint))
    export_ctranslate2(
        translator.model,
        translator.src_tokenizer,
        translator.tgt_tokenizer,
        folder,
        check_lines=_check_lines(recipe),
    )


def _check_lines(recipe: TranslationRecipe) -> list[str]:
    """Sentences to compare translations on, of what the run has not been trained on where there is such."""
    from attnkit.data.open import OpenedData

    data = OpenedData(recipe.data)
    found = data["test"] or data["valid"] or data["train"]
    assert found is not None
    return list(islice(found.src_lines(), _CHECK_LINES))


def _export_network(
    run: RunDir, to: Path, file_format: Format, checkpoint: Path | None, size: tuple[int, int] | None
) -> None:
    from attnkit import recipe_file

    recipe = cast("ClassificationRecipe | SegmentationRecipe | DetectionRecipe", recipe_file.load(run.recipe))
    if recipe.task not in _OF_ANY_SIZE or file_format is not Format.ONNX:
        _refuse_size(size, f"{recipe.task} as {file_format.value}")
    weights = chosen_weights(run, checkpoint)
    from attnkit.interop.export_weights import export_weights
    from attnkit.recipes.tasks import trained_network

    network = trained_network(recipe, weights)
    if file_format is not Format.ONNX:
        lines = export_weights(network, cast("Library", file_format.value), to)
    elif recipe.task == "detection":
        lines = _export_detector(network, recipe, to, size)
    else:
        from attnkit.interop.onnx_export import export_onnx

        lines = export_onnx(network, to, image_size=size)
    for line in lines:
        typer.echo(line, err=True)


def _export_detector(
    network: TrainedNetwork, recipe: DetectionRecipe, to: Path, size: tuple[int, int] | None
) -> tuple[str, ...]:
    """With the rules of its recipe in the graph; some of them are not for a graph, which is said."""
    from attnkit.interop.rcnn_onnx import FindingRules, export_detector

    found = recipe.inference
    rules = FindingRules(found.score_threshold, found.nms_threshold, found.max_detections)
    lines = export_detector(network, to, rules, image_size=size)
    given = {"soft_nms": found.soft_nms, "short_sides": found.short_sides, "flip": found.flip}
    left_out = [name for name, value in given.items() if value]
    if left_out:
        lines += (f"left out: inference.{', inference.'.join(left_out)}; the graph looks once, and keeps the best",)
    return lines

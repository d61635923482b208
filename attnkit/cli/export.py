"""attnkit export: a run's model for other programs."""

from __future__ import annotations

from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from attnkit.cli.chosen_run import chosen_run, chosen_weights
from attnkit.cli.options import CheckpointOption, RunOption

if TYPE_CHECKING:
    from attnkit.interop.export_weights import Library
    from attnkit.recipes.classification.recipe import ClassificationRecipe
    from attnkit.recipes.translation.recipe import TranslationRecipe
    from attnkit.run_dir import RunDir

_CHECK_LINES = 200


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
            help="Translation: ct2, a folder. Images: onnx or torchvision, a file; timm or transformers, a folder.  "
            "[default: ct2, or onnx where --run names a run of images]",
        ),
    ] = None,
    run: RunOption = None,
    checkpoint: CheckpointOption = None,
) -> None:
    """Write a run's model for another program.

    ct2 (CTranslate2) and onnx are checked to compute the same before they are kept; they come by
    pip install 'attnkit[ct2]' and 'attnkit[onnx]'. The others are files that the libraries read themselves.

    \b
    Examples:
      attnkit export --format ct2 --run runs/demo demo_ct2
      attnkit export --format onnx --run runs/flowers flowers.onnx
      attnkit export --format transformers --run runs/flowers flowers_hf
    """
    from attnkit.run_dir import open_run, task_of

    if file_format is None:
        images = run is not None and task_of(open_run(run)) == "classification"
        file_format = Format.ONNX if images else Format.CT2
    run_dir = chosen_run(run, task="translation" if file_format is Format.CT2 else "classification")
    if file_format is Format.CT2:
        _export_translation(run_dir, to, checkpoint)
    else:
        _export_classifier(run_dir, to, file_format, checkpoint)
    typer.echo(to)


def _export_translation(run: RunDir, folder: Path, checkpoint: Path | None) -> None:
    from attnkit import recipe_file
    from attnkit.interop.ctranslate2 import export_ctranslate2
    from attnkit.recipes.translation.translator import open_translator

    recipe = cast("TranslationRecipe", recipe_file.load(run.recipe))
    translator = open_translator(recipe, run, device="cpu", checkpoint=chosen_weights(run, checkpoint))
    export_ctranslate2(
        translator.model,
        translator.src_tokenizer,
        translator.tgt_tokenizer,
        folder,
        check_lines=_check_lines(recipe),
    )


def _check_lines(recipe: TranslationRecipe) -> list[str]:
    """Sentences to compare translations on, of what the run has not been trained on where there is such."""
    from attnkit.data.parallel_text import open_pairs

    found = open_pairs(recipe.data, "test") or open_pairs(recipe.data, "valid") or open_pairs(recipe.data, "train")
    assert found is not None
    return list(islice(found.src_lines(), _CHECK_LINES))


def _export_classifier(run: RunDir, to: Path, file_format: Format, checkpoint: Path | None) -> None:
    from attnkit import recipe_file

    recipe = cast("ClassificationRecipe", recipe_file.load(run.recipe))
    weights = chosen_weights(run, checkpoint)
    from attnkit.interop.export_weights import export_weights
    from attnkit.interop.onnx_export import export_onnx
    from attnkit.recipes.classification.export import trained_classifier

    classifier = trained_classifier(recipe, weights)
    if file_format is Format.ONNX:
        lines = export_onnx(classifier, to)
    else:
        lines = export_weights(classifier, cast("Library", file_format.value), to)
    for line in lines:
        typer.echo(line, err=True)

"""attnkit recipe new: a recipe for one's own data."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attnkit.cli.options import spread_options
from attnkit.errors import AttnkitError

if TYPE_CHECKING:
    from attnkit.data.config import Split
    from attnkit.data.text.config import PairOfFiles
    from attnkit.new_recipe.recipe_text import NewRecipe


@dataclass(frozen=True)
class TextOptions:
    """The sentences of a translation recipe."""

    src: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Translation: training sentences, one per line; .gz is read as it is."),
    ] = None
    tgt: Annotated[str | None, typer.Option(metavar="FILE", help="Their translations; line n belongs to line n.")] = (
        None
    )
    valid_src: Annotated[
        str | None, typer.Option(metavar="FILE", help="Sentences to validate on  [default: some are held back]")
    ] = None
    valid_tgt: Annotated[str | None, typer.Option(metavar="FILE", help="Their translations.")] = None
    test_src: Annotated[
        str | None, typer.Option(metavar="FILE", help="Sentences to score on  [default: some are held back]")
    ] = None
    test_tgt: Annotated[str | None, typer.Option(metavar="FILE", help="Their translations.")] = None

    def languages(self) -> str:
        """A name from the languages of the files: en_de."""
        from attnkit.data.text.parallel_text import language_of

        languages = [language_of(file) for file in (self.src, self.tgt) if file is not None]
        return "_".join(map(str, languages)) if all(languages) else "translation"

    def pairs(self) -> dict[Split, PairOfFiles]:
        """The splits that are given; each needs both of its files."""
        from attnkit.data.text.config import PairOfFiles

        sides: dict[Split, tuple[str | None, str | None]] = {
            "train": (self.src, self.tgt),
            "valid": (self.valid_src, self.valid_tgt),
            "test": (self.test_src, self.test_tgt),
        }
        given = {}
        for split, (src, tgt) in sides.items():
            if src is None and tgt is None:
                continue
            options = ("--src", "--tgt") if split == "train" else (f"--{split}-src", f"--{split}-tgt")
            if src is None or tgt is None:
                present, absent = options if tgt is None else options[::-1]
                raise AttnkitError(f"{present}: its other side is not given; expected {absent} too; add it")
            if src == tgt:
                raise AttnkitError(
                    f"{options[0]}: {src} is {options[1]} too; expected one file per language; correct one"
                )
            given[split] = PairOfFiles(src=src, tgt=tgt)
        return given


@dataclass(frozen=True)
class ImageOptions:
    """The images of the other recipes, and what to size them to."""

    data: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="A folder or archive. Classification: with a folder of images per class. Detection: as YOLO, Pascal "
            "VOC or COCO have it.",
        ),
    ] = None
    images: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="Segmentation, detection: images, all together or in train, val and test."),
    ] = None
    masks: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="Their masks, a PNG of the same name for each, pixels are class numbers."),
    ] = None
    annotations: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Detection: COCO's json of training; those of val and test lie beside it."),
    ] = None
    classes: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Segmentation: class names, .json or .txt  [default: numbers, as in masks]"),
    ] = None
    image_size: Annotated[
        int | None,
        typer.Option(metavar="PIXELS", min=16, help="Size of the model's input  [default: by images and machine]"),
    ] = None
    minutes: Annotated[
        float | None,
        typer.Option(
            metavar="N", min=0.01, help="Training time, images only  [default: 60 on processor cores, 720 on a GPU]"
        ),
    ] = None


@dataclass(frozen=True)
class OutputOptions:
    """What is written."""

    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="The recipe; held-back sets are written beside it."),
    ] = None
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the recipe and its runs  [default: the file's]")
    ] = None
    force: Annotated[bool, typer.Option("--force", help="Overwrite existing files.")] = False


@spread_options
def new(
    task: Annotated[
        str, typer.Argument(metavar="TASK", help="translation, classification, segmentation or detection.")
    ],
    text: TextOptions,
    images: ImageOptions,
    output: OutputOptions,
) -> None:
    """Write a recipe sized to your data, and explain its choices.

    Where no validation or test set is given, one is held back: no sentence or image of it is in another set.

    \b
    Examples:
      attnkit recipe new translation --src train.en --tgt train.de --output my.yaml
      attnkit recipe new translation --src a.en --tgt a.de --test-src b.en --test-tgt b.de
      attnkit recipe new classification --data photos
      attnkit recipe new classification --data photos.zip --image-size 64 --minutes 10
      attnkit recipe new segmentation --images photos --masks masks --classes names.txt
      attnkit recipe new detection --images photos --annotations instances.json
      attnkit recipe new detection --data yolo.zip
    """
    _check_options(task, text, images)
    from attnkit.new_recipe.recipe_text import name_recipe, refuse_to_overwrite

    source = images.data or images.images or text.languages()
    file, name = name_recipe(source, file=output.output, name=output.name, otherwise=task)
    if task == "translation":
        from attnkit.new_recipe.translation import new_translation

        written = new_translation(text.pairs(), output=file, name=name, force=output.force)
    else:
        if not output.force:
            refuse_to_overwrite(file)
        written = _new_for_images(task, images, file, name)
    for line in (*written.reasons, *written.warnings):
        typer.echo(line, err=True)
    typer.echo(f"next: attnkit train {written.file}", err=True)
    typer.echo(str(written.file))


_OPTIONS = {
    "translation": tuple(f"--{field.name.replace('_', '-')}" for field in fields(TextOptions)),
    "classification": ("--data", "--image-size", "--minutes"),
    "segmentation": ("--images", "--masks", "--classes", "--image-size", "--minutes"),
    "detection": ("--images", "--annotations", "--data", "--image-size", "--minutes"),
}
_NEEDED = {
    "translation": ("--src", "--tgt"),
    "classification": ("--data",),
    "segmentation": ("--images", "--masks"),
    "detection": ("--images", "--annotations"),
}


def _check_options(task: str, text: TextOptions, images: ImageOptions) -> None:
    """Refuse an unknown task, options of another one, and the lack of what this one needs."""
    if task not in _OPTIONS:
        raise AttnkitError(
            f"recipe new: there is no task '{task}'; expected translation, classification, segmentation or detection; "
            "write one of them"
        )
    given = {f"--{name.replace('_', '-')}": value for name, value in (vars(text) | vars(images)).items()}
    own, needed = _OPTIONS[task], _NEEDED[task]
    for option, value in given.items():
        if value is not None and option not in own:
            raise AttnkitError(f"{option}: not an option of {task}; expected {', '.join(own)}; leave it out")
    if task == "detection" and given["--data"] is not None:
        if both := [option for option in needed if given[option] is not None]:
            raise AttnkitError(
                f"{both[0]}: given together with --data, which holds images and objects; expected one of them; "
                "leave one out"
            )
        return
    for option in needed:
        if given[option] is None:
            alone = ", or --data alone," if task == "detection" else ""
            raise AttnkitError(f"{option}: not given; expected {' and '.join(needed)}{alone} for {task}; add it")


def _new_for_images(task: str, asked: ImageOptions, output: Path, name: str) -> NewRecipe:
    size, minutes = asked.image_size, asked.minutes
    if task == "classification":
        from attnkit.new_recipe.classification import new_classification

        assert asked.data is not None
        return new_classification(asked.data, output=output, name=name, image_size=size, minutes=minutes)
    if task == "segmentation":
        from attnkit.new_recipe.segmentation import new_segmentation

        assert asked.images is not None
        assert asked.masks is not None
        return new_segmentation(
            asked.images, asked.masks, output=output, name=name, classes=asked.classes, crop=size, minutes=minutes
        )
    from attnkit.new_recipe.detection import new_detection
    from attnkit.new_recipe.own_data import coco_data, found_data

    source = asked.data or asked.images
    assert source is not None
    data = found_data(source) if asked.annotations is None else coco_data(source, asked.annotations)
    return new_detection(source, data, output=output, name=name, side=size, minutes=minutes)

"""attnkit recipe new: a recipe for one's own data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attnkit.errors import AttnkitError

if TYPE_CHECKING:
    from attnkit.data.config import Split
    from attnkit.data.text.config import PairOfFiles


def new(
    task: Annotated[
        str, typer.Argument(metavar="TASK", help="translation, classification, segmentation or detection.")
    ],
    src: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Translation: training sentences, one per line; .gz is read as it is."),
    ] = None,
    tgt: Annotated[
        str | None, typer.Option(metavar="FILE", help="Their translations; line n belongs to line n.")
    ] = None,
    valid_src: Annotated[
        str | None, typer.Option(metavar="FILE", help="Sentences to validate on  [default: some are held back]")
    ] = None,
    valid_tgt: Annotated[str | None, typer.Option(metavar="FILE", help="Their translations.")] = None,
    test_src: Annotated[
        str | None, typer.Option(metavar="FILE", help="Sentences to score on  [default: some are held back]")
    ] = None,
    test_tgt: Annotated[str | None, typer.Option(metavar="FILE", help="Their translations.")] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Or an archive. Classification: with a folder of images per class. Detection: as YOLO, Pascal VOC or "
            "COCO have it.",
        ),
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="Segmentation, detection: images, all together or in train, val and test."),
    ] = None,
    masks: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="Their masks, a PNG of the same name for each, pixels are class numbers."),
    ] = None,
    annotations: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Detection: COCO's json of training; those of val and test lie beside it."),
    ] = None,
    classes: Annotated[
        str | None, typer.Option(metavar="FILE", help="Of class names, .json or .txt  [default: as many as masks have]")
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option(metavar="PIXELS", min=16, help="Of the model's input  [default: by images and machine]"),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(metavar="N", min=0.01, help="Of training, images  [default: 60 on processor cores, 720 on a GPU]"),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="The recipe; held-back sets are written beside it."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of the recipe and its runs  [default: the file's]")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over files that are there.")] = False,
) -> None:
    """Write a recipe sized to your data, and say why it is as it is.

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
    given = {
        "--src": src,
        "--tgt": tgt,
        "--valid-src": valid_src,
        "--valid-tgt": valid_tgt,
        "--test-src": test_src,
        "--test-tgt": test_tgt,
        "--data": data,
        "--images": images,
        "--masks": masks,
        "--annotations": annotations,
        "--classes": classes,
        "--image-size": image_size,
        "--minutes": minutes,
    }
    _check_options(task, given)
    if task == "translation":
        assert src is not None
        assert tgt is not None
        files = _given({"train": (src, tgt), "valid": (valid_src, valid_tgt), "test": (test_src, test_tgt)})
        file = output or Path(f"{_languages(src, tgt)}.yaml")
        _new_translation(files, file, name=name, force=force)
    elif task == "classification":
        assert data is not None
        file = output or _recipe_file(data, otherwise=task)
        _new_classification(data, file, name=name, image_size=image_size, minutes=minutes, force=force)
    elif task == "detection":
        source = data or images
        assert source is not None
        file = output or _recipe_file(source, otherwise=task)
        _new_detection(source, annotations, file, name=name, side=image_size, minutes=minutes, force=force)
    else:
        assert images is not None
        assert masks is not None
        file = output or _recipe_file(images, otherwise=task)
        _new_segmentation(
            images, masks, file, name=name, classes=classes, crop=image_size, minutes=minutes, force=force
        )
    typer.echo(f"next: attnkit train {file}", err=True)
    typer.echo(str(file))


_TEXTS = ("--src", "--tgt", "--valid-src", "--valid-tgt", "--test-src", "--test-tgt")
_OPTIONS = {
    "translation": _TEXTS,
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


def _check_options(task: str, given: Mapping[str, object]) -> None:
    """Refuse what is no task, options of another one, and the lack of what this one needs."""
    if task not in _OPTIONS:
        raise AttnkitError(
            f"recipe new: there is no task '{task}'; expected translation, classification, segmentation or detection; "
            "write one of them"
        )
    own, needed = _OPTIONS[task], _NEEDED[task]
    for option, value in given.items():
        if value is not None and option not in own:
            raise AttnkitError(f"{option}: is no option of {task}; expected {', '.join(own)}; leave it out")
    if task == "detection" and given["--data"] is not None:
        if both := [option for option in needed if given[option] is not None]:
            raise AttnkitError(f"{both[0]}: beside --data, which holds images and objects; expected one; leave one out")
        return
    for option in needed:
        if given[option] is None:
            alone = ", or --data alone," if task == "detection" else ""
            raise AttnkitError(f"{option}: not given; expected {' and '.join(needed)}{alone} for {task}; add it")


def _new_translation(given: dict[Split, PairOfFiles], file: Path, *, name: str | None, force: bool) -> None:
    from attnkit.new_recipe.translation import new_translation

    written = new_translation(given, output=file, name=name or _name_of(file, otherwise="translation"), force=force)
    for line in filter(None, (*written.reasons, written.warning)):
        typer.echo(line, err=True)


def _new_classification(
    data: str, file: Path, *, name: str | None, image_size: int | None, minutes: float | None, force: bool
) -> None:
    from attnkit.new_recipe.classification import new_classification

    written = new_classification(
        data,
        output=file,
        name=name or _name_of(file, otherwise="classification"),
        image_size=image_size,
        minutes=minutes,
        force=force,
    )
    for line in (*written.reasons, *written.warnings):
        typer.echo(line, err=True)


def _new_segmentation(
    images: str,
    masks: str,
    file: Path,
    *,
    name: str | None,
    classes: str | None,
    crop: int | None,
    minutes: float | None,
    force: bool,
) -> None:
    from attnkit.new_recipe.segmentation import new_segmentation

    written = new_segmentation(
        images,
        masks,
        output=file,
        name=name or _name_of(file, otherwise="segmentation"),
        classes=classes,
        crop=crop,
        minutes=minutes,
        force=force,
    )
    for line in (*written.reasons, *written.warnings):
        typer.echo(line, err=True)


def _new_detection(
    source: str,
    annotations: str | None,
    file: Path,
    *,
    name: str | None,
    side: int | None,
    minutes: float | None,
    force: bool,
) -> None:
    from attnkit.new_recipe.detection import new_detection
    from attnkit.new_recipe.detection_data import coco_data, found_data

    written = new_detection(
        source,
        found_data(source) if annotations is None else coco_data(source, annotations),
        output=file,
        name=name or _name_of(file, otherwise="detection"),
        side=side,
        minutes=minutes,
        force=force,
    )
    for line in (*written.reasons, *written.warnings):
        typer.echo(line, err=True)


def _given(sides: dict[Split, tuple[str | None, str | None]]) -> dict[Split, PairOfFiles]:
    """The splits that are given; each needs both of its files."""
    from attnkit.data.text.config import PairOfFiles

    given = {}
    for split, (src, tgt) in sides.items():
        if src is None and tgt is None:
            continue
        options = ("--src", "--tgt") if split == "train" else (f"--{split}-src", f"--{split}-tgt")
        if src is None or tgt is None:
            there, absent = options if tgt is None else options[::-1]
            raise AttnkitError(f"{there}: its other side is not given; expected {absent} too; add it")
        if src == tgt:
            raise AttnkitError(f"{options[0]}: {src} is {options[1]} too; expected one file per language; correct one")
        given[split] = PairOfFiles(src=src, tgt=tgt)
    return given


def _languages(src: str, tgt: str) -> str:
    """A name from the languages of the files: en_de."""
    from attnkit.data.text.parallel_text import language_of

    languages = language_of(src), language_of(tgt)
    return "_".join(filter(None, languages)) if all(languages) else "translation"


def _recipe_file(data: str, *, otherwise: str) -> Path:
    """Named as the data."""
    return Path(f"{_name_of(Path(data.rstrip('/')), otherwise=otherwise)}.yaml")


def _name_of(file: Path, *, otherwise: str) -> str:
    """A file's name with nothing in it that a recipe's name may not have."""
    stem = file.name.partition(".tar")[0] if ".tar" in file.name else file.stem
    return re.sub(r"[^A-Za-z0-9._-]+", "_", stem).lstrip("._-") or otherwise

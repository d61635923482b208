"""Imported weights as a run: the recipe, the weights, and what is recorded and reported about them."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from attnkit.data.classification.config import ImageConfig
from attnkit.data.detection.config import DetectionImageConfig
from attnkit.data.formats.class_list import read_class_names
from attnkit.data.formats.mask_png import palette
from attnkit.data.segmentation.config import SegmentationImageConfig
from attnkit.errors import CheckpointError
from attnkit.interop.coco_classes import category_ids, coco_classes
from attnkit.interop.fitting import Fitted, fit_to_model
from attnkit.interop.foreign_file import ForeignFile, read_foreign_file
from attnkit.interop.imported_weights import GOOGLE_MEAN_STD, ImportedWeights, PixelsConfig
from attnkit.interop.recognise import recognise
from attnkit.models.config import UperNetConfig
from attnkit.models.layers.patches import Interpolation
from attnkit.models.rcnn.config import CascadeConfig, HtcConfig, MaskRcnnConfig
from attnkit.new_recipe.imported_recipe import (
    ImportedRecipe,
    describe_classifier,
    describe_detector,
    describe_segmenter,
)
from attnkit.new_recipe.recipe_text import allowed_name
from attnkit.recipes import Recipe

Normalization = Literal["imagenet", "half"]

IMAGENET = "imagenet"
"""Stands for a file of class names: the thousand of ImageNet-1k in their usual order."""
COCO = "coco"
"""Likewise: the 80 of COCO."""
IMAGENET_CLASSES = 1000
KERNELS: dict[str, Interpolation] = {"Google's ViT": "google", "timm": "timm", "torchvision": "torchvision"}
"""Whose way of resizing positions goes with whose weights; DeiT's for all others."""


@dataclass(frozen=True)
class ImportedRun:
    """Everything that a run folder needs.

    Attributes:
        recipe: with the model, the preparation of images of the source, and published values of fine-tuning.
        weights: by attnkit's names.
        facts: what goes into the file of the weights beside them.
        report: what was recognised, resized and assumed; one line each.
    """

    recipe: Recipe
    weights: dict[str, Tensor]
    facts: dict[str, Any]
    report: tuple[str, ...]


def import_weights(
    path: Path,
    *,
    name: str | None = None,
    image_size: int | None = None,
    window_size: int | None = None,
    position_interpolation: Interpolation | None = None,
    classes: str | None = None,
    num_heads: int | None = None,
    normalization: Normalization | None = None,
) -> ImportedRun:
    """Read a file of weights that attnkit did not write.

    Args:
        path: the file, or a folder of transformers or timm.
        name: of the recipe; None derives it from the file's name.
        image_size: pixels, of a detector those of the shorter side; None keeps that of the weights.
        window_size: of a Swin; None keeps that of the weights.
        position_interpolation: whose kernel resizes positions; None takes that of the source.
        classes: a file of class names, one per line, or `imagenet` or `coco`; None takes those beside the weights.
        num_heads: attention heads, where neither the weights nor a paper determine them.
        normalization: mean and std of the images; None takes those of the source.

    Raises:
        CheckpointError: the file is damaged, unsafe, unknown, or does not fit the model that it seems to be of.
        DataError: the class names are wrong.
        AttnkitError: the image size does not suit the model.
    """
    file = read_foreign_file(path)
    imported = recognise(file, num_heads=num_heads)
    names = imported.class_names if classes is None else class_names(classes)
    num_classes = len(names) if names else imported.num_classes
    if num_classes is None:
        raise CheckpointError(
            f"{file.path}: no classifier in it, and no class names are given; expected class names; "
            "give a file of them with --classes, and a new head is made"
        )
    size = image_size or imported.image_size
    kernel = position_interpolation or KERNELS.get(imported.source, "deit")
    fitted = fit_to_model(
        imported, image_size=size, num_classes=num_classes, position_interpolation=kernel, window_size=window_size
    )
    image = _normalized(imported.image, normalization)
    made = _described(name or _name_of(path), fitted, image, size)
    facts = _facts(file, imported, fitted, names or tuple(map(str, range(num_classes))), kernel)
    assumed = (imported.size_note if image_size is None else None, imported.class_note if classes is None else None)
    notes = [note for note in (*assumed, *imported.notes) if note is not None]
    report = _report(imported, fitted, made, notes=notes, numbered=names is None)
    return ImportedRun(made.recipe, fitted.weights, facts, report)


def class_names(source: str) -> tuple[str, ...]:
    """The class names of a file, or of IMAGENET or COCO where no file has that name.

    Raises:
        DataError: there is no such file, or a line is empty or occurs twice.
    """
    if Path(source).exists() or source not in (IMAGENET, COCO):
        advice = f"name another with --classes, or {IMAGENET} or {COCO}"
        return read_class_names(source, advice)
    if source == COCO:
        return tuple(coco_classes())
    from torchvision.models import ResNet50_Weights

    return tuple(ResNet50_Weights.DEFAULT.meta["categories"])


def _described(name: str, fitted: Fitted, image: PixelsConfig, size: int) -> ImportedRecipe:
    """The recipe of a network by its task, with the words of the report."""
    if isinstance(fitted.model, MaskRcnnConfig | CascadeConfig | HtcConfig):
        assert isinstance(image, DetectionImageConfig)
        assert fitted.parts is not None
        return describe_detector(
            name, fitted.model, image, size=size, num_classes=fitted.num_classes, parts=fitted.parts
        )
    if isinstance(fitted.model, UperNetConfig):
        assert isinstance(image, SegmentationImageConfig)
        return describe_segmenter(name, fitted.model, image, size=size, num_classes=fitted.num_classes)
    assert isinstance(image, ImageConfig)
    return describe_classifier(name, fitted.model, image, size=size)


def _normalized(image: PixelsConfig, normalization: Normalization | None) -> PixelsConfig:
    if normalization is None:
        return image
    keys = ("mean", "std")
    imagenet = {key: type(image).model_fields[key].default for key in keys}
    changes = imagenet if normalization == "imagenet" else dict.fromkeys(keys, GOOGLE_MEAN_STD)
    return image.changed(**changes)


def _facts(
    file: ForeignFile, imported: ImportedWeights, fitted: Fitted, names: tuple[str, ...], kernel: Interpolation
) -> dict[str, Any]:
    """What is stored beside the weights: the classes, facts of the task, and the source."""
    facts: dict[str, Any] = {
        "classes": list(names),
        "imported": {
            "source": imported.source,
            "file": str(file.path),
            "sha256": _sha256(file.path),
            "resized": list(fitted.resized),
            "position_interpolation": kernel if any("positions: " in line for line in fitted.resized) else None,
        },
    }
    if isinstance(fitted.model, UperNetConfig):
        colours = imported.colours
        known = colours is not None and len(colours) == len(names)
        facts["colours"] = [list(colour) for colour in colours or ()] if known else palette(len(names)).tolist()
    if fitted.parts is not None:
        facts |= {"category_ids": category_ids(names), **asdict(fitted.parts)}
    return facts


def _name_of(path: Path) -> str:
    """A name for the recipe: that of the file, or of its folder where the file has a generic name."""
    stem = path.parent.resolve().name if path.stem in ("model", "pytorch_model") else path.name
    stem = re.sub(r"\.(pth|pt|bin|safetensors|npz|tar)$", "", stem)
    return allowed_name(stem) or "imported"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _report(
    imported: ImportedWeights, fitted: Fitted, made: ImportedRecipe, *, notes: Sequence[str], numbered: bool
) -> tuple[str, ...]:
    params = sum(tensor.numel() for key, tensor in fitted.weights.items() if "running_" not in key and tensor.dim())
    lines = [
        f"recognised: {made.network} by its names from {imported.source}, {params:,} parameters, "
        f"{made.pixels} pixels, {fitted.num_classes:,} classes" + (f" ({made.sizes})" if made.sizes else ""),
        f"images: {made.images}",
        f"training values: {made.training_source}",
        *(f"resized: {line}" for line in fitted.resized),
        *(f"fresh: {head} begins from zero for {fitted.num_classes:,} classes" for head in fitted.fresh_heads),
        *(f"assumed: {note}" for note in notes),
    ]
    if imported.left_out:
        lines.append(f"left out: {imported.left_out[0]} and {len(imported.left_out) - 1} more, which are not needed")
    if numbered:
        hint = f"; if they are ImageNet's, import with --classes {IMAGENET}" * (fitted.num_classes == IMAGENET_CLASSES)
        lines.append(f"classes: the file does not name them; they are called 0 to {fitted.num_classes - 1}{hint}")
    return tuple(lines)

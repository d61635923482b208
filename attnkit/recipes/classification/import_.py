"""Somebody's weights as a run: a recipe that says what they are and how to go on with them, and the weights."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from attnkit.data.config import ImageConfig, ImageFolderConfig
from attnkit.errors import CheckpointError, DataError
from attnkit.interop.fitting import Fitted, fit_to_model
from attnkit.interop.foreign_file import read_foreign_file
from attnkit.interop.imported_weights import GOOGLE_MEAN_STD, ImportedWeights
from attnkit.interop.recognise import recognise
from attnkit.models.config import ClassifierConfig, SwinConfig, ViTConfig
from attnkit.models.layers.image_positions import Interpolation
from attnkit.recipes.classification.architectures import ARCHITECTURES
from attnkit.recipes.classification.fine_tuning import published_fine_tuning
from attnkit.recipes.classification.recipe import ClassificationRecipe

Normalization = Literal["imagenet", "half"]

IMAGENET = "imagenet"
"""As a file of class names: the thousand of ImageNet-1k in their usual order."""
IMAGENET_CLASSES = 1000
KERNELS: dict[str, Interpolation] = {"Google's ViT": "google", "timm": "timm", "torchvision": "torchvision"}
"""Whose way of resizing positions goes with whose weights; DeiT's for all others."""
SHAPES = ("patch_size", "embed_dim", "depth", "depths", "num_heads", "window_size", "mlp_ratio", "resnet_depths")
"""Fields by which a published architecture is told; the others are no matter of size."""


@dataclass(frozen=True)
class ImportedRun:
    """All that the folder of a run needs.

    Attributes:
        recipe: with the model, the images as the source prepared them, and published values of fine-tuning.
        weights: by attnkit's names.
        facts: what goes into the file of the weights beside them.
        report: what was recognised, resized and assumed; one line each.
    """

    recipe: ClassificationRecipe
    weights: dict[str, Tensor]
    facts: dict[str, Any]
    report: tuple[str, ...]


def import_classifier(
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
        name: of the recipe; none makes one of the file's name.
        image_size: pixels; none leaves that of the weights.
        window_size: of a Swin; none leaves that of the weights.
        position_interpolation: whose kernel resizes positions; none takes that of the source.
        classes: a file of class names, one per line, or `imagenet`; none takes those beside the weights.
        num_heads: attention heads, where neither the weights nor a paper tells them.
        normalization: mean and std of the images; none takes those of the source.

    Raises:
        CheckpointError: the file is damaged, unsafe, unknown, or does not fit the model that it seems to be of.
        DataError: the class names are wrong.
        AttnkitError: the image size does not suit the model.
    """
    file = read_foreign_file(path)
    imported = recognise(file, num_heads=num_heads)
    names = imported.class_names if classes is None else read_class_names(classes)
    num_classes = len(names) if names else imported.num_classes
    if num_classes is None:
        raise CheckpointError(
            f"{file.path}: no classifier in it, and nobody says which classes; expected class names; "
            "give a file of them with --classes, and a fresh head is made"
        )
    size = image_size or imported.image.size
    kernel = position_interpolation or KERNELS.get(imported.source, "deit")
    fitted = fit_to_model(
        imported, image_size=size, num_classes=num_classes, position_interpolation=kernel, window_size=window_size
    )
    numbered = names is None
    names = names or tuple(str(number) for number in range(num_classes))
    recipe = _recipe(name or _name_of(path), fitted.model, _image(imported.image, size, normalization))
    facts = {
        "classes": list(names),
        "imported": {
            "source": imported.source,
            "file": str(file.path),
            "sha256": _sha256(file.path),
            "resized": list(fitted.resized),
            "position_interpolation": kernel if any(line.startswith("positions") for line in fitted.resized) else None,
        },
    }
    return ImportedRun(recipe, fitted.weights, facts, _report(imported, fitted, recipe, numbered=numbered))


def read_class_names(source: str) -> tuple[str, ...]:
    """Class names from a file, one per line in the order of the logits.

    Raises:
        DataError: there is no such file, or a line is empty or stands there twice.
    """
    path = Path(source)
    if source == IMAGENET and not path.exists():
        from torchvision.models import ResNet50_Weights

        return tuple(ResNet50_Weights.DEFAULT.meta["categories"])
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{source}: no readable text file; expected class names, one per line, or the word {IMAGENET}; "
            "name another with --classes"
        ) from error
    names = tuple(line.strip() for line in lines)
    for number, class_name in enumerate(names, start=1):
        if not class_name or class_name in names[: number - 1]:
            what = f"'{class_name}' stands there twice" if class_name else "an empty line"
            raise DataError(f"{source}:{number}: {what}; expected one class name per line, each once; mend the file")
    if not names:
        raise DataError(f"{source}: empty; expected class names, one per line; mend the file")
    return names


def architecture_of(model: ClassifierConfig, image_size: int) -> str | None:
    """The name of the published architecture that a model is."""
    for name, architecture in ARCHITECTURES.items():
        published = architecture.model
        same = type(published) is type(model) and all(
            getattr(published, field) == getattr(model, field) for field in SHAPES if hasattr(published, field)
        )
        if same and architecture.image_size == image_size and _is_deit(published) == _is_deit(model):
            return name
    return None


def _is_deit(model: ClassifierConfig) -> bool:
    return model.name == "vit" and model.distillation


def _recipe(name: str, model: ClassifierConfig, image: ImageConfig) -> ClassificationRecipe:
    tuning = published_fine_tuning(model)
    if isinstance(model, ViTConfig | SwinConfig):
        model = model.model_copy(update={"drop_path_rate": tuning.drop_path_rate})
    return ClassificationRecipe(
        task="classification",
        name=name,
        data=ImageFolderConfig(format="image_folder", path="imagenet"),
        image=image,
        augment=tuning.augment,
        model=model,
        loss=tuning.loss,
        batch=tuning.batch,
        train=tuning.train,
    )


def _image(image: ImageConfig, size: int, normalization: Normalization | None) -> ImageConfig:
    changed: dict[str, Any] = {"size": size}
    if normalization == "half":
        changed |= {"mean": GOOGLE_MEAN_STD, "std": GOOGLE_MEAN_STD}
    elif normalization == "imagenet":
        changed |= {key: ImageConfig.model_fields[key].default for key in ("mean", "std")}
    return image.model_copy(update=changed)


def _name_of(path: Path) -> str:
    """A name for the recipe: that of the file, or of its folder where all files are called alike."""
    stem = path.parent.resolve().name if path.stem in ("model", "pytorch_model") else path.name
    stem = re.sub(r"\.(pth|pt|bin|safetensors|npz|tar)$", "", stem)
    return re.sub(r"[^A-Za-z0-9._-]+", "_", stem).lstrip("._-") or "imported"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _report(
    imported: ImportedWeights, fitted: Fitted, recipe: ClassificationRecipe, *, numbered: bool
) -> tuple[str, ...]:
    model, image = fitted.model, recipe.image
    name = architecture_of(model, image.size) or model.name
    params = sum(tensor.numel() for key, tensor in fitted.weights.items() if "running_" not in key and tensor.dim())
    sizes = ", ".join(
        f"{key} {_written(getattr(model, key))}" for key in SHAPES if getattr(model, key, None) is not None
    )
    lines = [
        f"recognised: {name} by its names from {imported.source}, {params:,} parameters, "
        f"{image.size}x{image.size} pixels, {fitted.num_classes:,} classes" + (f" ({sizes})" if sizes else ""),
        f"images: {image.resize}, {image.interpolation}, mean {_written(image.mean)}, std {_written(image.std)}",
        f"training values: {published_fine_tuning(model).source}",
        *(f"resized: {line}" for line in fitted.resized),
        *(f"fresh: {head} begins from zero for {fitted.num_classes:,} classes" for head in fitted.fresh_heads),
        *(f"assumed: {note}" for note in imported.notes),
    ]
    if imported.left_out:
        lines.append(f"left out: {imported.left_out[0]} and {len(imported.left_out) - 1} more, which are not needed")
    if numbered:
        hint = f"; if they are ImageNet's, import with --classes {IMAGENET}" * (fitted.num_classes == IMAGENET_CLASSES)
        lines.append(f"classes: the file does not name them; they are called 0 to {fitted.num_classes - 1}{hint}")
    return tuple(lines)


def _written(value: Any) -> str:
    return "/".join(f"{part:g}" for part in value) if isinstance(value, tuple) else f"{value:g}"

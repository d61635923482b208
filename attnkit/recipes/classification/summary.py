"""What a network for classification costs: parameters, arithmetic, memory and speed, beside what was published."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from attnkit.data.config import CifarConfig, ImageFolderConfig, ImagesConfig, ShapesConfig
from attnkit.engine.precision import find_device, has_fast_bfloat16
from attnkit.errors import DataError
from attnkit.models.config import ClassifierConfig
from attnkit.models.inference import prepare_for_inference
from attnkit.models.macs import Convention, count_macs
from attnkit.recipes.classification.architectures import ARCHITECTURES, NUM_CLASSES
from attnkit.recipes.classification.import_ import architecture_of
from attnkit.recipes.classification.recipe import ClassificationRecipe

GMACS_FOR_SPEED = 20.0
"""Up to here the speed is measured unasked: it takes about two seconds."""
_MEASURED_SECONDS = 1.0


@dataclass(frozen=True)
class _Row:
    """Of table 1 of the Swin paper (Liu et al. 2021), which the throughput and accuracy of others stand in too."""

    pretraining: str
    images_per_second: float
    """On a V100."""
    top1: float


_SWIN_TABLE = {
    "vit_b16_384": _Row("ImageNet-22k", 85.9, 84.0),
    "vit_l16_384": _Row("ImageNet-22k", 27.3, 85.2),
    "deit_s": _Row("none", 940.4, 79.8),
    "deit_b": _Row("none", 292.3, 81.8),
    "swin_t": _Row("none", 755.2, 81.3),
    "swin_s": _Row("none", 436.9, 83.0),
    "swin_b": _Row("none", 278.1, 83.5),
    "swin_b_w12_384": _Row("ImageNet-22k", 84.7, 86.4),
    "swin_l_w12_384": _Row("ImageNet-22k", 42.1, 87.3),
}


def summarize(
    recipe: ClassificationRecipe,
    *,
    num_classes: int | None = None,
    convention: Convention = "paper",
    speed: bool | None = None,
) -> dict[str, Any]:
    """Count what the network of a recipe costs.

    Args:
        recipe: says which network, and how large its images are.
        num_classes: K; none looks at the data, and takes ImageNet-1k's where there is none.
        convention: how multiplications are counted.
        speed: whether to measure images per second; none does where that is quick.

    Returns:
        Facts in the order in which they are printed; `params`, `gmacs`, `convention` and `image_size` among them.
    """
    classes = num_classes or classes_of(recipe.data)
    size, name = recipe.image.size, architecture_of(recipe.model, recipe.image.size)
    counted = count(recipe.model, size, num_classes=classes or NUM_CLASSES, convention=convention, speed=speed)
    if classes is None:
        counted["classes"] = f"{NUM_CLASSES}, assumed; the data is not here"
    return {"recipe": recipe.name, **counted, **({} if name is None else {"published": published(name)})}


def summarize_architecture(
    name: str, *, image_size: int | None = None, convention: Convention = "paper", speed: bool | None = None
) -> dict[str, Any]:
    """The same for a published network by its name in ARCHITECTURES, for the classes of ImageNet-1k."""
    architecture = ARCHITECTURES[name]
    size = image_size or architecture.image_size
    counted = count(architecture.model, size, num_classes=NUM_CLASSES, convention=convention, speed=speed)
    return {"architecture": name, **counted, "published": published(name)}


def count(
    config: ClassifierConfig, image_size: int, *, num_classes: int, convention: Convention, speed: bool | None
) -> dict[str, Any]:
    """What one network costs: counted on shapes alone, but for the speed, which is measured."""
    with torch.device("meta"):
        model = config.build(num_classes=num_classes, image_size=image_size)
    gmacs = count_macs(model, image_size, convention=convention) / 1e9
    facts: dict[str, Any] = {
        "model": config.name,
        "classes": num_classes,
        "image_size": image_size,
        "params": sum(p.numel() for p in model.parameters()),
        "gmacs": round(gmacs, 4),
        "convention": convention,
        "training_megabytes_per_image": round(saved_bytes(model, image_size) / 1e6, 1),
    }
    if speed or (speed is None and gmacs <= GMACS_FOR_SPEED):
        facts |= measure_speed(config, image_size, num_classes=num_classes, gmacs=gmacs)
    return facts


def saved_bytes(model: nn.Module, image_size: int) -> int:
    """Bytes that a forward pass of one image keeps for the way back, in float32; weights are not among them."""
    kept: dict[int, torch.Tensor] = {}
    weights = {id(p) for p in model.parameters()}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        base = tensor if tensor._base is None else tensor._base
        if id(base) not in weights:
            kept[id(base)] = base
        return tensor

    model.train()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        logits = model(torch.empty(2, 3, image_size, image_size, device="meta"))
        total = sum(tensor.numel() * tensor.element_size() for tensor in kept.values())
    del logits
    return total // 2  # batch norm refuses a batch of one


def measure_speed(config: ClassifierConfig, image_size: int, *, num_classes: int, gmacs: float) -> dict[str, Any]:
    """Images per second of the network at work, on random images, here and now, in the default precision."""
    device = find_device("auto")
    precision = "bfloat16" if has_fast_bfloat16(device) else "float32"
    model = prepare_for_inference(
        config.build(num_classes=num_classes, image_size=image_size).to(device), precision=precision
    )
    batch = 64 if device.type == "cuda" else 16 if gmacs < 1 else 4 if gmacs < 6 else 1
    images = torch.randn(batch, 3, image_size, image_size, device=device)
    rounds, started = -1, time.perf_counter()  # the first round is warming up
    with torch.inference_mode():
        while rounds < 1 or time.perf_counter() - started < _MEASURED_SECONDS:
            if rounds == 0:
                started = time.perf_counter()
            model(images)
            if device.type == "cuda":
                torch.cuda.synchronize()
            rounds += 1
    rate = rounds * batch / (time.perf_counter() - started)
    where = (
        torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} processor threads"
    )
    return {"images_per_second": float(f"{rate:.3g}"), "measured": f"batches of {batch}, {precision}, {where}"}


def published(name: str) -> dict[str, Any]:
    """What papers say of an architecture, for 1,000 classes and by the convention `paper`."""
    row = ARCHITECTURES[name]
    facts: dict[str, Any] = {"architecture": name, "params": row.params, "gmacs": row.gmacs, "source": row.source}
    if name in _SWIN_TABLE:
        result = _SWIN_TABLE[name]
        facts["in table 1 of the Swin paper"] = {
            "images_per_second": result.images_per_second,
            "measured": "one V100",
            "pretraining": result.pretraining,
            "top1": result.top1,
        }
    return facts


def classes_of(data: ImagesConfig) -> int | None:
    """How many classes there are, as far as that shows without reading images; None where the data is not here."""
    if isinstance(data, CifarConfig):
        return data.classes
    if isinstance(data, ShapesConfig):
        from attnkit.data.shapes import CLASS_NAMES

        return len(CLASS_NAMES)
    try:
        if isinstance(data, ImageFolderConfig):
            from attnkit.data.image_folder import find_image_folders

            return len(find_image_folders(data).splits["train"].class_names)
        from attnkit.data.image_set import open_images

        images = open_images(data, "train")
    except DataError:
        return None
    return None if images is None else len(images.class_names)

"""Networks exported to other libraries, by their names, in the files that they read themselves: classifiers to
torchvision, timm and transformers, segmenters to transformers, Mask R-CNN on a ResNet to torchvision."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from attnkit.data.classification.config import ImageConfig
from attnkit.data.detection.config import DetectionImageConfig
from attnkit.data.segmentation.config import SegmentationImageConfig
from attnkit.engine.checkpoint import named_weights
from attnkit.errors import AttnkitError, CheckpointError
from attnkit.interop import (
    timm_weights,
    torchvision_rcnn,
    torchvision_weights,
    transformers_upernet,
    transformers_weights,
)
from attnkit.interop.imported_weights import NetworkConfig, PixelsConfig
from attnkit.interop.timm_config import swin_maps, timm_config
from attnkit.interop.transformers_config import (
    STAGES_OF_AUXILIARY,
    preprocessor_config,
    segmenter_config,
    transformers_config,
)
from attnkit.models.config import AlexNetConfig, ResNetConfig, SwinConfig, UperNetConfig, ViTConfig
from attnkit.models.rcnn.config import CascadeConfig, HtcConfig, MaskRcnnConfig

CELL = 32
"""Pixels of the coarsest cell: sides of a detector's images are multiples of it."""

Library = Literal["torchvision", "timm", "transformers"]

VIT_EXPORTS: dict[Library, Callable[[Mapping[str, Tensor], ViTConfig], tuple[dict[str, Tensor], list[str]]]] = {
    "torchvision": torchvision_weights.export_vit,
    "timm": timm_weights.export_vit,
    "transformers": transformers_weights.export_vit,
}
SWIN_EXPORTS: dict[Library, Callable[[Mapping[str, Tensor], SwinConfig], tuple[dict[str, Tensor], list[str]]]] = {
    "torchvision": torchvision_weights.export_swin,
    "timm": timm_weights.export_swin,
    "transformers": transformers_weights.export_swin,
}


@dataclass(frozen=True)
class TrainedNetwork:
    """What an export needs of a run.

    Attributes:
        model: the network, in evaluation mode.
        config: what it was built of.
        image: how an image becomes its input.
        class_names: of the K classes.
        category_ids: what files of results call them, of a detector.
    """

    model: nn.Module
    config: NetworkConfig
    image: PixelsConfig
    class_names: Sequence[str]
    category_ids: Sequence[int] = ()

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the images that it is made for, in pixels."""
        image = self.image
        if isinstance(image, DetectionImageConfig):
            return -(-image.short_side // CELL) * CELL, -(-image.long_side // CELL) * CELL
        return image.crop if isinstance(image, SegmentationImageConfig) else (image.size, image.size)


def export_weights(trained: TrainedNetwork, library: Library, path: Path) -> tuple[str, ...]:
    """Write a network for another library.

    Args:
        trained: what to write.
        library: whose names.
        path: for torchvision a new file, .pth or .safetensors; for timm and transformers a new folder.

    Returns:
        What one must know to use it, a line each.

    Raises:
        AttnkitError: there is something at `path`.
        CheckpointError: the library has no such model.
    """
    with new_output(path) as partial:
        tensors = foreign_weights(trained.model, trained.config, library)
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        if library != "torchvision":
            _write_folder(tensors, _settings(trained, library), partial)
        elif path.suffix == ".safetensors":
            save_file(tensors, partial)
        else:
            torch.save(tensors, partial)
    differences = _differences(trained, library)
    return (*differences, _how_images(trained)) if library == "torchvision" else differences


def foreign_weights(model: nn.Module, config: NetworkConfig, library: Library) -> dict[str, Tensor]:
    """The weights of a model under another library's names.

    Raises:
        CheckpointError: the library has no such model.
    """
    weights = named_weights(model)
    if isinstance(config, ViTConfig) and config.positions == "sincos":
        weights["positions"] = model.get_buffer("positions")
    foreign, nameless = _rename(weights, config, library)
    if nameless:
        raise CheckpointError(
            f"{library}: has no place for {nameless[0]}"
            + (f" and {len(nameless) - 1} more weights" if len(nameless) > 1 else "")
            + f"; expected a model that {library} has; export it as onnx instead"
        )
    return foreign


def _rename(
    weights: Mapping[str, Tensor], config: NetworkConfig, library: Library
) -> tuple[dict[str, Tensor], list[str]]:
    if isinstance(config, UperNetConfig):
        if library == "transformers" and isinstance(config.backbone, SwinConfig):
            return transformers_upernet.export_upernet(weights, config)
        raise CheckpointError(
            f"{library}: no names for the model {config.name} on {config.backbone.name}; expected upernet on swin, for "
            "transformers; export it as onnx instead"
        )
    if isinstance(config, MaskRcnnConfig | CascadeConfig | HtcConfig):
        if library == "torchvision" and torchvision_rcnn.has(config):
            return torchvision_rcnn.export_rcnn(weights, config)
        raise CheckpointError(
            f"{library}: no names for the model {config.name} on {config.backbone.name} with {config.box_head.name}; "
            "expected mask_rcnn on resnet with 2fc for each class, for torchvision; export it as onnx instead"
        )
    if isinstance(config, ViTConfig):
        if config.pooling == "average" and library != "timm":
            raise CheckpointError(
                f"{library}: its ViT has a class token, this one takes the mean of the patches; "
                "expected model.pooling class_token; export it as timm or onnx instead"
            )
        return VIT_EXPORTS[library](weights, config)
    if isinstance(config, SwinConfig):
        return SWIN_EXPORTS[library](weights, config)
    if isinstance(config, ResNetConfig) and library != "transformers":
        return dict(weights), []
    if isinstance(config, AlexNetConfig) and library == "torchvision":
        return dict(weights), []
    raise CheckpointError(
        f"{library}: no names for the model {config.name}; expected vit or swin, resnet for torchvision and timm, "
        "alexnet for torchvision; export it as onnx instead"
    )


def _settings(trained: TrainedNetwork, library: Library) -> dict[str, Mapping[str, Any]]:
    """The files of settings that go with the weights, by name."""
    config, image, names = trained.config, trained.image, trained.class_names
    if isinstance(config, UperNetConfig):
        assert isinstance(image, SegmentationImageConfig)
        settings = segmenter_config(config, image, names)
    else:
        assert isinstance(image, ImageConfig)
        assert not isinstance(config, MaskRcnnConfig | CascadeConfig | HtcConfig)
        if library == "timm":
            return {"config.json": timm_config(config, image, names)}
        settings = transformers_config(config, image, names)
    return {"config.json": settings, "preprocessor_config.json": preprocessor_config(image)}


def _differences(trained: TrainedNetwork, library: Library) -> tuple[str, ...]:
    """Where the other library computes something else with the same weights, or prepares images otherwise."""
    config, size = trained.config, trained.image_size[0]
    if isinstance(config, UperNetConfig):
        return _segmenter_differences(config, trained.image)
    if isinstance(config, MaskRcnnConfig):
        return torchvision_rcnn.differences(config)
    if isinstance(config, SwinConfig) and any(side % config.window_size for side in swin_maps(config, size)):
        if library != "timm":
            return ()
        return (
            f"windows: they do not cover the maps of {size} pixels, where timm rolls before it pads; logits differ",
        )
    if not isinstance(config, ViTConfig):
        return ()
    lines = []
    if config.activation == "gelu_tanh" and library == "torchvision":
        lines.append("activation: torchvision computes GELU exactly, this model by tanh; logits differ a little")
    eps = 1e-6
    if config.norm_eps != eps and library != "transformers":
        lines.append(
            f"norms: {library} has an epsilon of {eps:g}, this model {config.norm_eps:g}; logits differ slightly"
        )
    if config.resnet_depths is not None:
        lines.append(f"stem: {library} standardises its weights with another epsilon; logits differ slightly")
    return tuple(lines)


def _segmenter_differences(config: UperNetConfig, image: PixelsConfig) -> tuple[str, ...]:
    assert isinstance(image, SegmentationImageConfig)
    assert isinstance(config.backbone, SwinConfig)
    lines = []
    if config.auxiliary_channels and len(config.backbone.depths) != STAGES_OF_AUXILIARY:
        lines.append("auxiliary head: transformers has it on the third map always; left out, it is for training alone")
    if image.short_side is not None or image.long_side is not None:
        height, width = image.crop
        lines.append(
            f"images: transformers' processor squashes them to {height}x{width}, here they keep their form; masks "
            "differ unless they are resized by their shorter side before"
        )
    return tuple(lines)


def _how_images(trained: TrainedNetwork) -> str:
    image = trained.image
    if isinstance(image, DetectionImageConfig):
        return torchvision_rcnn.how_to_build(image, num_classes=len(trained.class_names))
    assert isinstance(image, ImageConfig)
    return (
        f"images: {image.size}x{image.size} pixels on 0..1, mean {list(image.mean)}, std {list(image.std)}; "
        "torchvision's file does not say so"
    )


def _write_folder(tensors: dict[str, Tensor], settings: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """A folder of weights and settings."""
    path.mkdir()
    save_file(tensors, path / "model.safetensors", {"format": "pt"})
    for name, values in settings.items():
        (path / name).write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


@contextmanager
def new_output(path: Path) -> Iterator[Path]:
    """Where to write a file or folder of this name; it is moved there, with what lies beside it, if no error is raised.

    Raises:
        AttnkitError: there is something at `path`.
    """
    if path.exists():
        raise AttnkitError(f"{path}: exists already; expected the name of a new file or folder; name another")
    partial = path.with_name(path.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial / path.name
        for written in partial.iterdir():
            written.replace(path.with_name(written.name))
    finally:
        shutil.rmtree(partial, ignore_errors=True)

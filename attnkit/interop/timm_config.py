"""The config.json by which timm makes a model: `timm.create_model("local-dir:FOLDER", pretrained=True)`."""

from collections.abc import Sequence
from typing import Any

from attnkit.data.classification.config import ImageConfig
from attnkit.errors import CheckpointError
from attnkit.models.config import ClassifierConfig, ResNetConfig, SwinConfig, ViTConfig

HYBRIDS = {
    (): "vit_tiny_r_s16_p8_224",
    (2, 2, 2, 2): "vit_small_r26_s32_224",
    (3, 4, 9): "vit_base_r50_s16_224",
    (3, 4, 6, 3): "vit_large_r50_s32_224",
}
"""timm's networks by the blocks of the ResNet in front; their other sizes are arguments."""


def timm_config(config: ClassifierConfig, image: ImageConfig, class_names: Sequence[str]) -> dict[str, Any]:
    """Which of timm's networks, with which arguments, and how images are prepared.

    Raises:
        CheckpointError: timm has no such network.
    """
    architecture, arguments = _network(config, image.size)
    return {
        "architecture": architecture,
        "num_classes": len(class_names),
        "label_names": list(class_names),
        "model_args": arguments,
        "pretrained_cfg": {
            "input_size": [3, image.size, image.size],
            "mean": list(image.mean),
            "std": list(image.std),
            "interpolation": image.interpolation,
            "crop_pct": image.crop_fraction if image.resize == "crop" else 1.0,
            "crop_mode": {"crop": "center", "squash": "squash", "pad": "border"}[image.resize],
            "num_classes": len(class_names),
        },
    }


def _network(config: ClassifierConfig, image_size: int) -> tuple[str, dict[str, Any]]:
    if isinstance(config, ViTConfig):
        return _vit(config), _vit_arguments(config, image_size)
    if isinstance(config, SwinConfig):
        _check_windows(config, image_size)
        return "swin_tiny_patch4_window7_224", {
            "img_size": image_size,
            "patch_size": config.patch_size,
            "embed_dim": config.embed_dim,
            "depths": list(config.depths),
            "num_heads": list(config.num_heads),
            "window_size": config.window_size,
            "mlp_ratio": config.mlp_ratio,
        }
    assert isinstance(config, ResNetConfig)
    return f"resnet{config.depth}", {}


def _check_windows(config: SwinConfig, image_size: int) -> None:
    """Refuse maps smaller than a window: timm makes windows smaller where a map is, and bias tables with them."""
    smallest = swin_maps(config, image_size)[-1]
    if smallest < config.window_size:
        raise CheckpointError(
            f"timm: cuts the windows of its Swin to the map, {smallest}x{smallest} in the last stage at {image_size} "
            f"pixels; expected maps of {config.window_size} or more; export it as torchvision, transformers or onnx"
        )


def swin_maps(config: SwinConfig, image_size: int) -> list[int]:
    """Rows of each stage's map."""
    return [-(-image_size // (config.patch_size * 2**stage)) for stage in range(len(config.depths))]


def _vit(config: ViTConfig) -> str:
    if config.resnet_depths is None:
        return "deit_base_distilled_patch16_224" if config.distillation else "vit_base_patch16_224"
    if config.resnet_depths not in HYBRIDS:
        raise CheckpointError(
            f"timm: no hybrid with {list(config.resnet_depths)} blocks in its ResNet; "
            f"expected one of {', '.join(str(list(depths)) for depths in HYBRIDS)}; export it as onnx instead"
        )
    return HYBRIDS[config.resnet_depths]


def _vit_arguments(config: ViTConfig, image_size: int) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "img_size": image_size,
        "patch_size": config.patch_size,
        "embed_dim": config.embed_dim,
        "depth": config.depth,
        "num_heads": config.num_heads,
        "mlp_ratio": config.mlp_ratio,
    }
    if config.activation == "gelu_tanh":
        arguments["act_layer"] = "gelu_tanh"
    if config.pooling == "average":
        arguments |= {"global_pool": "avg", "class_token": False, "fc_norm": False}
    return arguments

"""The config.json and preprocessor_config.json by which transformers makes a model: `from_pretrained(FOLDER)`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attnkit.data.config import ImageConfig
from attnkit.models.config import ClassifierConfig, SwinConfig, ViTConfig

PILLOW = {"bilinear": 2, "bicubic": 3}


def transformers_config(config: ClassifierConfig, image: ImageConfig, class_names: Sequence[str]) -> dict[str, Any]:
    """The settings of the model."""
    names = {
        "id2label": {str(number): name for number, name in enumerate(class_names)},
        "label2id": {name: number for number, name in enumerate(class_names)},
        "image_size": image.size,
        "num_channels": 3,
    }
    if isinstance(config, SwinConfig):
        return _swin(config) | names
    assert isinstance(config, ViTConfig)
    return _vit(config) | names


def preprocessor_config(image: ImageConfig) -> dict[str, Any]:
    """How images are prepared; what is padded here is squashed there."""
    values: dict[str, Any] = {
        "do_resize": True,
        "resample": PILLOW[image.interpolation],
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(image.mean),
        "image_std": list(image.std),
    }
    if image.resize != "crop":
        square = {"height": image.size, "width": image.size}
        return values | {"image_processor_type": "ViTImageProcessor", "size": square}
    return values | {
        "image_processor_type": "BitImageProcessor",
        "size": {"shortest_edge": round(image.size / image.crop_fraction)},
        "do_center_crop": True,
        "crop_size": {"height": image.size, "width": image.size},
    }


def _vit(config: ViTConfig) -> dict[str, Any]:
    return {
        "model_type": "deit" if config.distillation else "vit",
        "architectures": [
            "DeiTForImageClassificationWithTeacher" if config.distillation else "ViTForImageClassification"
        ],
        "patch_size": config.patch_size,
        "hidden_size": config.embed_dim,
        "num_hidden_layers": config.depth,
        "num_attention_heads": config.num_heads,
        "intermediate_size": int(config.embed_dim * config.mlp_ratio),
        "hidden_act": "gelu_pytorch_tanh" if config.activation == "gelu_tanh" else "gelu",
        "layer_norm_eps": config.norm_eps,
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": config.attention_dropout,
        "qkv_bias": True,
    }


def _swin(config: SwinConfig) -> dict[str, Any]:
    return {
        "model_type": "swin",
        "architectures": ["SwinForImageClassification"],
        "patch_size": config.patch_size,
        "embed_dim": config.embed_dim,
        "depths": list(config.depths),
        "num_heads": list(config.num_heads),
        "window_size": config.window_size,
        "mlp_ratio": config.mlp_ratio,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-5,
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": config.attention_dropout,
        "drop_path_rate": config.drop_path_rate,
        "qkv_bias": True,
    }

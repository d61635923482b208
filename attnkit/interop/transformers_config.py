"""The config.json and preprocessor_config.json by which transformers makes a model: `from_pretrained(FOLDER)`."""

from collections.abc import Sequence
from typing import Any

from attnkit.data.classification.config import ImageConfig
from attnkit.data.segmentation.config import SegmentationImageConfig
from attnkit.models.config import ClassifierConfig, SwinConfig, UperNetConfig, ViTConfig

PILLOW = {"bilinear": 2, "bicubic": 3}
STAGES_OF_AUXILIARY = 4
"""Stages of the backbone: transformers has UperNet's auxiliary head on the third map, here it is the last but one."""


def transformers_config(config: ClassifierConfig, image: ImageConfig, class_names: Sequence[str]) -> dict[str, Any]:
    """The settings of the model."""
    names = _labels(class_names) | {"image_size": image.size, "num_channels": 3}
    if isinstance(config, SwinConfig):
        return _swin(config) | names
    assert isinstance(config, ViTConfig)
    return _vit(config) | names


def segmenter_config(
    config: UperNetConfig, image: SegmentationImageConfig, class_names: Sequence[str]
) -> dict[str, Any]:
    """The settings of UperNet on a Swin."""
    backbone = config.backbone
    assert isinstance(backbone, SwinConfig)
    stages = [f"stage{number + 1}" for number in range(len(backbone.depths))]
    return _labels(class_names) | {
        "model_type": "upernet",
        "architectures": ["UperNetForSemanticSegmentation"],
        "backbone_config": _swin(backbone)
        | {"architectures": None, "image_size": image.crop[0], "num_channels": 3, "out_features": stages},
        "hidden_size": config.channels,
        "pool_scales": list(config.pool_scales),
        "use_auxiliary_head": config.auxiliary_channels > 0 and len(stages) == STAGES_OF_AUXILIARY,
        "auxiliary_in_channels": backbone.embed_dim * 2 ** (len(stages) - 2),
        "auxiliary_channels": config.auxiliary_channels or UperNetConfig.model_fields["auxiliary_channels"].default,
        "auxiliary_num_convs": 1,
        "auxiliary_concat_input": False,
        "loss_ignore_index": 255,
    }


def preprocessor_config(image: ImageConfig | SegmentationImageConfig) -> dict[str, Any]:
    """How images are prepared; what is padded here, or keeps its form, is squashed there."""
    values: dict[str, Any] = {
        "do_resize": True,
        "resample": PILLOW["bilinear" if isinstance(image, SegmentationImageConfig) else image.interpolation],
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(image.mean),
        "image_std": list(image.std),
    }
    if isinstance(image, SegmentationImageConfig):
        return values | {
            "image_processor_type": "SegformerImageProcessor",
            "do_resize": image.short_side is not None or image.long_side is not None,
            "size": {"height": image.crop[0], "width": image.crop[1]},
            "do_reduce_labels": False,
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


def _labels(class_names: Sequence[str]) -> dict[str, Any]:
    return {
        "id2label": {str(number): name for number, name in enumerate(class_names)},
        "label2id": {name: number for number, name in enumerate(class_names)},
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

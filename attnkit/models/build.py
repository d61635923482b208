"""From the config of a network to the network, with fresh weights.

Configs are data; what only the user's data says comes in as arguments. `Transformer` and `Rcnn` are made from their
configs directly: there is one module for each of these tasks.
"""

from typing import overload

from torch import nn

from attnkit.models.cnn import LeNet5, alexnet, resnet
from attnkit.models.config import (
    AlexNetConfig,
    LeNet5Config,
    ResNetConfig,
    SwinConfig,
    TimmConfig,
    UperNetConfig,
    ViTConfig,
)
from attnkit.models.swin import SwinTransformer
from attnkit.models.timm_model import timm_model
from attnkit.models.upernet import UperNet
from attnkit.models.vit import VisionTransformer

ImageModelConfig = ViTConfig | SwinConfig | LeNet5Config | AlexNetConfig | ResNetConfig | TimmConfig | UperNetConfig


@overload
def build_model(config: ViTConfig, *, num_classes: int, image_size: int) -> VisionTransformer: ...
@overload
def build_model(config: SwinConfig, *, num_classes: int, image_size: int) -> SwinTransformer: ...
@overload
def build_model(config: UperNetConfig, *, num_classes: int, image_size: int) -> UperNet: ...
@overload
def build_model(config: ImageModelConfig, *, num_classes: int, image_size: int) -> nn.Module: ...
def build_model(config: ImageModelConfig, *, num_classes: int, image_size: int) -> nn.Module:
    """Make a network that classifies images or their pixels.

    Args:
        config: of the network.
        num_classes: K.
        image_size: pixels per side, as in training; Swin, ResNet and UperNet on them take images of any size.

    Raises:
        AttnkitError: the network is not made for images of this size; timm is not installed, or has no such network.
    """
    match config:
        case ViTConfig():
            return VisionTransformer(config, num_classes=num_classes, image_size=image_size)
        case SwinConfig():
            return SwinTransformer(config, num_classes=num_classes)
        case LeNet5Config():
            return LeNet5(num_classes=num_classes, image_size=image_size)
        case AlexNetConfig():
            return alexnet(num_classes=num_classes, dropout=config.dropout, image_size=image_size)
        case ResNetConfig():
            return resnet(config.depth, num_classes=num_classes)
        case TimmConfig():
            return timm_model(config, num_classes=num_classes, image_size=image_size)
        case UperNetConfig():
            return UperNet(config, num_classes=num_classes, image_size=image_size)

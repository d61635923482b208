"""The convolutional networks that attention is compared with: LeNet-5, AlexNet, ResNet.

LeNet-5 (LeCun et al. 1998, "Gradient-based learning applied to document recognition") as it is taught today: three
input channels, plain tanh, mean pooling without weights, every map of C3 sees every map of S2, and a linear head in
place of the distances to fixed bitmaps. AlexNet (Krizhevsky 2014, arXiv:1404.5997, the single column) and ResNet
(He et al. 2015, arXiv:1512.03385) are torchvision's.

Letters: B images, H W pixels, K classes.
"""

from itertools import accumulate

import torch
import torchvision
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from attnkit.errors import AttnkitError

_STAGES = ("layer1", "layer2", "layer3", "layer4")
_LENET_SIZE = 32
_ALEXNET_MINIMUM = 63


class LeNet5(nn.Module):
    """Two convolutions, three linear layers; images under 32 pixels get a frame of zeros, as the paper's digits."""

    head_names = ("head",)

    def __init__(self, *, num_classes: int, image_size: int) -> None:
        super().__init__()
        self.image_size = image_size
        cells = ((max(image_size, _LENET_SIZE) - 4) // 2 - 4) // 2
        self.c1 = nn.Conv2d(3, 6, kernel_size=5)
        self.c3 = nn.Conv2d(6, 16, kernel_size=5)
        self.c5 = nn.Linear(16 * cells**2, 120)
        self.f6 = nn.Linear(120, 84)
        self.head = nn.Linear(84, num_classes)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B K"]:
        """Logits; the paper's sizes stand at the line ends."""
        missing = max(_LENET_SIZE - self.image_size, 0)
        before, behind = missing // 2, missing - missing // 2
        x = F.pad(images, (before, behind, before, behind)) if missing else images  # (B, 3, 32, 32)
        x = F.avg_pool2d(torch.tanh(self.c1(x)), 2)  # (B, 6, 14, 14)
        x = F.avg_pool2d(torch.tanh(self.c3(x)), 2)  # (B, 16, 5, 5)
        x = torch.tanh(self.c5(x.flatten(1)))  # (B, 120)
        return self.head(torch.tanh(self.f6(x)))


def alexnet(*, num_classes: int, dropout: float, image_size: int) -> nn.Module:
    """AlexNet with fresh weights, for images of 63 pixels or more.

    Raises:
        AttnkitError: the image is too small for the strides.
    """
    if image_size < _ALEXNET_MINIMUM:
        raise AttnkitError(
            f"image.size: {image_size} pixels leave nothing behind the strides of alexnet; "
            f"expected {_ALEXNET_MINIMUM} or more; enlarge the images (image.size), or take lenet5"
        )
    network = torchvision.models.alexnet(weights=None, num_classes=num_classes, dropout=dropout)
    network.head_names = ("classifier.6",)
    return network


def resnet(depth: int, *, num_classes: int) -> torchvision.models.ResNet:
    """ResNet of 18, 34, 50, 101 or 152 layers, with fresh weights."""
    network: torchvision.models.ResNet = getattr(torchvision.models, f"resnet{depth}")(
        weights=None, num_classes=num_classes
    )
    network.head_names = ("fc",)
    return network


class ResNetBackbone(nn.Module):
    """The maps of the four stages of a ResNet for a dense task, with torchvision's names; images of any size."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        network = resnet(depth, num_classes=1)
        self.conv1, self.bn1, self.relu, self.maxpool = network.conv1, network.bn1, network.relu, network.maxpool
        stages = [network.get_submodule(name) for name in _STAGES]
        for name, stage in zip(_STAGES, stages, strict=True):
            self.add_module(name, stage)
        widest = network.fc.in_features
        self.channels = tuple(widest // 2**halvings for halvings in (3, 2, 1, 0))
        """Of each map."""
        blocks = [sum(1 for _ in stage.children()) for stage in stages]
        self.num_layers = sum(blocks) + 1
        """Layers for layer-wise learning rates, see `layer_of`."""
        self.no_weight_decay: frozenset[str] = frozenset()
        self._before = dict(zip(_STAGES, [0, *accumulate(blocks)], strict=False))

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> list[Float[Tensor, "B _C _h _w"]]:
        """Maps of 1/4, 1/8, 1/16 and 1/32 of the size, rounded up."""
        x: Tensor = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        maps = []
        for name in _STAGES:
            x = self.get_submodule(name)(x)
            maps.append(x)
        return maps

    def layer_of(self, name: str) -> int:
        """The layer of a parameter: what is in front of the stages 0, blocks from 1 on across them."""
        stage, *rest = name.split(".")
        return self._before[stage] + int(rest[0]) + 1 if stage in _STAGES else 0

"""The stem of hybrid ViTs: the ResNet of "Big Transfer" (Kolesnikov et al. 2019, arXiv:1912.11370), norm after conv.

Letters: B images, C channels, H W pixels or cells.

As the code of the ViT paper has it: weights are standardised (Qiao et al. 2019, arXiv:1903.10520), with 1e-5 added to
the standard deviation (timm adds 1e-8 to the variance); 32 groups, norm eps 1e-6 (timm: 1e-5); what does not divide by
a stride is padded as TensorFlow's SAME does, more on the right and below; the last norm of a block begins with scale 0.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

_ROOT_WIDTH = 64
_STD_EPS = 1e-5
_NORM_EPS = 1e-6


class ResNetV2(nn.Module):
    """A root of stride 4, then stages of bottlenecks, of which all but the first halve the map."""

    def __init__(self, depths: tuple[int, ...]) -> None:
        super().__init__()
        self.conv = StdConv2d(3, _ROOT_WIDTH, kernel_size=7, stride=2)
        self.norm = _norm(_ROOT_WIDTH)
        self.out_channels = _ROOT_WIDTH
        self.stages = nn.ModuleList()
        for stage, depth in enumerate(depths):
            width = _ROOT_WIDTH * 2**stage
            blocks = [Bottleneck(self.out_channels, width, stride=1 if stage == 0 else 2)]
            blocks += [Bottleneck(4 * width, width, stride=1) for _ in range(1, depth)]
            self.stages.append(nn.Sequential(*blocks))
            self.out_channels = 4 * width

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B D rows columns"]:
        """The last stage's map."""
        x = F.relu(self.norm(self.conv(images)))
        x = F.max_pool2d(_pad_same(x, kernel_size=3, stride=2), kernel_size=3, stride=2)  # no value is below 0
        for stage in self.stages:
            x = stage(x)
        return x

    def map_size(self, image_size: int) -> int:
        """Rows, or columns, of the map of an image with so many pixels."""
        for _ in range(2 + max(len(self.stages) - 1, 0)):
            image_size = math.ceil(image_size / 2)
        return image_size


class Bottleneck(nn.Module):
    """1x1, 3x3 with the stride, 1x1 to four times the width; a residual sum around them, projected where it must be."""

    def __init__(self, in_channels: int, width: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = StdConv2d(in_channels, width, kernel_size=1)
        self.norm1 = _norm(width)
        self.conv2 = StdConv2d(width, width, kernel_size=3, stride=stride)
        self.norm2 = _norm(width)
        self.conv3 = StdConv2d(width, 4 * width, kernel_size=1)
        self.norm3 = _norm(4 * width)
        nn.init.zeros_(self.norm3.weight)
        self.projection: nn.Module = nn.Identity()
        if stride != 1 or in_channels != 4 * width:
            conv = StdConv2d(in_channels, 4 * width, kernel_size=1, stride=stride)
            self.projection = nn.Sequential(conv, _norm(4 * width))

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D rows columns"]:
        """One block up."""
        y = F.relu(self.norm1(self.conv1(x)))
        y = F.relu(self.norm2(self.conv2(y)))
        return F.relu(self.norm3(self.conv3(y)) + self.projection(x))


class StdConv2d(nn.Conv2d):
    """A convolution whose filters are brought to mean 0 and variance 1 in every call."""

    def __init__(self, in_channels: int, out_channels: int, *, kernel_size: int, stride: int = 1) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride=stride, bias=False)
        # JAX's default, LeCun normal, with the variance that is lost where the tails are cut
        std = (in_channels * kernel_size**2) ** -0.5 / 0.87962566
        nn.init.trunc_normal_(self.weight, std=std, a=-2 * std, b=2 * std)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D rows columns"]:
        """The map of ceil(H / stride) rows and ceil(W / stride) columns."""
        std, mean = torch.std_mean(self.weight, dim=(1, 2, 3), correction=0, keepdim=True)
        weight = (self.weight - mean) / (std + _STD_EPS)
        x = _pad_same(x, kernel_size=self.kernel_size[0], stride=self.stride[0])
        return F.conv2d(x, weight, stride=self.stride)


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(32, channels, eps=_NORM_EPS)


def _pad_same(x: Tensor, *, kernel_size: int, stride: int) -> Tensor:
    """Zeros around the map, as few as the kernel needs; of an odd number, the larger half right and below."""
    height, width = (
        max((math.ceil(size / stride) - 1) * stride + kernel_size - size, 0) for size in (x.shape[-2], x.shape[-1])
    )
    if height == width == 0:
        return x
    return F.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))

"""The patch embedding of a finished model on a CPU: one matrix product, as the paper writes it."""

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attnkit.models.kernels.packed_linear import PackedLinear


class PackedPatches(nn.Module):
    """A convolution whose stride is its kernel, with packed weights; pixels that fill no patch are left out."""

    def __init__(self, convolution: nn.Conv2d, *, dtype: torch.dtype) -> None:
        super().__init__()
        if convolution.stride != convolution.kernel_size:
            raise ValueError(
                f"patches: a stride of {convolution.stride} with a kernel of {convolution.kernel_size}; "
                "expected patches that do not overlap"
            )
        self.patch_size = cast("tuple[int, int]", convolution.kernel_size)
        out_channels, inputs = convolution.out_channels, convolution.weight[0].numel()
        linear = nn.Linear(inputs, out_channels, bias=convolution.bias is not None, device="meta")
        linear.weight = nn.Parameter(convolution.weight.detach().flatten(1), requires_grad=False)
        if convolution.bias is not None:
            linear.bias = nn.Parameter(convolution.bias.detach(), requires_grad=False)
        self.dtype = dtype
        self.linear = PackedLinear(linear, dtype=dtype)

    def forward(self, images: Float[Tensor, "B channels height width"]) -> Float[Tensor, "B C H W"]:
        """What the convolution gives; the channels lie next to each other in memory."""
        high, wide = self.patch_size
        height, width = images.shape[2] // high, images.shape[3] // wide
        images = images[:, :, : height * high, : width * wide].to(self.dtype)
        patches = images.unflatten(3, (width, wide)).unflatten(2, (height, high))  # (B, channels, H, high, W, wide)
        return self.linear(patches.permute(0, 2, 4, 1, 3, 5).flatten(3)).permute(0, 3, 1, 2)

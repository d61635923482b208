"""A finished network as fast as the machine allows: weights converted and rearranged once, not in every call."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from attnkit.models.layers.packed_linear import can_be_packed, pack_linears
from attnkit.models.layers.packed_mlp import pack_mlps
from attnkit.models.layers.packed_patches import PackedPatches
from attnkit.models.swin import SwinTransformer
from attnkit.models.vit import VisionTransformer

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_ENDS = ("norm", "representation", "head", "distillation_head")
"""What comes after the blocks stays in float32: it costs next to nothing, and close classes stay apart."""


def prepare_for_inference(model: nn.Module, *, precision: str) -> nn.Module:
    """Make a classifier ready to predict, and nothing else: it is changed, its weights must stay as they are now.

    Args:
        model: from images (B, 3, H, W) float32 to logits (B, K), on the device where it will run.
        precision: of what is between the image and the head: float32, or bfloat16, in which activations are too.

    Returns:
        A module with the same inputs and outputs, logits in float32; use it without gradients.

    Raises:
        ValueError: no such precision.
    """
    if precision not in _DTYPES:
        raise ValueError(f"precision is '{precision}'; expected one of {', '.join(_DTYPES)}")
    model.eval().requires_grad_(False)
    dtype = _DTYPES[precision]
    if not isinstance(model, VisionTransformer | SwinTransformer):
        return model if dtype == torch.float32 else Autocast(model, dtype)
    if can_be_packed(model.head.weight, dtype):
        _pack(model, dtype)
    if dtype != torch.float32:
        _convert(model, dtype)
    return model


class Autocast(nn.Module):
    """A model whose products are done in another dtype, operation by operation."""

    def __init__(self, model: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.model = model
        self.dtype = dtype

    def forward(self, x: Float[Tensor, "B ..."]) -> Float[Tensor, "B ..."]:
        """What the model gives, in float32."""
        with torch.autocast(x.device.type, dtype=self.dtype):
            return self.model(x).float()


class Float32Norm(nn.LayerNorm):
    """A layer norm whose sums and outputs are in float32, whatever comes in."""

    def __init__(self, norm: nn.LayerNorm) -> None:
        super().__init__(norm.normalized_shape, eps=norm.eps, device="meta")
        self.weight, self.bias = norm.weight, norm.bias

    def forward(self, x: Float[Tensor, "B *N C"]) -> Float[Tensor, "B *N C"]:
        """The norm of each row."""
        return F.layer_norm(x.float(), self.normalized_shape, self.weight, self.bias, self.eps)


class InDtype(nn.Module):
    """A layer between two dtypes: its input is converted."""

    def __init__(self, layer: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.layer = layer.to(dtype)
        self.dtype = dtype

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C2 H2 W2"]:
        """What the layer gives, in its dtype."""
        return self.layer(x.to(self.dtype))


def _pack(model: VisionTransformer | SwinTransformer, dtype: torch.dtype) -> None:
    model.patch_embed.add_module("proj", PackedPatches(model.patch_embed.proj, dtype=dtype))
    pack_mlps(model, dtype=dtype)
    for name, child in model.named_children():
        if name not in _ENDS:
            pack_linears(child, dtype=dtype)
    if isinstance(model, VisionTransformer):
        model.pack()
    else:
        pack_linears(model)


def _convert(model: VisionTransformer | SwinTransformer, dtype: torch.dtype) -> None:
    """Everything but the ends to `dtype`; a ResNet in front of the patches is run by autocast."""
    embed = model.patch_embed
    for name, child in list(embed.named_children()):
        if name == "stem":
            embed.add_module(name, Autocast(child, dtype))
        elif isinstance(child, nn.Conv2d):
            embed.add_module(name, InDtype(child, dtype))
        else:
            child.to(dtype)
    for name, child in model.named_children():
        if name not in (*_ENDS, "patch_embed"):
            child.to(dtype)
    for name, parameter in list(model.named_parameters(recurse=False)):  # tokens and positions
        model.register_parameter(name, nn.Parameter(parameter.to(dtype), requires_grad=False))
    for name, buffer in list(model.named_buffers(recurse=False)):
        model.register_buffer(name, buffer.to(dtype), persistent=False)
    model.norm = Float32Norm(model.norm)

"""A finished network as fast as the machine allows: weights converted and rearranged once, not in every call."""

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from attnkit.models.cnn import ResNetBackbone
from attnkit.models.kernels.packed import (
    PackedConv,
    PackedConvNorm,
    PackedLinear,
    PackedPatches,
    can_be_packed,
    can_pack_convs,
    forget_unpacked,
    pack_conv_norms,
    pack_linears,
    pack_mlps,
)
from attnkit.models.layers.conv_norm import ConvNorm
from attnkit.models.rcnn.rcnn import Rcnn
from attnkit.models.swin import SwinTransformer, SwinTrunk
from attnkit.models.upernet import UperNet
from attnkit.models.vit import VisionTransformer, ViTTrunk

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_ENDS = ("norm", "representation", "head", "distillation_head")
"""What comes after the blocks stays in float32: it costs next to nothing, and close classes stay apart."""
_FLOAT32 = ("classes", "deltas", "objectness")
"""So do a detector's classes, and what boxes are made of."""


def prepare_for_inference(model: nn.Module, *, precision: str) -> nn.Module:
    """Make a network ready to predict, and nothing else: it is changed, its weights must stay as they are now.

    Args:
        model: from images (B, 3, H, W) float32 to logits (B, K), on the device where it will run. Those of UperNet are
            (B, K, H, W), and it loses its auxiliary head; of a detector its steps give what they gave.
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
    if isinstance(model, UperNet):
        _prepare_upernet(model, dtype)
    elif isinstance(model, Rcnn):
        _prepare_rcnn(model, dtype)
    elif isinstance(model, ViTTrunk | SwinTrunk):
        _prepare_trunk(model, dtype)
    elif dtype != torch.float32:
        return Autocast(model, dtype)
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

    def forward(self, x: Float[Tensor, "B C *hw"]) -> Float[Tensor, "B C2 *hw2"]:
        """What the layer gives, in its dtype."""
        return self.layer(x.to(self.dtype))


def _prepare_upernet(model: UperNet, dtype: torch.dtype) -> None:
    """The backbone as it would be alone; norms inside the convolutions; no auxiliary head."""
    model.auxiliary, model.head_names = None, ("head",)
    _prepare_backbone(model.backbone, dtype)
    if can_pack_convs(model.head.weight, dtype):
        _pack_convs(model, dtype)
    else:
        _fold_conv_norms(model, dtype)
        if model.neck is not None:
            model.neck.to(dtype)
        model.add_module("head", InDtype(model.head, torch.float32))


def _prepare_backbone(backbone: ResNetBackbone | ViTTrunk | SwinTrunk, dtype: torch.dtype) -> None:
    if isinstance(backbone, ResNetBackbone):
        _fold_norms(backbone)
        backbone.to(dtype).to(memory_format=torch.channels_last)
        backbone.add_module("conv1", InDtype(backbone.conv1, dtype))
    else:
        _prepare_trunk(backbone, dtype)
        forget_unpacked(backbone)


def _prepare_rcnn(model: Rcnn, dtype: torch.dtype) -> None:
    """All products in `dtype` but those that boxes and classes are made of."""
    _prepare_backbone(model.backbone, dtype)
    pack = can_pack_convs(model.rpn.conv.weight, dtype)
    for part in (model.global_block, model.fpn, model.rpn, model.box_heads, model.mask_heads, model.semantic):
        if part is not None:
            if not pack:
                _fold_conv_norms(part, dtype)
            _prepare_layers(part, dtype, pack=pack)
            forget_unpacked(part)


def _prepare_layers(parent: nn.Module, dtype: torch.dtype, *, pack: bool) -> None:
    """Each layer takes what comes; the classifiers of masks and pixels are left as they are, for reading."""
    for name, child in parent.named_children():
        of = torch.float32 if name in _FLOAT32 else dtype
        if pack and isinstance(child, ConvNorm):
            parent.add_module(name, PackedConvNorm(child, dtype=of))
        elif pack and isinstance(child, nn.Linear):
            parent.add_module(name, PackedLinear(child, dtype=of))
        elif pack and isinstance(child, nn.Conv2d) and name != "logits":
            parent.add_module(name, PackedConv(child.weight, child.bias, dtype=of, relu=False))
        elif isinstance(child, nn.Linear | nn.ConvTranspose2d | nn.LayerNorm):
            parent.add_module(name, InDtype(child, of))
        elif isinstance(child, nn.Conv2d) and name != "logits":
            parent.add_module(name, InDtype(child.to(memory_format=torch.channels_last), of))
        else:
            _prepare_layers(child, dtype, pack=pack)


def _pack_convs(model: UperNet, dtype: torch.dtype) -> None:
    width, pyramid = model.config.channels, model.pyramid
    model.add_module("fuse", PackedConvNorm(model.fuse, dtype=dtype, coarser=[width] * len(model.laterals)))
    pyramid.add_module("fuse", PackedConvNorm(pyramid.fuse, dtype=dtype, coarser=[width] * len(pyramid.branches)))
    pack_conv_norms(model, dtype=dtype)
    if model.neck is not None:
        for convolutions in (model.neck.laterals, model.neck.convs):
            for place, conv in enumerate(convolutions):
                if isinstance(conv, nn.Conv2d):
                    convolutions[place] = PackedConv(conv.weight, conv.bias, dtype=dtype, relu=False)
    head = PackedConv(model.head.weight, model.head.bias, dtype=torch.float32, relu=False)
    model.add_module("head", head)


def _fold_conv_norms(model: nn.Module, dtype: torch.dtype) -> None:
    for layer in model.modules():
        if isinstance(layer, ConvNorm):
            layer.conv = fuse_conv_bn_eval(layer.conv, cast("nn.BatchNorm2d", layer.norm))
            layer.norm = nn.Identity()
            layer.to(dtype)


def _fold_norms(backbone: ResNetBackbone) -> None:
    """Each batch norm into the convolution in front of it, by torchvision's names of the two."""
    for parent in list(backbone.modules()):
        for name, norm in list(parent.named_children()):
            if isinstance(norm, nn.BatchNorm2d):
                before = name.replace("bn", "conv") if name.startswith("bn") else str(int(name) - 1)
                parent.add_module(before, fuse_conv_bn_eval(cast("nn.Conv2d", parent.get_submodule(before)), norm))
                parent.add_module(name, nn.Identity())


def _prepare_trunk(model: ViTTrunk | SwinTrunk, dtype: torch.dtype) -> None:
    if can_be_packed(model.patch_embed.proj.weight, dtype):
        _pack(model, dtype)
    if dtype != torch.float32:
        _convert(model, dtype)


def _pack(model: ViTTrunk | SwinTrunk, dtype: torch.dtype) -> None:
    model.patch_embed.add_module("proj", PackedPatches(model.patch_embed.proj, dtype=dtype))
    pack_mlps(model, dtype=dtype)
    for name, child in model.named_children():
        if name not in _ENDS:
            pack_linears(child, dtype=dtype)
    pack_linears(model)  # what is left: the ends
    if isinstance(model, VisionTransformer):
        model.skip_unread_tokens()


def _convert(model: ViTTrunk | SwinTrunk, dtype: torch.dtype) -> None:
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
    if isinstance(model, VisionTransformer | SwinTransformer):
        model.norm = Float32Norm(model.norm)

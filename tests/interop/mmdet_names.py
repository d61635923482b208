"""A detector of attnkit's under the names of mmdetection and of the official Swin, by a table of its own."""

from __future__ import annotations

import re

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HEADS = (
    (r"^fpn\.laterals\.(\d)\.", r"neck.lateral_convs.\1.conv."),
    (r"^fpn\.outputs\.(\d)\.", r"neck.fpn_convs.\1.conv."),
    (r"^rpn\.conv\.", "rpn_head.rpn_conv."),
    (r"^rpn\.objectness\.", "rpn_head.rpn_cls."),
    (r"^rpn\.deltas\.", "rpn_head.rpn_reg."),
    (r"^box_heads\.(\d)\.fcs\.", r"roi_head.bbox_head.\1.shared_fcs."),
    (r"^box_heads\.(\d)\.convs\.(\d)\.conv\.", r"roi_head.bbox_head.\1.shared_convs.\2.conv."),
    (r"^box_heads\.(\d)\.convs\.(\d)\.norm\.", r"roi_head.bbox_head.\1.shared_convs.\2.bn."),
    (r"^box_heads\.(\d)\.classes\.", r"roi_head.bbox_head.\1.fc_cls."),
    (r"^box_heads\.(\d)\.deltas\.", r"roi_head.bbox_head.\1.fc_reg."),
    (r"^mask_heads\.(\d)\.convs\.(\d)\.", r"roi_head.mask_head.\1.convs.\2.conv."),
    (r"^mask_heads\.(\d)\.flow\.", r"roi_head.mask_head.\1.conv_res.conv."),
    (r"^mask_heads\.(\d)\.deconv\.", r"roi_head.mask_head.\1.upsample."),
    (r"^mask_heads\.(\d)\.logits\.", r"roi_head.mask_head.\1.conv_logits."),
    (r"^semantic\.laterals\.(\d)\.", r"roi_head.semantic_head.lateral_convs.\1.conv."),
    (r"^semantic\.convs\.(\d)\.", r"roi_head.semantic_head.convs.\1.conv."),
    (r"^semantic\.embedding\.", "roi_head.semantic_head.conv_embedding.conv."),
    (r"^semantic\.logits\.", "roi_head.semantic_head.conv_logits."),
)
OFFICIAL = (
    (r"^backbone\.stages\.", "backbone.layers."),
    (r"^backbone\.norms\.", "backbone.norm"),
    (r"\.attention\.qkv\.", ".attn.qkv."),
    (r"\.attention\.out\.", ".attn.proj."),
    (r"\.attention\.bias_table$", ".attn.relative_position_bias_table"),
    (r"\.mlp\.up\.", ".mlp.fc1."),
    (r"\.mlp\.down\.", ".mlp.fc2."),
)
MMDET = (
    (r"^backbone\.norms\.", "backbone.norm"),
    (r"^backbone\.patch_embed\.proj\.", "backbone.patch_embed.projection."),
    (r"\.attention\.qkv\.", ".attn.w_msa.qkv."),
    (r"\.attention\.out\.", ".attn.w_msa.proj."),
    (r"\.attention\.bias_table$", ".attn.w_msa.relative_position_bias_table"),
    (r"\.mlp\.up\.", ".ffn.layers.0.0."),
    (r"\.mlp\.down\.", ".ffn.layers.1."),
)
RESNET = ()
"""In which all agree."""


def as_mmdet(model: nn.Module, backbone: tuple[tuple[str, str], ...]) -> dict[str, Tensor]:
    """The weights of a detector by the names of others, with the tables that such files hold beside them."""
    tensors = {}
    one_stage = len(model.box_heads) == 1  # type: ignore[arg-type]
    for name, tensor in model.state_dict().items():
        if backbone is MMDET and ".downsample." in name:
            tensor = unfolded(tensor)
        for pattern, replacement in (*HEADS, *backbone):
            name = re.sub(pattern, replacement, name)
        if one_stage:
            name = re.sub(r"_head\.0\.", "_head.", name)
        tensors[name] = tensor.clone()
        if name.endswith("relative_position_bias_table"):
            tensors[name.replace("bias_table", "index")] = torch.zeros(9, 9).long()
    return tensors


def unfolded(tensor: Tensor) -> Tensor:
    """The columns of a merging for patches that torch's Unfold has taken apart.

    Where the channels 0, 1, ... of a map of 2x2 cells say which column of ours multiplies them, Unfold says which of
    theirs does.
    """
    channels = tensor.shape[-1] // 4
    ours = torch.arange(4 * channels).view(4, channels)  # (0,0), (1,0), (0,1), (1,1)
    cells = torch.stack([torch.stack([ours[0], ours[2]]), torch.stack([ours[1], ours[3]])])  # (2, 2, C)
    theirs = F.unfold(cells.permute(2, 0, 1).unsqueeze(0).float(), kernel_size=2).flatten().long()
    return tensor[..., theirs]

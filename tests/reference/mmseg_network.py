"""mmsegmentation's UPerNet computed from a dictionary of weights by its own names, written anew from its description.

It cannot be installed beside a current torch. Nothing here is fast: attention in windows is attention over the whole
map with everything outside a token's window, and outside its region after the roll, masked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

Weights = dict[str, Tensor]

WINDOW = 3
DEPTHS, HEADS, EMBED = (2, 1, 2), (2, 3, 4), 12
CHANNELS, AUXILIARY, K = 7, 5, 6
SCALES = (1, 2, 3, 6)


@dataclass(frozen=True)
class Style:
    """Names of a Swin below a segmenter, and how its patches are merged."""

    stages: str
    patches: str
    attention: str
    mlp: tuple[str, str]
    merge: Callable[[Tensor], Tensor]


def unfold(x: Tensor) -> Tensor:
    """As mmsegmentation: (B, H, W, C) to (B, H/2, W/2, 4C), the four neighbours of a channel side by side."""
    columns = F.unfold(x.permute(0, 3, 1, 2), kernel_size=2, stride=2)
    return columns.transpose(1, 2).unflatten(1, (x.shape[1] // 2, x.shape[2] // 2))


def gather(x: Tensor) -> Tensor:
    """As the official code: the channels of a neighbour side by side."""
    return torch.cat([x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]], dim=-1)


MMSEG = Style("stages", "projection", "attn.w_msa", ("ffn.layers.0.0", "ffn.layers.1"), unfold)
OFFICIAL = Style("layers", "proj", "attn", ("mlp.fc1", "mlp.fc2"), gather)


def swin_weights(style: Style, random: Callable[..., Tensor]) -> Weights:
    """Random weights of a small UPerNet on a small Swin, with the tables that such files hold beside them."""
    shapes: dict[str, tuple[int, ...]] = {f"backbone.patch_embed.{style.patches}": (EMBED, 3, 4, 4)}
    norms = {"backbone.patch_embed.norm": EMBED}
    w: Weights = {}
    widths = [EMBED * 2**stage for stage in range(len(DEPTHS))]
    for s, (depth, heads, width) in enumerate(zip(DEPTHS, HEADS, widths, strict=True)):
        for b in range(depth):
            block = f"backbone.{style.stages}.{s}.blocks.{b}"
            shapes |= {
                f"{block}.{style.attention}.qkv": (3 * width, width),
                f"{block}.{style.attention}.proj": (width, width),
                f"{block}.{style.mlp[0]}": (4 * width, width),
                f"{block}.{style.mlp[1]}": (width, 4 * width),
            }
            norms |= {f"{block}.norm1": width, f"{block}.norm2": width}
            w[f"{block}.{style.attention}.relative_position_bias_table"] = random((2 * WINDOW - 1) ** 2, heads)
            w[f"{block}.{style.attention}.relative_position_index"] = torch.zeros(WINDOW**2, WINDOW**2).long()
        if s < len(DEPTHS) - 1:
            merging = f"backbone.{style.stages}.{s}.downsample"
            norms[f"{merging}.norm"] = 4 * width
            w[f"{merging}.reduction.weight"] = random(2 * width, 4 * width)
        norms[f"backbone.norm{s}"] = width
    return w | with_biases(shapes, norms, random) | head_weights(widths, random)


def with_biases(shapes: dict[str, tuple[int, ...]], norms: dict[str, int], random: Callable[..., Tensor]) -> Weights:
    w: Weights = {}
    for name, shape in shapes.items():
        w |= {f"{name}.weight": random(*shape), f"{name}.bias": random(shape[0])}
    for name, width in norms.items():
        w |= {f"{name}.weight": 1 + random(width), f"{name}.bias": random(width)}
    return w


def head_weights(widths: Sequence[int], random: Callable[..., Tensor], *, auxiliary: int = -2) -> Weights:
    """Random weights of UPerHead and FCNHead for maps of such widths; the statistics of batch norm are random too."""
    *finer, last = widths
    convs = {
        "decode_head.bottleneck": (CHANNELS, last + len(SCALES) * CHANNELS, 3, 3),
        "decode_head.fpn_bottleneck": (CHANNELS, len(widths) * CHANNELS, 3, 3),
        "auxiliary_head.convs.0": (AUXILIARY, widths[auxiliary], 3, 3),
    }
    convs |= {f"decode_head.psp_modules.{i}.1": (CHANNELS, last, 1, 1) for i in range(len(SCALES))}
    for i, width in enumerate(finer):
        convs |= {
            f"decode_head.lateral_convs.{i}": (CHANNELS, width, 1, 1),
            f"decode_head.fpn_convs.{i}": (CHANNELS, CHANNELS, 3, 3),
        }
    heads = {"decode_head.conv_seg": (K, CHANNELS, 1, 1), "auxiliary_head.conv_seg": (K, AUXILIARY, 1, 1)}
    w = with_biases(heads, {f"{name}.bn": shape[0] for name, shape in convs.items()}, random)
    for name, shape in convs.items():
        w |= {
            f"{name}.conv.weight": random(*shape),
            f"{name}.bn.running_mean": random(shape[0]),
            f"{name}.bn.running_var": 1 + random(shape[0]).abs(),
            f"{name}.bn.num_batches_tracked": torch.tensor(9),
        }
    return w


def segment(w: Weights, maps: Sequence[Tensor], size: Sequence[int]) -> Tensor:
    """UPerHead on the maps of a backbone, enlarged to the image: (B, K, H, W)."""
    head = "decode_head"
    pooled = [maps[-1]]
    for i, scale in enumerate(SCALES):
        mean = conv_norm(w, f"{head}.psp_modules.{i}.1", F.adaptive_avg_pool2d(maps[-1], scale))
        pooled.append(resize(mean, maps[-1].shape[2:]))
    laterals = [conv_norm(w, f"{head}.lateral_convs.{i}", x) for i, x in enumerate(maps[:-1])]
    laterals.append(conv_norm(w, f"{head}.bottleneck", torch.cat(pooled, dim=1)))
    for i in range(len(maps) - 1, 0, -1):
        laterals[i - 1] = laterals[i - 1] + resize(laterals[i], laterals[i - 1].shape[2:])
    outputs = [conv_norm(w, f"{head}.fpn_convs.{i}", x) for i, x in enumerate(laterals[:-1])] + [laterals[-1]]
    fused = torch.cat([resize(x, outputs[0].shape[2:]) for x in outputs], dim=1)
    return resize(classify(w, head, conv_norm(w, f"{head}.fpn_bottleneck", fused)), size)


def auxiliary(w: Weights, x: Tensor) -> Tensor:
    """FCNHead on one map, at its size."""
    return classify(w, "auxiliary_head", conv_norm(w, "auxiliary_head.convs.0", x))


def classify(w: Weights, head: str, x: Tensor) -> Tensor:
    return F.conv2d(x, w[f"{head}.conv_seg.weight"], w[f"{head}.conv_seg.bias"])


def conv_norm(w: Weights, name: str, x: Tensor) -> Tensor:
    kernel = w[f"{name}.conv.weight"]
    mean, var, weight, bias = (w[f"{name}.bn.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    return F.relu(F.batch_norm(F.conv2d(x, kernel, padding=kernel.shape[-1] // 2), mean, var, weight, bias))


def resize(x: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)


def swin_maps(w: Weights, images: Tensor, style: Style) -> list[Tensor]:
    """The maps of the dense Swin, each behind its norm: (B, C, h, w), finest first."""
    images = F.pad(images, (0, -images.shape[3] % 4, 0, -images.shape[2] % 4))
    patches = f"backbone.patch_embed.{style.patches}"
    x = F.conv2d(images, w[f"{patches}.weight"], w[f"{patches}.bias"], stride=4).permute(0, 2, 3, 1)
    x = norm(w, "backbone.patch_embed.norm", x)
    maps = []
    for s, (depth, heads) in enumerate(zip(DEPTHS, HEADS, strict=True)):
        for b in range(depth):
            block = f"backbone.{style.stages}.{s}.blocks.{b}"
            attended = attention(w, f"{block}.{style.attention}", norm(w, f"{block}.norm1", x), heads, shifted=b % 2)
            x = x + attended
            hidden = F.gelu(linear(w, f"{block}.{style.mlp[0]}", norm(w, f"{block}.norm2", x)))
            x = x + linear(w, f"{block}.{style.mlp[1]}", hidden)
        maps.append(norm(w, f"backbone.norm{s}", x).permute(0, 3, 1, 2))
        if s < len(DEPTHS) - 1:
            merging = f"backbone.{style.stages}.{s}.downsample"
            x = style.merge(F.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2)))
            x = F.linear(norm(w, f"{merging}.norm", x), w[f"{merging}.reduction.weight"])
    return maps


def attention(w: Weights, name: str, x: Tensor, heads: int, *, shifted: int) -> Tensor:
    """Attention in windows of a map (B, H, W, C): padded, then rolled, and always shifted in every second block."""
    height, width = x.shape[1:3]
    x = F.pad(x, (0, 0, 0, -width % WINDOW, 0, -height % WINDOW))
    shift = WINDOW // 2 if shifted else 0
    x = x.roll((-shift, -shift), dims=(1, 2))
    rows, columns = x.shape[1:3]
    row = torch.arange(rows)[:, None].expand(rows, columns).flatten()
    column = torch.arange(columns)[None, :].expand(rows, columns).flatten()
    q, k, v = linear(w, f"{name}.qkv", x.flatten(1, 2)).unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
    down, right = row[:, None] - row[None, :], column[:, None] - column[None, :]
    together = together_along(row, rows, shift) & together_along(column, columns, shift)
    index = (down + WINDOW - 1) * (2 * WINDOW - 1) + right + WINDOW - 1
    bias = w[f"{name}.relative_position_bias_table"][index.where(together, 0)].permute(2, 0, 1)
    scores = (scores + bias).masked_fill(~together, float("-inf"))
    mixed = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
    x = linear(w, f"{name}.proj", mixed).unflatten(1, (rows, columns)).roll((shift, shift), dims=(1, 2))
    return x[:, :height, :width]


def together_along(place: Tensor, length: int, shift: int) -> Tensor:
    """Which pairs of places are in one window, and come from the same side of the edge that the roll moved inside."""
    window = place // WINDOW
    wrapped = place >= length - shift if shift else torch.zeros_like(place, dtype=torch.bool)
    return (window[:, None] == window[None, :]) & (wrapped[:, None] == wrapped[None, :])


def norm(w: Weights, name: str, x: Tensor, eps: float = 1e-5) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"], eps)


def linear(w: Weights, name: str, x: Tensor) -> Tensor:
    return F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])


VIT_WIDTH, VIT_DEPTH, VIT_HEADS, PATCH, GRID = 12, 4, 3, 8, 5


def vit_weights(random: Callable[..., Tensor], *, neck: bool) -> Weights:
    """Random weights of a small UPerNet on a small ViT with positions for GRID x GRID patches."""
    shapes: dict[str, tuple[int, ...]] = {"backbone.patch_embed.projection": (VIT_WIDTH, 3, PATCH, PATCH)}
    norms = {}
    w = {"backbone.cls_token": random(1, 1, VIT_WIDTH), "backbone.pos_embed": random(1, GRID**2 + 1, VIT_WIDTH)}
    for i in range(VIT_DEPTH):
        layer = f"backbone.layers.{i}"
        shapes |= {
            f"{layer}.attn.attn.out_proj": (VIT_WIDTH, VIT_WIDTH),
            f"{layer}.ffn.layers.0.0": (2 * VIT_WIDTH, VIT_WIDTH),
            f"{layer}.ffn.layers.1": (VIT_WIDTH, 2 * VIT_WIDTH),
        }
        norms |= {f"{layer}.ln1": VIT_WIDTH, f"{layer}.ln2": VIT_WIDTH}
        w |= {
            f"{layer}.attn.attn.in_proj_weight": random(3 * VIT_WIDTH, VIT_WIDTH),
            f"{layer}.attn.attn.in_proj_bias": random(3 * VIT_WIDTH),
        }
    for i in range(4 if neck else 0):
        shapes |= {
            f"neck.lateral_convs.{i}.conv": (VIT_WIDTH, VIT_WIDTH, 1, 1),
            f"neck.convs.{i}.conv": (VIT_WIDTH, VIT_WIDTH, 3, 3),
        }
    return w | with_biases(shapes, norms, random) | head_weights([VIT_WIDTH] * 4, random, auxiliary=-1)


def vit_maps(w: Weights, images: Tensor) -> list[Tensor]:
    """The patches behind each of the four blocks; images as large as the positions are for."""
    patches = "backbone.patch_embed.projection"
    x = F.conv2d(images, w[f"{patches}.weight"], w[f"{patches}.bias"], stride=PATCH).flatten(2).transpose(1, 2)
    x = torch.cat([w["backbone.cls_token"].expand(len(x), -1, -1), x], dim=1) + w["backbone.pos_embed"]
    maps = []
    for i in range(VIT_DEPTH):
        layer = f"backbone.layers.{i}"
        inner = norm(w, f"{layer}.ln1", x, 1e-6)
        qkv = F.linear(inner, w[f"{layer}.attn.attn.in_proj_weight"], w[f"{layer}.attn.attn.in_proj_bias"])
        q, k, v = qkv.unflatten(-1, (3, VIT_HEADS, -1)).permute(2, 0, 3, 1, 4)
        mixed = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1) @ v
        x = x + linear(w, f"{layer}.attn.attn.out_proj", mixed.transpose(1, 2).flatten(2))
        hidden = F.gelu(linear(w, f"{layer}.ffn.layers.0.0", norm(w, f"{layer}.ln2", x, 1e-6)))
        x = x + linear(w, f"{layer}.ffn.layers.1", hidden)
        maps.append(x[:, 1:].transpose(1, 2).unflatten(2, (GRID, GRID)))
    return maps


def multi_level_neck(w: Weights, maps: Sequence[Tensor]) -> list[Tensor]:
    """Each map by a 1x1 convolution, at 4, 2, 1 and 1/2 times its size, and by a 3x3 one."""
    outputs = []
    for i, (x, times) in enumerate(zip(maps, (4, 2, 1, 0.5), strict=True)):
        lateral, conv = f"neck.lateral_convs.{i}.conv", f"neck.convs.{i}.conv"
        x = F.conv2d(x, w[f"{lateral}.weight"], w[f"{lateral}.bias"])
        if times != 1:
            x = resize(x, [int(side * times + 0.5) for side in x.shape[2:]])
        outputs.append(F.conv2d(x, w[f"{conv}.weight"], w[f"{conv}.bias"], padding=1))
    return outputs

"""What stands between the backbone and the heads: FPN, "Feature Pyramid Networks for Object Detection" (Lin et al.
2016, arXiv:1612.03144), and in HTC++ (Liu et al. 2021, arXiv:2103.14030, appendix A2.2) a block of attention over the
whole last map in front of it.

The paper says little more of that block than where it stands, and the code was never released. A block of the last
stage whose one window is the whole map, so without a table of biases, has 12 C^2 + 13 C parameters: with it, parameters
and products are those of the paper's table.

Letters: B images, h w cells of a map, C channels of the backbone's map, D those of the pyramid.
"""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from attnkit.models.layers.attention import MultiHeadAttention
from attnkit.models.layers.dropout import DropPath
from attnkit.models.layers.mlp import Mlp


class Fpn(nn.Module):
    """Maps of one width, each of which knows of the coarser ones; and one more, for proposals of large objects."""

    def __init__(self, in_channels: Sequence[int], channels: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in in_channels)
        self.outputs = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in in_channels)
        for conv in (*self.laterals, *self.outputs):
            nn.init.xavier_uniform_(conv.weight)
            nn.init.zeros_(conv.bias)

    def forward(self, maps: Sequence[Float[Tensor, "B _C _h _w"]]) -> list[Float[Tensor, "B D _h _w"]]:
        """P2 to P5 of C2 to C5, and P6."""
        *finer, last = [lateral(x) for lateral, x in zip(self.laterals, maps, strict=True)]
        merged = [last]
        for fine in reversed(finer):
            merged.append(fine + F.interpolate(merged[-1], size=fine.shape[2:], mode="nearest"))
        levels = [output(x) for output, x in zip(self.outputs, reversed(merged), strict=True)]
        return [*levels, F.max_pool2d(levels[-1], 1, stride=2)]  # every other row and column


class GlobalBlock(nn.Module):
    """Attention from every cell of a map to every other one and an MLP, each behind a norm and added."""

    def __init__(self, embed_dim: int, num_heads: int, *, mlp_ratio: float, drop_path_rate: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(embed_dim)
        self.attention = MultiHeadAttention(embed_dim, num_heads)
        self.norm2 = nn.LayerNorm(embed_dim)
        self.mlp = Mlp(embed_dim, int(embed_dim * mlp_ratio), activation="gelu")
        self.drop_path = DropPath(drop_path_rate)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)

    def forward(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        """A map of the same size, each cell of which knows of all others."""
        height, width = x.shape[2:]
        tokens = x.flatten(2).transpose(1, 2)  # (B, h w, C)
        tokens = self.drop_path(tokens, lambda kept: self.attention(self.norm1(kept)))
        tokens = self.drop_path(tokens, lambda kept: self.mlp(self.norm2(kept)))
        return tokens.transpose(1, 2).unflatten(2, (height, width))

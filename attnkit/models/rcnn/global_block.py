"""The block of attention over the whole last map that makes HTC++ of HTC (Liu et al. 2021, arXiv:2103.14030, appendix
A2.2).

The paper says little more of it than where it stands, and the code was never released. A block of the last stage whose
one window is the whole map, so without a table of biases, has 12 C^2 + 13 C parameters: with it, parameters and
products are those of the paper's table.

Letters: B images, C channels, h w cells of the map.
"""

from jaxtyping import Float
from torch import Tensor, nn

from attnkit.models.layers.attention import MultiHeadAttention
from attnkit.models.layers.dropout import DropPath
from attnkit.models.layers.mlp import Mlp


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

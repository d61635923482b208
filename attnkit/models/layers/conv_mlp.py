"""A feed-forward network in which neighbours meet: LocalViT (Li et al. 2021, arXiv:2104.05707) and the Mix-FFN of
SegFormer (Xie et al. 2021, arXiv:2105.15203, equation 3).

Letters: B batch, H W tokens of the map, C channels, D those inside.
"""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from attnkit.models.kernels.linear import Linear
from attnkit.models.layers.dropout import Dropout


class ConvMlp(nn.Module):
    """Two linear layers, between them a depthwise convolution over 3x3 tokens and GELU.

    What the convolution gives is added to what it reads, so that this is an `Mlp` where its weights are zero. Its zeros
    around the map also tell tokens where the map ends.
    """

    def __init__(self, embed_dim: int, mlp_dim: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.up = Linear(embed_dim, mlp_dim)
        self.conv = nn.Conv2d(mlp_dim, mlp_dim, 3, padding=1, groups=mlp_dim)
        self.down = Linear(mlp_dim, embed_dim)
        self.dropout = Dropout(dropout)

    def forward(self, x: Float[Tensor, "B H W C"]) -> Float[Tensor, "B H W C"]:
        """gelu(h + conv(h)) W2 + b2 of h = x W1 + b1."""
        inner = self.up(x)  # (B, H, W, D)
        near = self.conv(inner.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)  # (B, H, W, D)
        return self.down(self.dropout(F.gelu(inner + near)))

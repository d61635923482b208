"""The position-wise feed-forward network (Vaswani et al. 2017, section 3.3), and one in which neighbours meet: LocalViT
(Li et al. 2021, arXiv:2104.05707) and the Mix-FFN of SegFormer (Xie et al. 2021, arXiv:2105.15203, equation 3).

Letters: B batch, N tokens, H W tokens of a map, C channels, D those inside.
"""

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from attnkit.models.kernels.linear import Linear
from attnkit.models.layers.dropout import Dropout


class Mlp(nn.Module):
    """Two linear layers with an activation between them, the same at every position."""

    def __init__(
        self,
        embed_dim: int,
        mlp_dim: int,
        *,
        activation: Literal["relu", "gelu", "gelu_tanh"] = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.up = Linear(embed_dim, mlp_dim)
        self.down = Linear(mlp_dim, embed_dim)
        self.activation = activation
        self.dropout = Dropout(dropout)

    def forward(self, x: Float[Tensor, "B *N C"]) -> Float[Tensor, "B *N C"]:
        """max(0, x W1 + b1) W2 + b2, or with GELU in place of the maximum."""
        inner = self.up(x)  # (B, *N, mlp_dim)
        return self.down(self.dropout(self._activate(inner)))

    def _activate(self, inner: Tensor) -> Tensor:
        if self.activation == "relu":
            return F.relu(inner)
        # JAX's gelu is the approximation by tanh, torch's is not
        return F.gelu(inner, approximate="tanh" if self.activation == "gelu_tanh" else "none")


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

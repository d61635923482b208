"""The position-wise feed-forward network (Vaswani et al. 2017, section 3.3)."""

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from attnkit.models.layers.dropout import Dropout


class Mlp(nn.Module):
    """Two linear layers with an activation between them, the same at every position."""

    def __init__(
        self, embed_dim: int, mlp_dim: int, *, activation: Literal["relu", "gelu"] = "relu", dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.up = nn.Linear(embed_dim, mlp_dim)
        self.down = nn.Linear(mlp_dim, embed_dim)
        self.activation = activation
        self.dropout = Dropout(dropout)

    def forward(self, x: Float[Tensor, "B N C"]) -> Float[Tensor, "B N C"]:
        """max(0, x W1 + b1) W2 + b2, or with GELU in place of the maximum."""
        inner = self.up(x)  # (B, N, mlp_dim)
        inner = F.relu(inner) if self.activation == "relu" else F.gelu(inner)
        return self.down(self.dropout(inner))

"""The position-wise feed-forward network (Vaswani et al. 2017, section 3.3)."""

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

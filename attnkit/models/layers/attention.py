"""Scaled dot-product and multi-head attention (Vaswani et al. 2017, arXiv:1706.03762, section 3.2).

Letters: B batch, Q queries, K keys, h heads, d head width, C channels = h * d.
Masks: `attn_mask` is added to the scores: 0 where a query may attend, -inf where it may not. A row of it that forbids
every key has no answer (0/0), so callers never make one.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from attnkit.models.kernels.linear import Linear
from attnkit.models.layers.dropout import Dropout

_SHORT = 128
"""Up to this many keys, a CPU is faster by three plain products than by the fused kernel, whose backward is tiled for
long sequences (benchmarks/attention_cpu.py)."""

_SHORT_BFLOAT16 = 256
"""The same in bfloat16, in which the fused kernel does not use what the processor has for it."""

_SHORT_BFLOAT16_WITHOUT_GRADIENT = 1024
"""The same where the weights need not be kept for a backward pass; from here on they would not fit in a cache."""

_TINY = 32
"""Up to this many keys, converting to bfloat16 and back costs more than multiplying in it saves."""


def attend(
    q: Float[Tensor, "B h Q d"],
    k: Float[Tensor, "B h K d"],
    v: Float[Tensor, "B h K d"],
    attn_mask: Float[Tensor, "#B #h #Q K"] | None = None,
    *,
    dropout: Dropout | None = None,
    capture: list[Tensor] | None = None,
) -> Float[Tensor, "B h Q d"]:
    """softmax(q k^T / sqrt(d) + attn_mask) v, by whichever way is fastest here.

    Args:
        q: queries.
        k: keys.
        v: values.
        attn_mask: added to the scores; none attends everywhere.
        dropout: applied to the weights while it is in training mode.
        capture: a list to which the weights (before dropout) are appended, (B, h, Q, K); rows sum to one.

    Returns:
        For each query the mean of the values by its weights.

    Source: Vaswani et al. 2017, equation 1.
    """
    if capture is not None or (q.device.type == "cpu" and k.shape[2] <= _plain_up_to(q)):
        heads, weights = _attend_by_plain_products(q, k, v, attn_mask, dropout)
        if capture is not None:
            capture.append(weights)
        return heads
    dropout_p = dropout.p if dropout is not None and dropout.training else 0.0
    return F.scaled_dot_product_attention(
        q, k, v, None if attn_mask is None else attn_mask.to(q.dtype), dropout_p=dropout_p
    )


def _attend_by_plain_products(
    q: Float[Tensor, "B h Q d"],
    k: Float[Tensor, "B h K d"],
    v: Float[Tensor, "B h K d"],
    attn_mask: Float[Tensor, "#B #h #Q K"] | None,
    dropout: Dropout | None,
) -> tuple[Float[Tensor, "B h Q d"], Float[Tensor, "B h Q K"]]:
    """The means of the values, and the weights.

    Products of few keys are so small that converting them to bfloat16 costs more than it saves: they are done in
    float32. Those of more keys are done in the dtype that comes in.
    """
    dtype = q.dtype
    if q.device.type != "cpu" or k.shape[2] <= _TINY:
        q, k, v = q.float(), k.float(), v.float()
    with torch.autocast(q.device.type, enabled=False):
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)  # (B, h, Q, K)
        if attn_mask is not None:
            scores = scores + attn_mask.to(scores.dtype)
        weights = scores.softmax(dim=-1)  # summed in float32, whatever comes in
        kept = weights if dropout is None else dropout(weights)
        return (kept @ v).to(dtype), weights


def _plain_up_to(q: Tensor) -> int:
    """How many keys plain products are faster for."""
    if q.dtype != torch.bfloat16:
        return _SHORT
    return _SHORT_BFLOAT16 if torch.is_grad_enabled() else _SHORT_BFLOAT16_WITHOUT_GRADIENT


class MultiHeadAttention(nn.Module):
    """h attentions side by side, each on d = C / h channels (section 3.2.2).

    Keys and values of self-attention are projected together with the queries, those of cross-attention together with
    each other: one product instead of three.
    """

    def __init__(self, embed_dim: int, num_heads: int, *, is_cross: bool = False, dropout: float = 0.0) -> None:
        super().__init__()
        if embed_dim % num_heads:
            raise ValueError(f"attention: {embed_dim} channels do not divide into {num_heads} heads")
        self.num_heads = num_heads
        self.is_cross = is_cross
        if is_cross:
            self.q = Linear(embed_dim, embed_dim)
            self.kv = Linear(embed_dim, 2 * embed_dim)
        else:
            self.qkv = Linear(embed_dim, 3 * embed_dim)
        self.out = Linear(embed_dim, embed_dim)
        self.dropout = Dropout(dropout)

    def forward(
        self,
        x: Float[Tensor, "B Q C"],
        memory: Float[Tensor, "B K C"] | None = None,
        attn_mask: Float[Tensor, "#B #h #Q K"] | None = None,
        *,
        capture: list[Tensor] | None = None,
    ) -> Float[Tensor, "B Q C"]:
        """Attend from `x` to itself, or to `memory` where this is cross-attention; `capture` as in `attend`."""
        q, k, v = self.project(x, memory)
        return self.merge(attend(q, k, v, attn_mask, dropout=self.dropout, capture=capture))

    def project(self, x: Tensor, memory: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each (B, h, tokens, d)."""
        if self.is_cross:
            if memory is None:
                raise ValueError("cross-attention: memory is missing; expected the encoder's output (B, K, C)")
            return (self.project_queries(x), *self.project_memory(memory))
        q, k, v = self._split(self.qkv(x), parts=3)
        return q, k, v

    def project_queries(self, x: Float[Tensor, "B Q C"]) -> Float[Tensor, "B h Q d"]:
        """The queries of cross-attention."""
        return self._split(self.q(x), parts=1)[0]

    def project_memory(
        self, memory: Float[Tensor, "B K C"]
    ) -> tuple[Float[Tensor, "B h K d"], Float[Tensor, "B h K d"]]:
        """Keys and values of cross-attention, which stay the same while a sentence is decoded."""
        k, v = self._split(self.kv(memory), parts=2)
        return k, v

    def merge(self, heads: Float[Tensor, "B h Q d"]) -> Float[Tensor, "B Q C"]:
        """The heads side by side, through the output matrix."""
        return self.out(heads.transpose(1, 2).flatten(2))

    def _split(self, projected: Tensor, *, parts: int) -> tuple[Tensor, ...]:
        batch, tokens, _ = projected.shape
        return projected.view(batch, tokens, parts, self.num_heads, -1).permute(2, 0, 3, 1, 4).unbind(0)

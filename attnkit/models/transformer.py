"""The Transformer: "Attention Is All You Need" (Vaswani et al. 2017, arXiv:1706.03762).

Letters: B sentences, S source tokens, T target tokens, k hypotheses of a sentence (its beam), C channels (the paper's
d_model), h heads, d = C / h, V vocabulary.

Where the paper is silent or this differs from it: embeddings are drawn from N(0, 1/C), so that the paper's factor
sqrt(C) gives them unit variance; matrices are Xavier-uniform, with queries, keys and values drawn as the separate
matrices that they are; `norm: pre` (not in the paper) adds a norm at the end of each stack; padding is on the right.
"""

import math
from collections.abc import Iterator
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from attnkit.models.config import TransformerConfig
from attnkit.models.kernels.packed import PackedLinear, can_be_packed, pack_linears
from attnkit.models.layers.attention import MultiHeadAttention
from attnkit.models.layers.dropout import Dropout
from attnkit.models.layers.mlp import Mlp
from attnkit.models.layers.positions import Positions

AttentionMaps = dict[str, list[Tensor]]
"""Attention weights, layer by layer: (B, h, queries, keys) each."""


class Transformer(nn.Module):
    """Encoder and decoder. `forward` gives hidden states; `output_weight` turns them into logits."""

    def __init__(self, config: TransformerConfig, *, src_vocab_size: int, tgt_vocab_size: int, pad_id: int) -> None:
        super().__init__()
        if config.tied_embeddings == "all" and src_vocab_size != tgt_vocab_size:
            raise ValueError(
                f"tied_embeddings: 'all' shares one vocabulary, but the source has {src_vocab_size} tokens and the "
                f"target {tgt_vocab_size}; expected equal sizes"
            )
        self.config = config
        self.pad_id = pad_id
        self.tgt_embedding = nn.Embedding(tgt_vocab_size, config.embed_dim, padding_idx=pad_id)
        if config.tied_embeddings == "all":
            self.src_embedding = self.tgt_embedding
        else:
            self.src_embedding = nn.Embedding(src_vocab_size, config.embed_dim, padding_idx=pad_id)
        if config.tied_embeddings == "none":
            self.output = nn.Linear(config.embed_dim, tgt_vocab_size, bias=False)
        self.src_positions = Positions(config.positions, config.embed_dim, max_positions=config.max_positions)
        self.tgt_positions = Positions(config.positions, config.embed_dim, max_positions=config.max_positions)
        self.dropout = Dropout(config.dropout)
        self.encoder = nn.ModuleList(EncoderLayer(config) for _ in range(config.encoder_depth))
        self.decoder = nn.ModuleList(DecoderLayer(config) for _ in range(config.decoder_depth))
        is_pre = config.norm == "pre"
        self.encoder_norm = nn.LayerNorm(config.embed_dim) if is_pre else nn.Identity()
        self.decoder_norm = nn.LayerNorm(config.embed_dim) if is_pre else nn.Identity()
        self._init_weights()
        self._packed_output: list[PackedLinear] = []  # in a list, so that its weight has no second name

    @property
    def output_weight(self) -> Float[Tensor, "V C"]:
        """The matrix from hidden states to logits: the target embedding where the two are tied."""
        embedding: nn.Module = self.output if self.config.tied_embeddings == "none" else self.tgt_embedding
        return cast("Tensor", embedding.weight)

    def logits(self, hidden: Float[Tensor, "*N C"]) -> Float[Tensor, "*N V"]:
        """What `hidden` says about the next token."""
        return self._packed_output[0](hidden) if self._packed_output else F.linear(hidden, self.output_weight)

    def pack(self) -> None:
        """Bring the weights of a finished model into the order in which a CPU multiplies fastest, where there is one.

        They must not change afterwards, and there are no gradients; the memory for the weights doubles.
        """
        pack_linears(self)
        if can_be_packed(self.output_weight) and not self._packed_output:
            vocab_size, embed_dim = self.output_weight.shape
            output = nn.Linear(embed_dim, vocab_size, bias=False, device="meta")
            output.weight = nn.Parameter(self.output_weight, requires_grad=False)
            self._packed_output.append(PackedLinear(output))

    @property
    def encoder_layers(self) -> Iterator["EncoderLayer"]:
        """The encoder's layers, first to last."""
        yield from cast("list[EncoderLayer]", self.encoder)

    @property
    def decoder_layers(self) -> Iterator["DecoderLayer"]:
        """The decoder's layers, first to last."""
        yield from cast("list[DecoderLayer]", self.decoder)

    def forward(
        self, src: Int[Tensor, "B S"], tgt_in: Int[Tensor, "B T"], *, capture: AttentionMaps | None = None
    ) -> Float[Tensor, "B T C"]:
        """Hidden states from which each next target token is predicted.

        Args:
            src: source tokens with the end of sentence, padded on the right.
            tgt_in: target tokens behind the begin of sentence, padded on the right.
            capture: lists to which the attention weights of each layer are appended, of those of `encoder`, `decoder`
                and `cross` that are wanted; see `attention_maps`.
        """
        maps = capture or {}
        memory, src_mask = self.encode(src, capture=maps.get("encoder"))
        tgt_mask = _causal_mask(tgt_in.shape[1], tgt_in.device)
        x = self.embed_tgt(tgt_in, src_lengths=self.src_lengths(src))
        for layer in self.decoder_layers:
            x = layer(x, memory, tgt_mask, src_mask, capture_self=maps.get("decoder"), capture_cross=maps.get("cross"))
        return self.decoder_norm(x)

    def encode(
        self, src: Int[Tensor, "B S"], *, capture: list[Tensor] | None = None
    ) -> tuple[Float[Tensor, "B S C"], Float[Tensor, "B 1 1 S"] | None]:
        """The encoder's output, and the mask that hides its padding (none where there is none)."""
        src_mask = self._padding_mask(src)
        x = self._embed_src(src)
        for layer in self.encoder_layers:
            x = layer(x, src_mask, capture=capture)
        return self.encoder_norm(x), src_mask

    def attention_maps(self, src: Int[Tensor, "B S"], tgt_in: Int[Tensor, "B T"]) -> AttentionMaps:
        """What each head looks at, layer by layer.

        Returns:
            `encoder`: (B, h, S, S) each; `decoder`: (B, h, T, T); `cross`: (B, h, T, S). Rows sum to one.
        """
        maps: AttentionMaps = {"encoder": [], "decoder": [], "cross": []}
        self(src, tgt_in, capture=maps)
        return maps

    def _embed_src(self, src: Int[Tensor, "B S"]) -> Float[Tensor, "B S C"]:
        x = self.src_embedding(src) * math.sqrt(self.config.embed_dim)
        return self.dropout(x + self.src_positions(src.shape[1], src_lengths=self.src_lengths(src)))

    def embed_tgt(
        self, tgt_in: Int[Tensor, "B T"], *, src_lengths: Int[Tensor, "B"], start: int = 0
    ) -> Float[Tensor, "B T C"]:
        """What the decoder reads: embeddings times sqrt(C), positions from `start` on, dropout."""
        x = self.tgt_embedding(tgt_in) * math.sqrt(self.config.embed_dim)
        return self.dropout(x + self.tgt_positions(tgt_in.shape[1], start=start, src_lengths=src_lengths))

    def src_lengths(self, src: Int[Tensor, "B S"]) -> Int[Tensor, "B"]:
        """Tokens of each source, end of sentence counted."""
        return (src != self.pad_id).sum(dim=1)

    def _padding_mask(self, src: Int[Tensor, "B S"]) -> Float[Tensor, "B 1 1 S"] | None:
        is_padding = src == self.pad_id
        if src.device.type == "cpu" and not bool(is_padding.any()):
            return None
        return torch.zeros(src.shape, device=src.device).masked_fill_(is_padding, -math.inf)[:, None, None, :]

    def _init_weights(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                # a fused projection is several square matrices, each with its own Xavier bound
                for matrix in torch.split(module.weight.data, self._rows_per_matrix(module)):
                    nn.init.xavier_uniform_(matrix)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=self.config.embed_dim**-0.5)
                nn.init.zeros_(module.weight[self.pad_id])
        if self.config.tied_embeddings == "none":
            nn.init.normal_(self.output.weight, std=self.config.embed_dim**-0.5)
        if self.config.init == "deep":
            for stack in (self.encoder, self.decoder):
                _shrink_residual_writers(stack)

    def _rows_per_matrix(self, module: nn.Linear) -> int:
        is_fused = any(
            module is getattr(attention, name, None)
            for attention in self.modules()
            if isinstance(attention, MultiHeadAttention)
            for name in ("qkv", "kv")
        )
        return self.config.embed_dim if is_fused else module.out_features


class EncoderLayer(nn.Module):
    """Self-attention, then the MLP; a residual sum and a norm around each."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.self_attention = _attention(config)
        self.mlp = _mlp(config)
        self.self_residual = Residual(config)
        self.mlp_residual = Residual(config)

    def forward(
        self, x: Float[Tensor, "B S C"], src_mask: Tensor | None, *, capture: list[Tensor] | None = None
    ) -> Float[Tensor, "B S C"]:
        """One layer up."""
        attended = self.self_attention(self.self_residual.enter(x), None, src_mask, capture=capture)
        x = self.self_residual.join(x, attended)
        return self.mlp_residual.join(x, self.mlp(self.mlp_residual.enter(x)))


class DecoderLayer(nn.Module):
    """Masked self-attention, attention to the encoder's output, then the MLP."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.self_attention = _attention(config)
        self.cross_attention = _attention(config, is_cross=True)
        self.mlp = _mlp(config)
        self.self_residual = Residual(config)
        self.cross_residual = Residual(config)
        self.mlp_residual = Residual(config)

    def forward(
        self,
        x: Tensor,
        memory: Tensor,
        tgt_mask: Tensor,
        src_mask: Tensor | None,
        *,
        capture_self: list[Tensor] | None = None,
        capture_cross: list[Tensor] | None = None,
    ) -> Float[Tensor, "B T C"]:
        """One layer up."""
        attended = self.self_attention(self.self_residual.enter(x), None, tgt_mask, capture=capture_self)
        x = self.self_residual.join(x, attended)
        attended = self.cross_attention(self.cross_residual.enter(x), memory, src_mask, capture=capture_cross)
        x = self.cross_residual.join(x, attended)
        return self.mlp_residual.join(x, self.mlp(self.mlp_residual.enter(x)))


class Residual(nn.Module):
    """What stands around a sub-layer. post: norm(x + dropout(f(x))), the paper's; pre: x + dropout(f(norm(x)))."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.embed_dim)
        self.dropout = Dropout(config.dropout)
        self.is_pre = config.norm == "pre"

    def enter(self, x: Tensor) -> Tensor:
        """What the sub-layer reads."""
        return self.norm(x) if self.is_pre else x

    def join(self, x: Tensor, sublayer: Tensor) -> Tensor:
        """The stream behind the sub-layer."""
        x = x + self.dropout(sublayer)
        return x if self.is_pre else self.norm(x)


def _attention(config: TransformerConfig, *, is_cross: bool = False) -> MultiHeadAttention:
    return MultiHeadAttention(config.embed_dim, config.num_heads, is_cross=is_cross, dropout=config.attention_dropout)


def _mlp(config: TransformerConfig) -> Mlp:
    return Mlp(config.embed_dim, config.mlp_dim, activation=config.activation, dropout=config.activation_dropout)


def _causal_mask(length: int, device: torch.device) -> Float[Tensor, "1 1 T T"]:
    """0 on and below the diagonal, -inf above: no position sees a later one."""
    return torch.full((length, length), -math.inf, device=device).triu_(1)[None, None]


def _shrink_residual_writers(stack: nn.ModuleList) -> None:
    """Divide what is added to the residual stream by sqrt(2 * depth), so that its variance does not grow with depth."""
    for layer in stack:
        for module in layer.modules():
            if isinstance(module, MultiHeadAttention):
                module.out.weight.data.div_(math.sqrt(2 * len(stack)))
            elif isinstance(module, Mlp):
                module.down.weight.data.div_(math.sqrt(2 * len(stack)))

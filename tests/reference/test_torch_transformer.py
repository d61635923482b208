"""The Transformer against torch.nn's own, with the same random weights."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attnkit.models.config import TransformerConfig
from attnkit.models.layers.attention import MultiHeadAttention
from attnkit.models.transformer import DecoderLayer, EncoderLayer, Transformer

PAD, BOS, EOS = 0, 2, 3
V, C, H, M = 31, 14, 2, 11
SRC = torch.tensor([[5, 6, 7, 8, 9, 10, EOS], [11, EOS, 0, 0, 0, 0, 0], [12, 13, 14, 15, EOS, 0, 0]])
TGT_IN = torch.tensor([[BOS, 16, 17], [BOS, 18, 19], [BOS, 20, 21]])
TGT_IN = torch.cat([TGT_IN, torch.tensor([[22, 23], [0, 0], [24, 0]])], dim=1)
IS_PADDING = SRC == PAD

variants = pytest.mark.parametrize(
    ("norm", "activation", "tied"),
    [("post", "relu", "all"), ("pre", "relu", "decoder"), ("post", "gelu", "none"), ("pre", "gelu", "all")],
)


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


def build(norm: str, activation: str, tied: str = "all") -> Transformer:
    """A model none of whose weights has the value that it is born with."""
    torch.manual_seed(1)
    config = TransformerConfig(
        embed_dim=C,
        encoder_depth=3,
        decoder_depth=2,
        num_heads=H,
        mlp_dim=M,
        norm=norm,
        activation=activation,
        tied_embeddings=tied,
    )
    model = Transformer(config, src_vocab_size=V, tgt_vocab_size=V, pad_id=PAD).eval()
    for parameter in model.parameters():
        parameter.data += 0.2 * torch.randn(parameter.shape)
    return model


# from here to the next comment: attnkit's weights in torch's modules


def torch_attention(own: MultiHeadAttention) -> nn.MultiheadAttention:
    """Rows of queries, then of keys, then of values; each head by head."""
    theirs = nn.MultiheadAttention(C, H, batch_first=True)
    projections = [own.q, own.kv] if own.is_cross else [own.qkv]
    theirs.in_proj_weight.data = torch.cat([projection.weight for projection in projections]).data
    theirs.in_proj_bias.data = torch.cat([projection.bias for projection in projections]).data
    theirs.out_proj.load_state_dict(own.out.state_dict())
    return theirs.eval()


def torch_encoder(model: Transformer) -> nn.TransformerEncoder:
    is_pre = model.config.norm == "pre"
    layer = nn.TransformerEncoderLayer(
        C, H, M, dropout=0.0, activation=model.config.activation, norm_first=is_pre, batch_first=True
    )
    encoder = nn.TransformerEncoder(
        layer, model.config.encoder_depth, norm=nn.LayerNorm(C) if is_pre else None, enable_nested_tensor=False
    )
    for theirs, own in zip(encoder.layers, model.encoder_layers, strict=True):
        copy_layer(theirs, own)
        theirs.norm1.load_state_dict(own.self_residual.norm.state_dict())
        theirs.norm2.load_state_dict(own.mlp_residual.norm.state_dict())
    if is_pre:
        encoder.norm.load_state_dict(model.encoder_norm.state_dict())
    return encoder.eval()


def torch_decoder(model: Transformer) -> nn.TransformerDecoder:
    is_pre = model.config.norm == "pre"
    layer = nn.TransformerDecoderLayer(
        C, H, M, dropout=0.0, activation=model.config.activation, norm_first=is_pre, batch_first=True
    )
    decoder = nn.TransformerDecoder(layer, model.config.decoder_depth, norm=nn.LayerNorm(C) if is_pre else None)
    for theirs, own in zip(decoder.layers, model.decoder_layers, strict=True):
        copy_layer(theirs, own)
        theirs.multihead_attn = torch_attention(own.cross_attention)
        theirs.norm1.load_state_dict(own.self_residual.norm.state_dict())
        theirs.norm2.load_state_dict(own.cross_residual.norm.state_dict())
        theirs.norm3.load_state_dict(own.mlp_residual.norm.state_dict())
    if is_pre:
        decoder.norm.load_state_dict(model.decoder_norm.state_dict())
    return decoder.eval()


def copy_layer(theirs: nn.Module, own: EncoderLayer | DecoderLayer) -> None:
    """What the layers of both stacks have in common."""
    theirs.self_attn = torch_attention(own.self_attention)
    theirs.linear1.load_state_dict(own.mlp.up.state_dict())
    theirs.linear2.load_state_dict(own.mlp.down.state_dict())


def embed(table: Tensor, ids: Tensor) -> Tensor:
    """Section 3.4 and 3.5 of the paper, one number at a time."""
    embedded = torch.empty(*ids.shape, C)
    for row, sentence in enumerate(ids.tolist()):
        for pos, token in enumerate(sentence):
            for channel in range(C):
                angle = pos / 10000 ** ((channel - channel % 2) / C)
                position = math.cos(angle) if channel % 2 else math.sin(angle)
                embedded[row, pos, channel] = table[token, channel] * math.sqrt(C) + position
    return embedded


def causal(length: int) -> Tensor:
    """True is forbidden."""
    return torch.ones(length, length, dtype=torch.bool).triu(1)


# the comparisons


@variants
@torch.no_grad()
def test_encoder(norm: str, activation: str, tied: str) -> None:
    model = build(norm, activation, tied)
    expected = torch_encoder(model)(embed(model.src_embedding.weight, SRC), src_key_padding_mask=IS_PADDING)
    close(model.encode(SRC)[0][~IS_PADDING], expected[~IS_PADDING])


@variants
@torch.no_grad()
def test_hidden_states_and_logits(norm: str, activation: str, tied: str) -> None:
    model = build(norm, activation, tied)
    memory = torch_encoder(model)(embed(model.src_embedding.weight, SRC), src_key_padding_mask=IS_PADDING)
    expected = torch_decoder(model)(
        embed(model.tgt_embedding.weight, TGT_IN),
        memory,
        tgt_mask=causal(TGT_IN.shape[1]),
        memory_key_padding_mask=IS_PADDING,
    )
    hidden = model(SRC, TGT_IN)
    close(hidden, expected)
    embedding = model.output if tied == "none" else model.tgt_embedding
    close(F.linear(hidden, model.output_weight), expected @ embedding.weight.T)


@variants
def test_gradients(norm: str, activation: str, tied: str) -> None:
    """Of the embedding, which they reach through every layer of both stacks."""
    model = build(norm, activation, tied)
    real = TGT_IN != PAD
    direction = torch.randn(int(real.sum()), C, generator=torch.Generator().manual_seed(2))

    def gradients(hidden: Tensor) -> tuple[Tensor, ...]:
        tables = {id(table): table for table in (model.src_embedding.weight, model.tgt_embedding.weight)}
        return torch.autograd.grad((hidden[real] * direction).sum(), list(tables.values()))

    def embed_fast(table: Tensor, ids: Tensor) -> Tensor:
        return table[ids] * math.sqrt(C) + embed(torch.zeros(V, C), ids)

    memory = torch_encoder(model)(embed_fast(model.src_embedding.weight, SRC), src_key_padding_mask=IS_PADDING)
    expected = gradients(
        torch_decoder(model)(
            embed_fast(model.tgt_embedding.weight, TGT_IN),
            memory,
            tgt_mask=causal(TGT_IN.shape[1]),
            memory_key_padding_mask=IS_PADDING,
        )
    )
    for own, theirs in zip(gradients(model(SRC, TGT_IN)), expected, strict=True):
        torch.testing.assert_close(own, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("is_cross", [False, True])
@torch.no_grad()
def test_multi_head_attention_and_its_weights(is_cross: bool) -> None:
    torch.manual_seed(1)
    own = MultiHeadAttention(C, H, is_cross=is_cross)
    for bias in (parameter for name, parameter in own.named_parameters() if name.endswith("bias")):
        bias.normal_()
    x = torch.randn(3, 5, C)
    memory = torch.randn(3, 7, C) if is_cross else x
    is_padding = IS_PADDING[:, : memory.shape[1]]
    expected, weights = torch_attention(own)(
        x, memory, memory, key_padding_mask=is_padding, need_weights=True, average_attn_weights=False
    )
    mask = torch.zeros(is_padding.shape).masked_fill(is_padding, -math.inf)[:, None, None]
    own_weights: list[Tensor] = []
    heads = own(x, memory if is_cross else None, mask, capture=own_weights)
    close(heads, expected)
    close(own_weights[0], weights)
    close(own(x, memory if is_cross else None, mask), expected)


@variants
@torch.no_grad()
def test_attention_maps(norm: str, activation: str, tied: str) -> None:
    """What torch's attentions say they looked at, inside torch's whole stacks."""
    model = build(norm, activation, tied)
    encoder, decoder = torch_encoder(model), torch_decoder(model)
    seen: dict[str, list[Tensor]] = {"encoder": [], "decoder": [], "cross": []}
    for layer in encoder.layers:
        keep_weights(layer.self_attn, seen["encoder"])
    for layer in decoder.layers:
        keep_weights(layer.self_attn, seen["decoder"])
        keep_weights(layer.multihead_attn, seen["cross"])
    with torch.enable_grad():  # or torch takes its fused way, which passes the attention modules by
        memory = encoder(embed(model.src_embedding.weight, SRC), src_key_padding_mask=IS_PADDING)
        decoder(
            embed(model.tgt_embedding.weight, TGT_IN),
            memory,
            tgt_mask=causal(TGT_IN.shape[1]),
            memory_key_padding_mask=IS_PADDING,
        )
    maps = model.attention_maps(SRC, TGT_IN)
    assert {name: len(weights) for name, weights in seen.items()} == {"encoder": 3, "decoder": 2, "cross": 2}
    for name, expected in seen.items():
        for own, theirs in zip(maps[name], expected, strict=True):
            close(own, theirs)


def keep_weights(attention: nn.MultiheadAttention, kept: list[Tensor]) -> None:
    """Have an attention give its weights, head by head, and write them down."""

    def ask(module: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, object]) -> tuple[object, object]:
        return args, kwargs | {"need_weights": True, "average_attn_weights": False}

    attention.register_forward_pre_hook(ask, with_kwargs=True)
    attention.register_forward_hook(lambda module, args, outputs: kept.append(outputs[1].detach()))

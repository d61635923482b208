import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attnkit.models.config import TransformerConfig
from attnkit.models.layers.attention import MultiHeadAttention
from attnkit.models.transformer import Transformer
from tests.models.cases import PAD, TRANSFORMERS, TransformerCase, small

each_transformer = pytest.mark.parametrize("case", TRANSFORMERS, ids=lambda case: case.name)


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def expected_parameters(config: TransformerConfig, *, src_vocab_size: int, tgt_vocab_size: int) -> int:
    """Counted from the paper's figure 1."""
    width, inner = config.embed_dim, config.mlp_dim
    attention = 4 * (width * width + width)
    mlp = (width * inner + inner) + (inner * width + width)
    norm = 2 * width
    encoder = config.encoder_depth * (attention + mlp + 2 * norm)
    decoder = config.decoder_depth * (2 * attention + mlp + 3 * norm)
    last_norms = 2 * norm if config.norm == "pre" else 0
    tables = 2 * config.max_positions * width if config.positions == "learned" else 0
    rows = {
        "all": tgt_vocab_size,
        "decoder": src_vocab_size + tgt_vocab_size,
        "none": src_vocab_size + 2 * tgt_vocab_size,
    }[config.tied_embeddings]
    return encoder + decoder + last_norms + tables + rows * width


@each_transformer
def test_parameter_count(case: TransformerCase) -> None:
    assert parameters(case.build()) == expected_parameters(
        case.config, src_vocab_size=case.src_vocab_size, tgt_vocab_size=case.tgt_vocab_size
    )


def test_the_formula_gives_the_paper_s_base_model() -> None:
    """The literal of cases.py, the model and this formula are three ways to one number."""
    assert expected_parameters(TransformerConfig(), src_vocab_size=37_000, tgt_vocab_size=37_000) == 63_082_496


def test_tied_matrices_are_one() -> None:
    model = Transformer(small(tied_embeddings="all"), src_vocab_size=11, tgt_vocab_size=11, pad_id=PAD)
    assert model.src_embedding is model.tgt_embedding
    assert model.output_weight is model.tgt_embedding.weight
    model = Transformer(small(tied_embeddings="decoder"), src_vocab_size=7, tgt_vocab_size=11, pad_id=PAD)
    assert model.src_embedding.weight.shape == (7, 10)
    assert model.output_weight is model.tgt_embedding.weight
    model = Transformer(small(tied_embeddings="none"), src_vocab_size=7, tgt_vocab_size=11, pad_id=PAD)
    assert model.output_weight.shape == (11, 10)
    assert model.output_weight is not model.tgt_embedding.weight


def test_two_vocabularies_cannot_share_one_embedding() -> None:
    with pytest.raises(
        ValueError,
        match=r"^tied_embeddings: 'all' shares one vocabulary, but the source has 7 tokens and the target 11; "
        r"expected equal sizes$",
    ):
        Transformer(small(tied_embeddings="all"), src_vocab_size=7, tgt_vocab_size=11, pad_id=PAD)


def test_no_position_sees_a_later_one() -> None:
    model = Transformer(small(), src_vocab_size=29, tgt_vocab_size=29, pad_id=PAD).eval()
    src, tgt_in = torch.tensor([[5, 6, 3]]), torch.tensor([[2, 7, 8, 9, 10]])
    before = model(src, tgt_in)
    tgt_in[0, 3] = 11
    after = model(src, tgt_in)
    assert torch.equal(before[:, :3], after[:, :3])
    assert not torch.allclose(before[:, 3], after[:, 3], atol=1e-3)
    assert not torch.allclose(before[:, 4], after[:, 4], atol=1e-3)


def test_every_source_position_is_seen_by_every_target_position() -> None:
    model = Transformer(small(), src_vocab_size=29, tgt_vocab_size=29, pad_id=PAD).eval()
    src, tgt_in = torch.tensor([[5, 6, 3]]), torch.tensor([[2, 7]])
    before = model(src, tgt_in)
    for place in range(3):
        other = src.clone()
        other[0, place] = 12
        assert ((model(other, tgt_in) - before).abs().amax(dim=2) > 1e-4).all()


def order_matters(positions: str, norm: str) -> bool:
    torch.manual_seed(1)
    model = Transformer(small(positions=positions, norm=norm), src_vocab_size=29, tgt_vocab_size=29, pad_id=PAD).eval()
    tgt_in = torch.tensor([[2, 7]])
    there, back = model(torch.tensor([[5, 6, 3]]), tgt_in), model(torch.tensor([[6, 5, 3]]), tgt_in)
    return not torch.allclose(there, back, atol=1e-4)


@pytest.mark.parametrize("positions", ["sinusoidal", "learned"])
@pytest.mark.parametrize("norm", ["post", "pre"])
def test_the_order_of_the_source_matters(positions: str, norm: str) -> None:
    assert order_matters(positions, norm)


@pytest.mark.parametrize("positions", ["index", "fraction"])
def test_naive_positions_are_seen_where_no_norm_comes_first(positions: str) -> None:
    assert order_matters(positions, "post")


def test_a_learned_table_that_is_too_short() -> None:
    model = Transformer(small(positions="learned", max_positions=4), src_vocab_size=29, tgt_vocab_size=29, pad_id=PAD)
    with pytest.raises(ValueError, match="learned positions: 5 tokens, but the table has 4 rows"):
        model(torch.tensor([[5, 6, 7, 8, 3]]), torch.tensor([[2]]))


# dropout


def test_dropout_is_drawn_from_torch_s_generator_and_ends_with_training() -> None:
    model = Transformer(small(dropout=0.3), src_vocab_size=29, tgt_vocab_size=29, pad_id=PAD)
    src, tgt_in = torch.tensor([[5, 6, 3]]), torch.tensor([[2, 7]])

    def run(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return model(src, tgt_in)

    assert torch.equal(run(1), run(1))
    assert not torch.allclose(run(1), run(2))
    model.eval()
    assert torch.equal(run(1), run(2))


@pytest.mark.parametrize("option", ["dropout", "attention_dropout", "activation_dropout"])
def test_each_dropout_option_drops(option: str) -> None:
    src, tgt_in = torch.tensor([[5, 6, 3]]), torch.tensor([[2, 7]])
    torch.manual_seed(1)
    model = Transformer(small(**{option: 0.3}), src_vocab_size=29, tgt_vocab_size=29, pad_id=PAD)
    plain = model.eval()(src, tgt_in)
    assert not torch.allclose(model.train()(src, tgt_in), plain, atol=1e-3)


def test_dropout_stands_where_the_paper_has_it() -> None:
    """On both embedded inputs and on the output of every sub-layer; elsewhere only if asked for."""
    model = Transformer(
        small(dropout=0.25, attention_dropout=0.125, activation_dropout=0.0625),
        src_vocab_size=29,
        tgt_vocab_size=29,
        pad_id=PAD,
    )
    rates = {name: module.p for name, module in model.named_modules() if hasattr(module, "p")}
    sublayers = 2 * 2 + 3 * 3  # two layers of the encoder, three of the decoder
    assert sorted(rates.values()) == sorted([0.25] * (1 + sublayers) + [0.125] * (2 + 2 * 3) + [0.0625] * (2 + 3))
    assert rates["dropout"] == 0.25
    assert rates["decoder.0.cross_residual.dropout"] == 0.25
    assert rates["encoder.0.self_attention.dropout"] == 0.125
    assert rates["decoder.2.mlp.dropout"] == 0.0625


# the first weights


def fresh(**changes: object) -> Transformer:
    torch.manual_seed(5)
    sizes = {"embed_dim": 60, "num_heads": 3, "mlp_dim": 150, "encoder_depth": 2, "decoder_depth": 3}
    return Transformer(small(**(sizes | changes)), src_vocab_size=700, tgt_vocab_size=700, pad_id=PAD)


@pytest.mark.parametrize("tied", ["all", "decoder", "none"])
def test_embeddings_have_unit_variance_once_they_are_scaled(tied: str) -> None:
    model = fresh(tied_embeddings=tied)
    for embedding in (model.src_embedding, model.tgt_embedding):
        assert embedding.weight[1:].std().item() * math.sqrt(60) == pytest.approx(1.0, rel=0.02)
        assert embedding.weight.mean().item() == pytest.approx(0.0, abs=0.003)
        assert not embedding.weight[PAD].any()
    assert model.output_weight[1:].std().item() * math.sqrt(60) == pytest.approx(1.0, rel=0.02)


def test_learned_positions_are_as_wide_as_the_embeddings() -> None:
    model = fresh(positions="learned", max_positions=500)
    assert model.src_positions.table.std().item() * math.sqrt(60) == pytest.approx(1.0, rel=0.03)
    assert not torch.equal(model.src_positions.table, model.tgt_positions.table)


def matrices(model: Transformer) -> dict[str, Tensor]:
    """Every matrix of the layers; fused ones apart."""
    found = {}
    for name, module in [
        *model.encoder.named_modules(prefix="encoder"),
        *model.decoder.named_modules(prefix="decoder"),
    ]:
        if isinstance(module, nn.Linear):
            pieces = module.weight.split(60) if name.endswith(("qkv", "kv")) else [module.weight]
            found |= {f"{name}.{place}": piece for place, piece in enumerate(pieces)}
    return found


def test_matrices_are_drawn_as_xavier_has_it() -> None:
    """Glorot and Bengio 2010: uniform within sqrt(6 / (inputs + outputs)), for queries, keys and values apart."""
    found = matrices(fresh())
    assert len(found) == 2 * (4 + 2) + 3 * (4 + 4 + 2)
    for name, matrix in found.items():
        bound = math.sqrt(6 / (60 + (150 if "mlp" in name else 60)))
        assert 0.99 * bound < matrix.abs().max().item() <= bound, name
        assert matrix.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05), name
        assert matrix.mean().item() == pytest.approx(0.0, abs=0.05 * bound), name


def test_biases_begin_at_zero_and_norms_at_one() -> None:
    for name, parameter in fresh(norm="pre").named_parameters():
        if name.endswith("bias"):
            assert not parameter.any(), name
        elif "norm" in name:
            assert torch.equal(parameter, torch.ones(60)), name


def test_deep_init_shrinks_what_is_written_to_the_residual_stream() -> None:
    plain, deep = fresh(), fresh(init="deep")
    shrunk = 0
    for (name, before), after in zip(plain.named_parameters(), deep.parameters(), strict=True):
        factor = 1.0
        if name.endswith(("out.weight", "down.weight")):
            factor = math.sqrt(2 * (2 if name.startswith("encoder") else 3))
            shrunk += 1
        torch.testing.assert_close(after * factor, before)
    assert shrunk == 2 * 2 + 3 * 3


# attention maps


@each_transformer
@torch.no_grad()
def test_attention_maps_are_distributions_over_what_may_be_seen(case: TransformerCase) -> None:
    maps = case.build().attention_maps(*case.batch())
    h, S, T = case.config.num_heads, 7, 11
    assert [weights.shape for weights in maps["encoder"]] == [(3, h, S, S)] * 2
    assert [weights.shape for weights in maps["decoder"]] == [(3, h, T, T)] * 3
    assert [weights.shape for weights in maps["cross"]] == [(3, h, T, S)] * 3
    for weights in (*maps["encoder"], *maps["decoder"], *maps["cross"]):
        torch.testing.assert_close(weights.sum(dim=-1), torch.ones(weights.shape[:-1]))
    for weights in (*maps["encoder"], *maps["cross"]):
        for example, length in enumerate(case.src_lengths):
            assert not weights[example, :, :, length:].any()
            assert (weights[example, :, :, :length] > 0).all()
    for weights in maps["decoder"]:
        assert not weights.triu(1).any()


@each_transformer
@torch.no_grad()
def test_the_way_that_keeps_the_maps_gives_the_same_hidden_states(case: TransformerCase) -> None:
    model = case.build()
    src, tgt_in = case.batch()
    memory, src_mask = model.encode(src)
    x = y = model.embed_tgt(tgt_in, src_lengths=torch.tensor(case.src_lengths))
    T = tgt_in.shape[1]
    causal = torch.full((T, T), -math.inf).triu(1)[None, None]
    for layer in model.decoder_layers:
        x = layer(x, memory, causal, src_mask)
        y = layer(y, memory, causal, src_mask, capture_self=[], capture_cross=[])
        torch.testing.assert_close(x, y)
    torch.testing.assert_close(model.decoder_norm(y), model(src, tgt_in))
    captured = model(src, tgt_in, capture={"encoder": [], "cross": []})
    torch.testing.assert_close(captured, model(src, tgt_in), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_maps_are_those_of_the_layers_one_after_the_other() -> None:
    """The second layer's map is computed from the first layer's output, by hand here for the encoder."""
    model = Transformer(small(), src_vocab_size=29, tgt_vocab_size=29, pad_id=PAD).eval()
    src = torch.tensor([[5, 6, 7, 3]])
    x = model.encoder[0](model._embed_src(src), None)
    attention: MultiHeadAttention = model.encoder[1].self_attention
    q, k, _ = F.linear(x, attention.qkv.weight, attention.qkv.bias).split(10, dim=-1)
    q, k = (t.unflatten(-1, (2, 5)).transpose(1, 2) for t in (q, k))
    by_hand = (q @ k.transpose(2, 3) / math.sqrt(5)).softmax(dim=-1)
    torch.testing.assert_close(model.attention_maps(src, torch.tensor([[2]]))["encoder"][1], by_hand)


# precision


def test_bfloat16_autocast_stays_near_float32() -> None:
    model = fresh(norm="pre").eval()
    src, tgt_in = torch.randint(4, 700, (3, 7)), torch.randint(4, 700, (3, 5))
    plain = model(src, tgt_in)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        fast = model(src, tgt_in)
    assert (fast.float() - plain).abs().max() < 0.1
    assert not torch.equal(fast.float(), plain)

"""Translation models exported to CTranslate2, an inference engine in C++ (https://github.com/OpenNMT/CTranslate2).

The folder that is written holds CTranslate2's files and, under `tokenizer/`, the tokenizers of the run. It is kept only
if CTranslate2 gives the same translations from it as attnkit gives from the model.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import torch
from torch import Tensor, nn

from attnkit.decoding.beam import beam_search
from attnkit.decoding.hypothesis import Hypothesis
from attnkit.decoding.length_penalty import power_penalty
from attnkit.decoding.rules import make_rules
from attnkit.errors import AttnkitError, CheckpointError
from attnkit.interop.export_weights import new_output
from attnkit.models.decoder_state import DecoderState
from attnkit.models.transformer import DecoderLayer, EncoderLayer, Transformer
from attnkit.tokenizers.tokenizer import SPECIAL_PIECES, Tokenizer

PAD_PIECE = "<blank>"
"""What CTranslate2 calls the padding."""

_MAX_LENGTH = 1024
"""Where CTranslate2 cuts a source, and so the positions that an export must have."""
_CHECK_BEAM = 4
_CHECK_ALPHA = 0.6
_CHECK_LENGTH = 64
_TOLERANCE = 1e-3
"""On the score of a translation: float32 sums in another order differ by less, a wrong weight by far more."""


def export_ctranslate2(
    model: Transformer,
    src_tokenizer: Tokenizer,
    tgt_tokenizer: Tokenizer,
    folder: Path,
    *,
    check_lines: Sequence[str],
) -> Path:
    """Write a trained model for CTranslate2, in float32; it quantises when it loads.

    Args:
        model: the model, in evaluation mode.
        src_tokenizer: of the source.
        tgt_tokenizer: of the target; the same object for a joint vocabulary.
        folder: a new folder.
        check_lines: source sentences that both translate; the export fails if the translations differ.

    Returns:
        `folder`.

    Raises:
        AttnkitError: ctranslate2 is not installed, or the folder exists.
        CheckpointError: CTranslate2 has no such model, or its translations differ.
    """
    ctranslate2 = _import_ctranslate2()
    with new_output(folder) as partial:
        partial.mkdir()
        build_spec(model, src_tokenizer, tgt_tokenizer).save(str(partial))
        _save_tokenizers(src_tokenizer, tgt_tokenizer, partial / "tokenizer")
        translator = ctranslate2.Translator(str(partial), device="cpu", compute_type="float32")
        _check(model, src_tokenizer, tgt_tokenizer, translator, check_lines)
    return folder


def build_spec(model: Transformer, src_tokenizer: Tokenizer, tgt_tokenizer: Tokenizer) -> Any:
    """The model as a `ctranslate2.specs.TransformerSpec`.

    Raises:
        AttnkitError: ctranslate2 is not installed.
        CheckpointError: CTranslate2 has no such model.
    """
    specs, config = _import_ctranslate2().specs, model.config
    spec = specs.TransformerSpec.from_config(
        (config.encoder_depth, config.decoder_depth),
        config.num_heads,
        pre_norm=config.norm == "pre",
        activation={"relu": specs.Activation.RELU, "gelu": specs.Activation.GELU}[config.activation],
    )
    _set_stack(spec.encoder, spec.encoder.embeddings[0], model.src_embedding, model.src_positions, model)
    _set_stack(spec.decoder, spec.decoder.embeddings, model.tgt_embedding, model.tgt_positions, model)
    for layer_spec, encoder_layer in zip(
        spec.encoder.layer, cast("Iterable[EncoderLayer]", model.encoder), strict=True
    ):
        _set_self_attention(layer_spec.self_attention, encoder_layer)
        _set_mlp(layer_spec.ffn, encoder_layer)
    for layer_spec, decoder_layer in zip(
        spec.decoder.layer, cast("Iterable[DecoderLayer]", model.decoder), strict=True
    ):
        _set_self_attention(layer_spec.self_attention, decoder_layer)
        _set_cross_attention(layer_spec.attention, decoder_layer)
        _set_mlp(layer_spec.ffn, decoder_layer)
    if config.norm == "pre":
        _set_norm(spec.encoder.layer_norm, cast("nn.LayerNorm", model.encoder_norm))
        _set_norm(spec.decoder.layer_norm, cast("nn.LayerNorm", model.decoder_norm))
    spec.decoder.projection.weight = _array(model.output_weight)
    spec.register_source_vocabulary(_vocabulary(src_tokenizer))
    spec.register_target_vocabulary(_vocabulary(tgt_tokenizer))
    spec.config.add_source_eos = True
    spec.config.decoder_start_token = SPECIAL_PIECES[tgt_tokenizer.bos_id]
    spec.validate()
    spec.optimize(quantization=None)
    return spec


def _import_ctranslate2() -> ModuleType:
    try:
        import ctranslate2
    except ImportError as error:
        raise AttnkitError(
            "ctranslate2: not installed; expected it for this export; pip install 'attnkit[ct2]'"
        ) from error
    return ctranslate2


def _set_stack(spec: Any, embeddings: Any, embedding: nn.Embedding, positions: nn.Module, model: Transformer) -> None:
    embeddings.weight = _array(embedding.weight)
    spec.scale_embeddings = True
    spec.position_encodings.encodings = _position_table(positions, model)


def _position_table(positions: nn.Module, model: Transformer) -> Any:
    """The rows that are added to the embeddings, as a table."""
    if model.config.positions == "fraction":
        raise CheckpointError(
            "model.positions: 'fraction' depends on the length of the source, for which CTranslate2 has no table; "
            "expected sinusoidal, learned or index; train with one of these"
        )
    rows = model.config.max_positions if model.config.positions == "learned" else _MAX_LENGTH
    device = model.output_weight.device
    return _array(positions(rows, src_lengths=torch.ones(1, dtype=torch.int64, device=device))[0])


def _set_self_attention(spec: Any, layer: EncoderLayer | DecoderLayer) -> None:
    _set_norm(spec.layer_norm, layer.self_residual.norm)
    _set_linear(spec.linear[0], layer.self_attention.qkv)
    _set_linear(spec.linear[1], layer.self_attention.out)


def _set_cross_attention(spec: Any, layer: DecoderLayer) -> None:
    _set_norm(spec.layer_norm, layer.cross_residual.norm)
    _set_linear(spec.linear[0], layer.cross_attention.q)
    _set_linear(spec.linear[1], layer.cross_attention.kv)
    _set_linear(spec.linear[2], layer.cross_attention.out)


def _set_mlp(spec: Any, layer: EncoderLayer | DecoderLayer) -> None:
    _set_norm(spec.layer_norm, layer.mlp_residual.norm)
    _set_linear(spec.linear_0, layer.mlp.up)
    _set_linear(spec.linear_1, layer.mlp.down)


def _set_linear(spec: Any, linear: nn.Linear) -> None:
    spec.weight, spec.bias = _array(linear.weight), _array(linear.bias)


def _set_norm(spec: Any, norm: nn.LayerNorm) -> None:
    spec.gamma, spec.beta = _array(norm.weight), _array(norm.bias)


def _array(tensor: Tensor) -> Any:
    return tensor.detach().float().cpu().contiguous().numpy()


def _vocabulary(tokenizer: Tokenizer) -> list[str]:
    pieces = tokenizer.pieces(range(tokenizer.vocab_size))
    pieces[tokenizer.pad_id] = PAD_PIECE
    if len(set(pieces)) < len(pieces):
        twice = next(piece for place, piece in enumerate(pieces) if piece in pieces[:place])
        raise CheckpointError(
            f"tokenizer: two of its pieces are {twice!r}, which CTranslate2 cannot tell apart; expected every piece "
            "once; train with another tokenizer"
        )
    return pieces


def _save_tokenizers(src_tokenizer: Tokenizer, tgt_tokenizer: Tokenizer, folder: Path) -> None:
    if src_tokenizer is tgt_tokenizer:
        src_tokenizer.save(folder / "joint")
    else:
        src_tokenizer.save(folder / "src")
        tgt_tokenizer.save(folder / "tgt")


def _check(
    model: Transformer,
    src_tokenizer: Tokenizer,
    tgt_tokenizer: Tokenizer,
    translator: Any,
    lines: Sequence[str],
) -> None:
    """Translate the same lines by both and compare; two translations of practically the same score count as equal."""
    lines = [line for line in lines if src_tokenizer.encode([line])[0]]
    sources = src_tokenizer.encode(lines)
    theirs = translator.translate_batch(
        [src_tokenizer.pieces(ids) for ids in sources],
        beam_size=_CHECK_BEAM,
        length_penalty=_CHECK_ALPHA,
        max_decoding_length=_CHECK_LENGTH,
        min_decoding_length=0,
        return_scores=True,
    )
    for line, own, their in zip(lines, _translate(model, sources, tgt_tokenizer), theirs, strict=True):
        pieces = tgt_tokenizer.pieces(own.tokens)
        if abs(own.score - their.scores[0]) > _TOLERANCE:
            raise CheckpointError(
                f"ctranslate2: translates {line!r} as {' '.join(their.hypotheses[0])!r} with score "
                f"{their.scores[0]:.4f}; expected {' '.join(pieces)!r} with {own.score:.4f}; nothing was written, "
                "please report this"
            )


def _translate(model: Transformer, sources: list[list[int]], tokenizer: Tokenizer) -> list[Hypothesis]:
    if not sources:
        return []
    device = model.output_weight.device
    src = torch.full((len(sources), max(map(len, sources)) + 1), tokenizer.pad_id, device=device)
    for row, ids in zip(src, sources, strict=True):
        row[: len(ids) + 1] = torch.tensor([*ids, tokenizer.eos_id], device=device)
    rules = make_rules(
        max_lengths=torch.full((len(sources),), _CHECK_LENGTH, device=device),
        bos_id=tokenizer.bos_id,
        eos_id=tokenizer.eos_id,
    )
    with torch.inference_mode():
        found = beam_search(
            DecoderState(model, src), rules, beam_size=_CHECK_BEAM, length_penalty=power_penalty(_CHECK_ALPHA)
        )
    return [hypotheses[0] for hypotheses in found]

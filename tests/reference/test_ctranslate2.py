"""attnkit's Transformer and its searches against CTranslate2, an engine that shares no code with them."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from attnkit.decoding.beam import beam_search
from attnkit.decoding.greedy import greedy_search
from attnkit.decoding.hypothesis import Hypothesis
from attnkit.decoding.length_penalty import power_penalty
from attnkit.decoding.rules import make_rules
from attnkit.errors import AttnkitError, CheckpointError
from attnkit.interop.ctranslate2 import build_spec, export_ctranslate2
from attnkit.models.config import TransformerConfig
from attnkit.models.decoder_state import DecoderState
from attnkit.models.transformer import Transformer
from attnkit.tokenizers.build import load_tokenizers
from attnkit.tokenizers.lookup import WhitespaceTokenizer

pytestmark = pytest.mark.peers

SRC = WhitespaceTokenizer([f"s{number}" for number in range(33)])
TGT = WhitespaceTokenizer([f"t{number}" for number in range(25)])
MAX_LENGTH = 17
CASES = {
    "post": {},
    "pre": {"norm": "pre"},
    "post, gelu, learned positions": {"activation": "gelu", "positions": "learned", "max_positions": 23},
    "pre, tied decoder": {"norm": "pre", "tied_embeddings": "decoder"},
    "post, nothing tied, 1+3 layers": {"tied_embeddings": "none", "encoder_depth": 1, "decoder_depth": 3},
    "pre, gelu": {"norm": "pre", "activation": "gelu"},
}


def random_model(**options: Any) -> Transformer:
    sizes = {"embed_dim": 20, "num_heads": 5, "mlp_dim": 28, "encoder_depth": 2, "decoder_depth": 2, "dropout": 0.0}
    config = TransformerConfig(**sizes | options)
    torch.manual_seed(11)
    src_tokenizer = TGT if config.tied_embeddings == "all" else SRC
    model = Transformer(
        config, src_vocab_size=src_tokenizer.vocab_size, tgt_vocab_size=TGT.vocab_size, pad_id=TGT.pad_id
    )
    for name, parameter in model.named_parameters():
        if name.endswith(("norm.weight", "bias")):
            parameter.data += 0.3 * torch.randn_like(parameter)
    return model.eval()


def half_trained_model(**options: Any) -> Transformer:
    """Random weights, and some steps of learning to repeat the source: random ones alone say one word for ever."""
    model = random_model(**options).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(60):
        tokens = torch.randint(4, TGT.vocab_size, (48, 9))
        tokens[torch.arange(9) >= torch.randint(1, 9, (48, 1))] = TGT.eos_id
        logits = model(tokens, torch.cat([torch.full((48, 1), TGT.bos_id), tokens[:, :-1]], 1)) @ model.output_weight.T
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


@dataclass
class Pair:
    """The same weights in both."""

    model: Transformer
    translator: Any
    sources: list[list[int]]

    def src(self, lines: list[list[int]]) -> torch.Tensor:
        src = torch.full((len(lines), max(map(len, lines)) + 1), TGT.pad_id)
        for row, ids in zip(src, lines, strict=True):
            row[: len(ids) + 1] = torch.tensor([*ids, TGT.eos_id])
        return src

    def rules(self, num_lines: int, **options: Any) -> Any:
        return make_rules(
            max_lengths=torch.full((num_lines,), MAX_LENGTH), bos_id=TGT.bos_id, eos_id=TGT.eos_id, **options
        )

    @torch.inference_mode()
    def own(self, beam_size: int, alpha: float, *, lines: list[list[int]] | None = None, n_best: int = 1, **rules: Any):
        lines = self.sources if lines is None else lines
        steps, penalty = DecoderState(self.model, self.src(lines)), power_penalty(alpha)
        if beam_size == 1:
            return greedy_search(steps, self.rules(len(lines), **rules), length_penalty=penalty)
        return beam_search(
            steps, self.rules(len(lines), **rules), beam_size=beam_size, length_penalty=penalty, n_best=n_best
        )

    def theirs(self, beam_size: int, alpha: float, *, n_best: int = 1, **options: Any) -> list[Any]:
        tokenizer = TGT if self.model.config.tied_embeddings == "all" else SRC
        return self.translator.translate_batch(
            [tokenizer.pieces(ids) for ids in self.sources],
            beam_size=beam_size,
            length_penalty=alpha,
            num_hypotheses=n_best,
            max_decoding_length=MAX_LENGTH,
            return_scores=True,
            **{"min_decoding_length": 0} | options,
        )


@pytest.fixture(scope="module", params=CASES)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    ctranslate2 = pytest.importorskip("ctranslate2")
    model = half_trained_model(**CASES[request.param])
    src_tokenizer = TGT if model.config.tied_embeddings == "all" else SRC
    folder = tmp_path_factory.mktemp("ct2")
    build_spec(model, src_tokenizer, TGT).save(str(folder))
    generator = np.random.default_rng(5)
    sources = [generator.integers(4, src_tokenizer.vocab_size, 1 + number % 13).tolist() for number in range(30)]
    return Pair(model, ctranslate2.Translator(str(folder), intra_threads=1), sources)


def agree(own: list[list[Hypothesis]], theirs: list[Any]) -> None:
    assert len(own) == len(theirs)
    for hypotheses, result in zip(own, theirs, strict=True):
        assert [TGT.pieces(hypothesis.tokens) for hypothesis in hypotheses] == result.hypotheses
        assert [hypothesis.score for hypothesis in hypotheses] == pytest.approx(result.scores, abs=1e-5, rel=1e-5)


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("beam_size", [1, 2, 4])
def test_same_translations_and_scores(pair: Pair, beam_size: int, alpha: float) -> None:
    own = pair.own(beam_size, alpha)
    agree(own, pair.theirs(beam_size, alpha))
    lengths = {len(hypotheses[0].tokens) for hypotheses in own}
    assert len(lengths) > 3, "the weights should make it come to different ends"


def test_same_n_best_lists(pair: Pair) -> None:
    agree(pair.own(4, 0.6, n_best=4), pair.theirs(4, 0.6, n_best=4))


def test_same_forced_prefix(pair: Pair) -> None:
    prefixes = [[5 + number % 7, 9][: 1 + number % 2] for number in range(len(pair.sources))]
    theirs = pair.theirs(1, 0.6, target_prefix=[TGT.pieces(prefix) for prefix in prefixes])
    agree(pair.own(1, 0.6, prefixes=prefixes), theirs)


def test_one_line_at_a_time_and_all_at_once(pair: Pair) -> None:
    together = pair.own(4, 0.6)
    for line, expected in zip(pair.sources, together, strict=True):
        [[alone]] = pair.own(4, 0.6, lines=[line])
        assert alone.tokens == expected[0].tokens
        assert alone.score == pytest.approx(expected[0].score, abs=1e-5)


def test_token_log_probs_of_forced_scoring(pair: Pair) -> None:
    tokenizer = TGT if pair.model.config.tied_embeddings == "all" else SRC
    own = [hypotheses[0] for hypotheses in pair.own(4, 0.6)]
    scored = pair.translator.score_batch(
        [tokenizer.pieces(ids) for ids in pair.sources], [TGT.pieces(hypothesis.tokens) for hypothesis in own]
    )
    for hypothesis, result in zip(own, scored, strict=True):
        count = len(hypothesis.token_log_probs)  # theirs always has the end of sentence
        assert hypothesis.token_log_probs == pytest.approx(result.log_probs[:count], abs=5e-5)
        assert hypothesis.log_prob == pytest.approx(sum(result.log_probs[:count]), abs=5e-4)


@torch.inference_mode()
def test_the_naive_index_positions(tmp_path: Path) -> None:
    ctranslate2 = pytest.importorskip("ctranslate2")
    model = random_model(positions="index")
    build_spec(model, TGT, TGT).save(str(tmp_path))
    src, tgt = [5, 9, 7], [6, 8, 5, 11]
    hidden = model(torch.tensor([[*src, TGT.eos_id]]), torch.tensor([[TGT.bos_id, *tgt]]))
    log_probs = (hidden @ model.output_weight.T)[0].log_softmax(1)
    expected = [log_probs[place, token].item() for place, token in enumerate([*tgt, TGT.eos_id])]
    [scored] = ctranslate2.Translator(str(tmp_path)).score_batch([TGT.pieces(src)], [TGT.pieces(tgt)])
    assert scored.log_probs == pytest.approx(expected, abs=5e-5)


def test_export_is_checked_and_complete(tmp_path: Path) -> None:
    ctranslate2 = pytest.importorskip("ctranslate2")
    model = random_model(tied_embeddings="decoder")
    folder = export_ctranslate2(model, SRC, TGT, tmp_path / "out", check_lines=["s3 s1 s4", "", "s1", "s5 s9 s2 s6"])
    assert folder == tmp_path / "out"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    src_tokenizer, tgt_tokenizer = load_tokenizers(folder / "tokenizer")
    assert (src_tokenizer.fingerprint, tgt_tokenizer.fingerprint) == (SRC.fingerprint, TGT.fingerprint)
    result = ctranslate2.Translator(str(folder)).translate_batch([["s3", "s1"]], beam_size=2)
    assert set(result[0].hypotheses[0]) <= set(TGT.pieces(range(TGT.vocab_size)))


def test_wrong_weights_are_found_before_the_folder_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ctranslate2")
    model = random_model()
    wrong = random_model()
    wrong.decoder[1].mlp.down.bias.data[3] += 1.0
    monkeypatch.setattr("attnkit.interop.ctranslate2.build_spec", lambda _, *tokenizers: build_spec(wrong, *tokenizers))
    with pytest.raises(
        CheckpointError, match=r"^ctranslate2: translates 't3 t1' as '.*' with score -.*; expected '.*' with"
    ):
        export_ctranslate2(model, TGT, TGT, tmp_path / "out", check_lines=["t3 t1", "t4"])
    assert list(tmp_path.iterdir()) == []


def test_fraction_positions_have_no_table() -> None:
    pytest.importorskip("ctranslate2")
    with pytest.raises(
        CheckpointError, match=r"^model.positions: 'fraction' depends on .*; expected sinusoidal, learned"
    ):
        build_spec(random_model(positions="fraction"), TGT, TGT)


def test_pieces_must_differ() -> None:
    pytest.importorskip("ctranslate2")
    words = WhitespaceTokenizer([*(f"t{number}" for number in range(24)), "<blank>"])
    with pytest.raises(CheckpointError, match=r"^tokenizer: two of its pieces are '<blank>', which CTranslate2 cannot"):
        build_spec(random_model(), words, words)


def test_an_existing_folder_is_left_alone(tmp_path: Path) -> None:
    pytest.importorskip("ctranslate2")
    with pytest.raises(AttnkitError, match=r"exists already; expected the name of a new file or folder; name another"):
        export_ctranslate2(random_model(), TGT, TGT, tmp_path, check_lines=[])


def test_without_the_extra_one_line_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ctranslate2", None)
    with pytest.raises(AttnkitError, match=r"^ctranslate2: not installed; .*; pip install 'attnkit\[ct2\]'$"):
        export_ctranslate2(random_model(), TGT, TGT, tmp_path / "out", check_lines=[])

"""Decoding token by token, against the whole forward pass at every position."""

from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from attnkit.models.decoder_state import DecoderState
from attnkit.models.transformer import Transformer
from tests.models.cases import BOS, EOS, PAD, TRANSFORMERS, TransformerCase, small

each_transformer = pytest.mark.parametrize("case", TRANSFORMERS, ids=lambda case: case.name)


class Decoding:
    """A decoding of hypotheses that are chosen at random, with every token written down."""

    def __init__(self, case: TransformerCase, *, seed: int) -> None:
        self.model = case.build()
        self.vocab_size = case.tgt_vocab_size
        self.random = random.Random(seed)
        self.src = case.batch()[0]
        self.state = DecoderState(self.model, self.src)
        self.histories: list[list[list[int]]] = [[[]] for _ in self.src]

    def step(self) -> None:
        """Feed random tokens (the begin of sentence first) and compare what comes out."""
        tokens = [
            [self.random.randrange(EOS + 1, self.vocab_size) if history else BOS for history in row]
            for row in self.histories
        ]
        self.histories = [
            [[*history, token] for history, token in zip(*pair, strict=True)]
            for pair in zip(self.histories, tokens, strict=True)
        ]
        logits = self.state.step(torch.tensor(tokens))
        assert logits.dtype == torch.float32
        torch.testing.assert_close(logits, self.expected(), rtol=1e-4, atol=1e-5)

    def expected(self) -> Tensor:
        """The last logits of each hypothesis, without any cache: (B, k, V)."""
        beams = len(self.histories[0])
        tgt_in = torch.tensor([history for row in self.histories for history in row])
        hidden = self.model(self.src.repeat_interleave(beams, dim=0), tgt_in)[:, -1]
        return F.linear(hidden, self.model.output_weight).view(len(self.src), beams, -1)

    def reorder(self, *, beams: int, leaving: int = 0) -> None:
        """Let sentences leave, and continue random hypotheses of the others, some of them twice and some not at all."""
        stay = sorted(self.random.sample(range(len(self.src)), len(self.src) - leaving))
        chosen = [[self.random.randrange(len(self.histories[0])) for _ in range(beams)] for _ in stay]
        self.state.reorder(torch.tensor(stay), torch.tensor(chosen))
        self.src = self.src[stay]
        self.histories = [
            [self.histories[sentence][beam] for beam in row] for sentence, row in zip(stay, chosen, strict=True)
        ]


@each_transformer
@torch.no_grad()
def test_one_hypothesis_each(case: TransformerCase) -> None:
    decoding = Decoding(case, seed=1)
    for _ in range(7):
        decoding.step()


@each_transformer
@torch.no_grad()
def test_hypotheses_are_reordered_at_random(case: TransformerCase) -> None:
    decoding = Decoding(case, seed=2)
    decoding.step()
    for _ in range(6):
        decoding.reorder(beams=5)
        decoding.step()


@each_transformer
@torch.no_grad()
def test_sentences_leave_one_by_one(case: TransformerCase) -> None:
    decoding = Decoding(case, seed=3)
    decoding.step()
    for leaving in (0, 1, 0, 1, 0):
        decoding.reorder(beams=3, leaving=leaving)
        decoding.step()
    assert len(decoding.src) == 1


@pytest.mark.parametrize("norm", ["post", "pre"])
@torch.no_grad()
def test_the_number_of_hypotheses_may_change(norm: str) -> None:
    """As when finished ones leave the beam."""
    decoding = Decoding(TransformerCase("", small(norm=norm)), seed=4)
    decoding.step()
    for beams, leaving in ((4, 0), (7, 0), (2, 1), (1, 0), (3, 0)):
        decoding.reorder(beams=beams, leaving=leaving)
        decoding.step()


@pytest.mark.parametrize("beams", [1, 3])
@torch.no_grad()
def test_the_cache_grows(beams: int) -> None:
    """Its first capacity is 16 steps at most: 40 make it grow, more than once where the beam widens after the first."""
    decoding = Decoding(TransformerCase("", small(positions="learned", max_positions=40)), seed=5)
    decoding.step()
    first_capacity = decoding.state._cache[0][0].shape[2]
    for step in range(39):
        decoding.reorder(beams=beams, leaving=step == 20)
        decoding.step()
    assert decoding.state._cache[0][0].shape[2] > first_capacity


@torch.no_grad()
def test_no_reorder_means_that_every_hypothesis_goes_on() -> None:
    decoding = Decoding(TransformerCase("", small()), seed=6)
    decoding.step()
    decoding.reorder(beams=3)
    for _ in range(4):
        decoding.step()


@torch.no_grad()
def test_a_reorder_before_the_first_step() -> None:
    decoding = Decoding(TransformerCase("", small()), seed=7)
    decoding.reorder(beams=2, leaving=1)
    decoding.step()
    decoding.step()


@torch.no_grad()
def test_tokens_may_be_a_view() -> None:
    """A search takes columns out of larger tensors."""
    case = TransformerCase("", small())
    model, src = case.build(), case.batch()[0]
    tokens = torch.tensor([[17, 1, 18], [19, 1, 20], [21, 1, 22]])[:, ::2]

    def second_logits(tokens: Tensor) -> Tensor:
        state = DecoderState(model, src)
        state.step(torch.full((3, 1), BOS))
        state.reorder(torch.arange(3), torch.zeros(3, 2, dtype=torch.int64))
        return state.step(tokens)

    assert torch.equal(second_logits(tokens), second_logits(tokens.contiguous()))


@torch.no_grad()
def test_logits_do_not_depend_on_the_sentences_beside() -> None:
    model = Transformer(small(), src_vocab_size=29, tgt_vocab_size=29, pad_id=PAD).eval()
    short, long = torch.tensor([[7, 8, EOS]]), torch.tensor([[9, 10, 11, 12, 13, EOS]])
    together = DecoderState(model, torch.cat([F.pad(short, (0, 3), value=PAD), long]))
    alone = DecoderState(model, short)
    for token in (BOS, 17, 18):
        both = together.step(torch.full((2, 1), token))
        torch.testing.assert_close(both[:1], alone.step(torch.full((1, 1), token)), rtol=1e-4, atol=1e-5)


def bfloat16_decoding(model: Transformer, src: Tensor) -> tuple[DecoderState, list[Tensor]]:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        state = DecoderState(model, src)
        return state, [state.step(torch.full((2, 1), token)) for token in (BOS, 17, 18)]


@torch.no_grad()
def test_bfloat16_autocast_stays_near_float32() -> None:
    """What validation does where the training is in bfloat16."""
    model = Transformer(small(norm="pre"), src_vocab_size=29, tgt_vocab_size=29, pad_id=PAD).eval()
    src = torch.tensor([[7, 8, EOS], [9, EOS, PAD]])
    state, fast = bfloat16_decoding(model, src)
    assert state._cache[0][0].dtype == torch.bfloat16
    plain = DecoderState(model, src)
    for token, logits in zip((BOS, 17, 18), fast, strict=True):
        assert logits.dtype == torch.float32
        assert (logits - plain.step(torch.full((2, 1), token))).abs().max() < 0.05

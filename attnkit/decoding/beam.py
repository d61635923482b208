"""Beam search.

The rule, for each sentence on its own, whatever else is in the batch: of all continuations of the k live hypotheses
take the 2k best. An end of sentence among the first k finishes a hypothesis; the k best others live on. Stop when k
hypotheses are finished, or at the maximum length, where the first k are taken as they are. This is the search of
fairseq and CTranslate2: taking only k candidates would lose a beam with every end of sentence.

Legend: B sentences, B' those that are still searched, k beams, V vocabulary.
"""

from dataclasses import dataclass
from itertools import count
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from attnkit.decoding.hypothesis import Hypothesis
from attnkit.decoding.length_penalty import LengthPenalty
from attnkit.decoding.rules import Rules
from attnkit.decoding.steps import DecoderSteps, IntArray, close_gaps
from attnkit.decoding.top_tokens import FloatArray, to_log_probs, top_tokens


def beam_search(
    steps: DecoderSteps, rules: Rules, *, beam_size: int, length_penalty: LengthPenalty, n_best: int = 1
) -> list[list[Hypothesis]]:
    """Search for the outputs with the highest log-probability over length penalty.

    Equal candidates are taken in the order of their beams, then of their token ids.

    Args:
        steps: the decoder of B sentences, at its start.
        n_best: at most `beam_size`.

    Returns:
        For each of the B sentences its best hypotheses, best first: `n_best` of them, or fewer if there are no more.

    Raises:
        ValueError: `n_best` is out of its range.
        CheckpointError: the model's output is not a number.
    """
    if not 1 <= n_best <= beam_size:
        raise ValueError(f"n_best: {n_best} is not between 1 and beam_size, {beam_size}")
    return _BeamSearch(steps, rules, beam_size, length_penalty, n_best).run()


class _Candidates(NamedTuple):
    """Continuations of the live hypotheses of B' sentences, best first; all (B', at most 2k)."""

    log_probs: FloatArray
    """Of the whole hypothesis; minus infinity where there is none."""
    beams: IntArray
    """Which live hypothesis is continued."""
    tokens: IntArray
    token_log_probs: FloatArray

    def take(self, places: IntArray) -> "_Candidates":
        """Those at `places` (B', n) of each sentence."""
        log_probs, beams, tokens, token_log_probs = self
        return _Candidates(
            np.take_along_axis(log_probs, places, 1),
            np.take_along_axis(beams, places, 1),
            np.take_along_axis(tokens, places, 1),
            np.take_along_axis(token_log_probs, places, 1),
        )

    def of(self, rows: IntArray) -> "_Candidates":
        """Those of some of the sentences."""
        return _Candidates(self.log_probs[rows], self.beams[rows], self.tokens[rows], self.token_log_probs[rows])


@dataclass(frozen=True, slots=True)
class _Ending:
    """A hypothesis that has come to its end in step `step`, by the end of sentence or by the maximum length."""

    score: float
    log_prob: float
    step: int
    beam: int
    token: int
    token_log_prob: float


class _BeamSearch:
    def __init__(
        self, steps: DecoderSteps, rules: Rules, beam_size: int, length_penalty: LengthPenalty, n_best: int
    ) -> None:
        self.steps, self.rules, self.beam_size, self.n_best = steps, rules, beam_size, n_best
        self.penalty = length_penalty
        self.alive = np.arange(rules.num_sentences)  # (B',) the sentences that are still searched
        self.live = np.zeros((rules.num_sentences, 1), np.float32)  # (B', k) log-probability of each live hypothesis
        self.endings: list[list[_Ending]] = [[] for _ in self.alive]
        self.trellis: list[
            tuple[IntArray, _Candidates]
        ] = []  # step by step, the row of each sentence and what lived on

    def run(self) -> list[list[Hypothesis]]:
        tokens = self.rules.start()
        for step in count():
            if not len(self.alive):
                break
            candidates = self.candidates(self.steps.step(tokens), step)
            self.collect_endings(candidates, step)
            tokens = self.go_on(candidates, step)
        return [[self.hypothesis(sentence, ending) for ending in self.best(sentence)] for sentence in self.all()]

    def candidates(self, logits: Tensor, step: int) -> _Candidates:
        """The 2k best continuations of each sentence."""
        log_probs = to_log_probs(logits)  # (B' k, V)
        self.rules.forbid(log_probs, step)
        # A hypothesis cannot place more than 2k of its continuations among the best 2k of all.
        values, ids = top_tokens(log_probs, 2 * self.beam_size)
        width = values.shape[1]
        values, ids = values.reshape(len(self.alive), -1), ids.reshape(len(self.alive), -1)  # (B', k width)
        totals = np.repeat(self.live, width, axis=1) + values
        beams = np.broadcast_to(np.arange(totals.shape[1]) // width, totals.shape)
        order = np.argsort(-totals, axis=1, kind="stable")[:, : 2 * self.beam_size]
        best = _Candidates(totals, beams, ids, values).take(order)
        self.force(best, step)
        return best

    def force(self, best: _Candidates, step: int) -> None:
        """Where a prefix says what comes, put it first, and let nothing else live."""
        forced = self.rules.forced(self.alive, step)
        rows = forced >= 0
        best.log_probs[rows] = -np.inf
        best.log_probs[rows, 0] = 0.0
        best.beams[rows, 0] = 0
        best.tokens[rows, 0] = forced[rows]
        best.token_log_probs[rows, 0] = 0.0

    def collect_endings(self, candidates: _Candidates, step: int) -> None:
        """Finish what ends among the first k candidates, and all of these at the maximum length."""
        log_probs, beams, tokens, token_log_probs = (array[:, : self.beam_size] for array in candidates)
        at_limit = (self.rules.limits[self.alive] == step + 1)[:, None]
        ends = ((tokens == self.rules.eos_id) | at_limit) & (log_probs > -np.inf)
        penalty = self.penalty(step + 1)
        for row, place in zip(*(indices.tolist() for indices in np.nonzero(ends)), strict=True):
            log_prob = float(log_probs[row, place])
            ending = _Ending(
                score=log_prob / penalty,
                log_prob=log_prob,
                step=step,
                beam=int(beams[row, place]),
                token=int(tokens[row, place]),
                token_log_prob=float(token_log_probs[row, place]),
            )
            self.endings[self.alive[row]].append(ending)

    def go_on(self, candidates: _Candidates, step: int) -> Tensor:
        """Keep the k best candidates that do not end, of the sentences that are not done; (B', k) what they feed."""
        ended = candidates.tokens == self.rules.eos_id
        candidates.log_probs[ended] = -np.inf
        live = candidates.take(np.argsort(ended, axis=1, kind="stable")[:, : self.beam_size])
        num_endings = np.array([len(self.endings[sentence]) for sentence in self.alive])
        stays = (num_endings < self.beam_size) & (self.rules.limits[self.alive] > step + 1)
        stays &= (live.log_probs > -np.inf).any(1)
        rows = close_gaps(stays)
        live = live.of(rows)
        self.alive, self.live = self.alive[rows], live.log_probs
        row_of = np.full(self.rules.num_sentences, -1)
        row_of[self.alive] = np.arange(len(rows))
        self.trellis.append((row_of, live))
        if len(rows):
            self.steps.reorder(self.to_device(rows), self.to_device(live.beams))
        return self.to_device(live.tokens)

    def to_device(self, array: IntArray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.rules.device)

    def all(self) -> range:
        return range(self.rules.num_sentences)

    def best(self, sentence: int) -> list[_Ending]:
        return sorted(self.endings[sentence], key=lambda ending: -ending.score)[: self.n_best]

    def hypothesis(self, sentence: int, ending: _Ending) -> Hypothesis:
        """Follow a hypothesis back from its end to its beginning."""
        tokens, log_probs, beam = [ending.token], [ending.token_log_prob], ending.beam
        for row_of, live in reversed(self.trellis[: ending.step]):
            place = row_of[sentence], beam
            tokens.append(int(live.tokens[place]))
            log_probs.append(float(live.token_log_probs[place]))
            beam = int(live.beams[place])
        tokens.reverse()
        log_probs.reverse()
        finished = ending.token == self.rules.eos_id
        return Hypothesis(
            tokens=tokens[:-1] if finished else tokens,
            score=ending.score,
            log_prob=ending.log_prob,
            token_log_probs=log_probs,
            finished=finished,
        )

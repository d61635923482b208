"""Decoding without search: each hypothesis takes one token per step and never looks back.

Legend: B sentences, B' those that are still decoded, p paths for each, V vocabulary.
"""

from collections.abc import Callable
from itertools import count

import numpy as np
import torch
from torch import Tensor

from attnkit.decoding.hypothesis import Hypothesis
from attnkit.decoding.length_penalty import LengthPenalty
from attnkit.decoding.rules import Rules
from attnkit.decoding.steps import DecoderSteps, IntArray, close_gaps
from attnkit.decoding.top_tokens import FloatArray, refuse_nan, to_log_probs

Pick = Callable[[Tensor, IntArray, int], Tensor]
"""From log-probabilities (B', p, V), the numbers of the B' sentences and the step to the tokens to take, (B', p)."""


def follow_paths(
    steps: DecoderSteps, rules: Rules, pick: Pick, *, num_paths: int, length_penalty: LengthPenalty
) -> list[list[Hypothesis]]:
    """Decode `num_paths` hypotheses for each sentence, token by token; a sentence leaves when all of its have ended.

    Returns:
        For each sentence its hypotheses, best score first.
    """
    return _Paths(steps, rules, pick, num_paths, length_penalty).run()


class _Paths:
    def __init__(
        self, steps: DecoderSteps, rules: Rules, pick: Pick, num_paths: int, length_penalty: LengthPenalty
    ) -> None:
        self.steps, self.rules, self.pick, self.penalty = steps, rules, pick, length_penalty
        self.num_paths = num_paths
        self.alive = np.arange(rules.num_sentences)  # (B',)
        self.lengths = np.zeros(
            (rules.num_sentences, num_paths), np.int64
        )  # end of sentence counted; 0 while it goes on
        self.history: list[tuple[IntArray, FloatArray]] = []  # step by step, (B, p) tokens and their log-probabilities

    def run(self) -> list[list[Hypothesis]]:
        tokens = self.rules.start()
        for step in count():
            if not len(self.alive):
                break
            chosen, log_probs = self.choose(self.steps.step(tokens), step)
            self.remember(chosen, log_probs)
            tokens = self.go_on(chosen, step)
        return [self.hypotheses(sentence) for sentence in range(self.rules.num_sentences)]

    def choose(self, logits: Tensor, step: int) -> tuple[IntArray, FloatArray]:
        """The next token of every path, and its log-probability, both (B', p)."""
        log_probs = to_log_probs(logits)
        self.rules.forbid(log_probs, step)
        log_probs = log_probs.unflatten(0, (len(self.alive), -1)).expand(-1, self.num_paths, -1)  # (B', p, V)
        tokens = self.pick(log_probs, self.alive, step)
        taken = log_probs.gather(2, tokens[..., None])[..., 0].cpu().numpy()
        refuse_nan(taken)
        forced = self.rules.forced(self.alive, step)[:, None]
        return np.where(forced >= 0, forced, tokens.cpu().numpy()), np.where(forced >= 0, np.float32(0), taken)

    def remember(self, chosen: IntArray, log_probs: FloatArray) -> None:
        """Note this step, under the numbers that the sentences have in the batch."""
        tokens, token_log_probs = np.zeros_like(self.lengths), np.zeros(self.lengths.shape, np.float32)
        tokens[self.alive], token_log_probs[self.alive] = chosen, log_probs
        self.history.append((tokens, token_log_probs))

    def go_on(self, chosen: IntArray, step: int) -> Tensor:
        """Let the sentences leave whose paths have all ended; (B', p) what the others feed."""
        at_limit = (self.rules.limits[self.alive] == step + 1)[:, None]
        ends = ((chosen == self.rules.eos_id) | at_limit) & (self.lengths[self.alive] == 0)
        self.lengths[self.alive] += ends * (step + 1)
        rows = close_gaps((self.lengths[self.alive] == 0).any(1))
        if len(rows) and (len(rows) < len(self.alive) or (step == 0 and self.num_paths > 1)):
            beams = np.zeros(self.num_paths, np.int64) if step == 0 else np.arange(self.num_paths)
            self.steps.reorder(self.to_device(rows), self.to_device(np.tile(beams, (len(rows), 1))))
        self.alive = self.alive[rows]
        return self.to_device(chosen[rows])

    def to_device(self, array: IntArray) -> Tensor:
        return torch.from_numpy(array).to(self.rules.device)

    def hypotheses(self, sentence: int) -> list[Hypothesis]:
        found = [self.hypothesis(sentence, path) for path in range(self.num_paths)]
        return sorted(found, key=lambda hypothesis: -hypothesis.score)

    def hypothesis(self, sentence: int, path: int) -> Hypothesis:
        steps = self.history[: self.lengths[sentence, path]]
        tokens = [int(chosen[sentence, path]) for chosen, _ in steps]
        log_probs = [float(taken[sentence, path]) for _, taken in steps]
        log_prob = float(np.sum(log_probs, dtype=np.float32))
        finished = tokens[-1] == self.rules.eos_id
        return Hypothesis(
            tokens=tokens[:-1] if finished else tokens,
            score=log_prob / self.penalty(len(tokens)),
            log_prob=log_prob,
            token_log_probs=log_probs,
            finished=finished,
        )

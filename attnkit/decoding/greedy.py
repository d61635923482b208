"""Greedy decoding: always the likeliest token."""

from torch import Tensor

from attnkit.decoding.hypothesis import Hypothesis
from attnkit.decoding.length_penalty import LengthPenalty, no_penalty
from attnkit.decoding.paths import follow_paths
from attnkit.decoding.rules import Rules
from attnkit.decoding.steps import DecoderSteps, IntArray


def greedy_search(
    steps: DecoderSteps, rules: Rules, *, length_penalty: LengthPenalty = no_penalty
) -> list[list[Hypothesis]]:
    """Take the likeliest token until the end of sentence; of equal ones the lowest id. The same as a beam of 1.

    Args:
        steps: the decoder of B sentences, at its start.
        length_penalty: changes only the score that is reported.

    Returns:
        For each of the B sentences a list of one hypothesis.

    Raises:
        CheckpointError: the model's output is not a number.
    """
    return follow_paths(steps, rules, _likeliest, num_paths=1, length_penalty=length_penalty)


def _likeliest(log_probs: Tensor, sentences: IntArray, step: int) -> Tensor:
    return log_probs.argmax(-1)

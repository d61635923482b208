"""What a search returns."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One output for one sentence."""

    tokens: list[int]
    """Without begin and end of sentence; a forced prefix is included."""
    score: float
    """log_prob divided by the length penalty: what hypotheses are ranked by."""
    log_prob: float
    """Natural logarithm of the model's probability of what was not forced, end of sentence included."""
    token_log_probs: list[float]
    """One for each token, 0 for forced ones, and one more for the end of sentence where the hypothesis has it."""
    finished: bool
    """Whether it came to its end of sentence; otherwise it was cut at the maximum length."""

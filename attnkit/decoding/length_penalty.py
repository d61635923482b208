"""What a hypothesis' log-probability is divided by, so that long ones are not at a disadvantage.

L counts the end of sentence. The two forms are not interchangeable at the same alpha: from L = 10 to L = 20, `gnmt`
with 0.6 grows by the factor 1.36 and `power` with 0.6 by 1.52.
"""

from collections.abc import Callable

LengthPenalty = Callable[[int], float]
"""From a length L >= 1 to a divisor above zero that does not fall as L grows."""


def gnmt_penalty(alpha: float) -> LengthPenalty:
    """((5 + L) / 6) ** alpha.

    Source: Wu et al. 2016, arXiv:1609.08144, equation 14; the Transformer paper uses alpha = 0.6.
    """
    return lambda length: float(((5 + length) / 6) ** alpha)


def power_penalty(alpha: float) -> LengthPenalty:
    """L ** alpha, as in fairseq, Marian and CTranslate2; alpha = 1 ranks by the mean log-probability of a token."""
    return lambda length: float(length**alpha)


def no_penalty(length: int) -> float:
    """1, whatever the length: hypotheses are ranked by their probability."""
    return 1.0

"""A few of the many boxes for the loss to look at, so that the negatives do not drown the positives (Girshick 2015,
arXiv:1504.08083).

Letters: R boxes, P positives, Q negatives.
"""

import torch
from jaxtyping import Int64
from torch import Tensor

from attnkit.models.rcnn.matching import NEGATIVE


def sample(
    matches: Int64[Tensor, "R"], *, count: int, positive: float
) -> tuple[Int64[Tensor, "P"], Int64[Tensor, "Q"]]:
    """Numbers of positive and of negative boxes, drawn by torch's global generator.

    Args:
        matches: the object of each box, see matching.py.
        count: of boxes, or all if there are fewer.
        positive: the largest share of positives; negatives make up for what is missing.
    """
    positives = _some((matches >= 0).nonzero()[:, 0], int(count * positive))
    negatives = _some((matches == NEGATIVE).nonzero()[:, 0], count - len(positives))
    return positives, negatives


def _some(numbers: Tensor, count: int) -> Tensor:
    return numbers[torch.randperm(len(numbers), device=numbers.device)[:count]]

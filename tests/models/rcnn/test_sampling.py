import torch
from torch import Tensor

from attnkit.models.rcnn.matching import BETWEEN, NEGATIVE
from attnkit.models.rcnn.sampling import sample

MATCHES = torch.tensor([NEGATIVE] * 40 + [BETWEEN] * 20 + [0, 3, 1, 2, 0] * 4)
"""40 negatives, and 20 positives from number 60 on."""


def drawn(matches: Tensor, **options: float) -> tuple[list[int], list[int]]:
    torch.manual_seed(1)
    positives, negatives = sample(matches, **options)
    return positives.tolist(), negatives.tolist()


def test_at_most_that_share_is_positive() -> None:
    positives, negatives = drawn(MATCHES, count=20, positive=0.25)
    assert (len(positives), len(negatives)) == (5, 15)
    assert len(set(positives)) == 5
    assert len(set(negatives)) == 15
    assert set(positives) <= set(range(60, 80))
    assert set(negatives) <= set(range(40))


def test_negatives_make_up_for_missing_positives() -> None:
    positives, negatives = drawn(MATCHES[:62], count=20, positive=0.5)
    assert sorted(positives) == [60, 61]
    assert len(negatives) == 18


def test_positives_do_not_make_up_for_missing_negatives() -> None:
    positives, negatives = drawn(MATCHES[38:], count=20, positive=0.5)
    assert (len(positives), sorted(negatives)) == (10, [0, 1])


def test_none_at_all() -> None:
    assert drawn(MATCHES[40:60], count=20, positive=0.5) == ([], [])
    assert drawn(MATCHES[:0], count=20, positive=0.5) == ([], [])


def test_the_seed_decides_and_all_are_drawn_in_time() -> None:
    assert drawn(MATCHES, count=20, positive=0.25) == drawn(MATCHES, count=20, positive=0.25)
    seen: set[int] = set()
    for _ in range(60):
        positives, negatives = sample(MATCHES, count=20, positive=0.25)
        seen |= {*positives.tolist(), *negatives.tolist()}
    assert seen == {*range(40), *range(60, 80)}

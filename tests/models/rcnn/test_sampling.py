"""Matching and sampling of boxes."""

import pytest
import torch
from torch import Tensor
from torchvision.ops import box_iou

from attnkit.models.rcnn.sampling import BETWEEN, NEGATIVE, match, match_pairs, sample, sample_proposals
from tests.models.rcnn.nano import of_boxes

OBJECTS = torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10]])


def rows(*widths: float, left: float = 0.0) -> Tensor:
    """Boxes 10 high that begin where an object does: their IoU with it is their width / 10, or 10 / width."""
    return torch.tensor([[left, 0.0, left + width, 10.0] for width in widths])


def test_the_overlap_decides() -> None:
    boxes = torch.cat([rows(8, 5, 2), rows(7.5, left=20.0)])
    assert match(boxes, OBJECTS, positive=0.7, negative=0.3).tolist() == [0, BETWEEN, NEGATIVE, 1]
    assert match(boxes, OBJECTS, positive=0.5, negative=0.5).tolist() == [0, 0, NEGATIVE, 1]


def test_both_thresholds_belong_to_what_is_above() -> None:
    """Widths of 16 and 4 to 8: IoU of exactly 1/2 and 1/4."""
    objects = torch.tensor([[0.0, 0, 8, 8]])
    boxes = torch.tensor([[0.0, 0, 8, 4], [0, 0, 8, 2], [0, 0, 4, 3.9]])
    assert match(boxes, objects, positive=0.5, negative=0.25).tolist() == [0, BETWEEN, NEGATIVE]


def test_the_best_of_an_object_may_be_low() -> None:
    """Both boxes of 4 of the first object, equally good; the second one's best is under 0.3, so it has none."""
    boxes = torch.cat([rows(4, 3.5, 4), rows(2.5, left=20.0)])
    low = match(boxes, OBJECTS, positive=0.7, negative=0.3, low_quality=0.3)
    assert low.tolist() == [0, BETWEEN, 0, NEGATIVE]
    assert match(boxes, OBJECTS, positive=0.7, negative=0.3).tolist() == [BETWEEN, BETWEEN, BETWEEN, NEGATIVE]
    lower = match(boxes, OBJECTS, positive=0.7, negative=0.3, low_quality=0.2)
    assert lower.tolist() == [0, BETWEEN, 0, 1]


def test_an_object_takes_its_best_from_another() -> None:
    """The only box overlaps the first by 0.8 and the second by 0.5, and is the best that the second has."""
    objects = torch.tensor([[0.0, 0, 10, 10], [0, 0, 4, 10]])
    boxes = rows(8)
    assert match(boxes, objects, positive=0.7, negative=0.3).tolist() == [0]
    assert match(boxes, objects, positive=0.7, negative=0.3, low_quality=0.3).tolist() == [1]


def test_of_two_equal_objects_the_first_has_the_box() -> None:
    twice = OBJECTS[[1, 0, 0]]
    assert match(rows(8), twice, positive=0.7, negative=0.3).tolist() == [1]
    assert match(rows(8), twice, positive=0.7, negative=0.3, low_quality=0.3).tolist() == [2]


@pytest.mark.parametrize("low_quality", [None, 0.3])
def test_no_objects_and_no_boxes(low_quality: float | None) -> None:
    none = torch.zeros(0, 4)
    options = {"positive": 0.7, "negative": 0.3, "low_quality": low_quality}
    assert match(rows(1, 2), none, **options).tolist() == [NEGATIVE, NEGATIVE]
    assert match(none, OBJECTS, **options).tolist() == []


def test_a_box_without_area_is_of_nothing() -> None:
    point = torch.tensor([[3.0, 3, 3, 3]])
    assert match(point, torch.cat([OBJECTS, point]), positive=0.5, negative=0.5).tolist() == [NEGATIVE]


def written_out(ious: Tensor, *, positive: float, negative: float, low_quality: float | None) -> list[int]:
    """As mmdetection's MaxIoUAssigner goes, box by box and object by object."""
    found = []
    for row in ious.tolist():
        best = max(row)
        found.append(row.index(best) if best >= positive else NEGATIVE if best < negative else BETWEEN)
    for of, column in enumerate(ious.T.tolist() if low_quality is not None else []):
        for box, value in enumerate(column):
            if value == max(column) and max(column) >= low_quality:
                found[box] = of
    return found


@pytest.mark.parametrize("low_quality", [None, 0.2, 0.3, 0.5])
def test_as_mmdetection_goes(low_quality: float | None) -> None:
    torch.manual_seed(1)
    corners = torch.randint(0, 12, (300, 2)).float()
    boxes = torch.cat([corners, corners + torch.randint(1, 9, (300, 2))], dim=1)  # of whole pixels: many ties
    boxes, objects = boxes[:280], boxes[280:]
    options = {"positive": 0.6, "negative": 0.3, "low_quality": low_quality}
    expected = written_out(box_iou(boxes, objects), **options)
    assert match(boxes, objects, **options).tolist() == expected
    assert len(set(expected)) > 12
    pairs = torch.cartesian_prod(torch.arange(280), torch.arange(20)).unbind(1)
    assert match_pairs(boxes, objects, pairs, **options).tolist() == expected
    assert match_pairs(boxes, objects, (pairs[0].flip(0), pairs[1].flip(0)), **options).tolist() == expected


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


K = 7
KNOWN = of_boxes(torch.tensor([[0.0, 0, 10, 10], [20, 0, 40, 20]]), torch.tensor([5, 3]), (50, 60))
PROPOSALS = torch.tensor([[0.0, 0, 10, 12], [20, 0, 40, 13], [40, 40, 50, 50], [0, 0, 5, 5], [50, 0, 60, 10]])
"""IoU 10/12 with the first object, 13/20 with the second; nothing; 1/4; nothing."""


def sampled(*, iou_threshold: float = 0.6, count: int = 100):
    torch.manual_seed(1)
    return sample_proposals(PROPOSALS, KNOWN, iou_threshold=iou_threshold, count=count, background=K)


def proposal_rows(regions) -> set[tuple[tuple[float, ...], int, bool]]:
    return {
        (tuple(box), label, given)
        for box, label, given in zip(
            regions.boxes.tolist(), regions.labels.tolist(), regions.is_gt.tolist(), strict=True
        )
    }


def test_objects_are_regions_too() -> None:
    regions = sampled()
    first, second = (tuple(box) for box in KNOWN.boxes.tolist())
    close, near, *others = (tuple(box) for box in PROPOSALS.tolist())
    assert proposal_rows(regions) == {
        (first, 5, True),
        (second, 3, True),
        (close, 5, False),
        (near, 3, False),
        *((box, K, False) for box in others),
    }


def test_those_on_objects_come_first_and_know_which() -> None:
    regions = sampled()
    assert (regions.labels[:4] < K).all()
    assert (regions.labels[4:] == K).all()
    assert torch.equal(KNOWN.labels[regions.objects], regions.labels[:4])


def test_the_threshold() -> None:
    assert (sampled(iou_threshold=0.7).labels < K).sum() == 3
    assert (sampled(iou_threshold=0.25).labels < K).sum() == 5


def test_a_quarter_is_on_objects() -> None:
    regions = sampled(count=4)
    assert regions.labels.lt(K).tolist() == [True, False, False, False]
    assert len(regions.objects) == 1


def test_no_objects() -> None:
    nothing = KNOWN[torch.zeros(0, dtype=torch.long)]
    regions = sample_proposals(PROPOSALS, nothing, iou_threshold=0.5, count=3, background=K)
    assert regions.labels.tolist() == [K, K, K]
    assert not regions.is_gt.any()
    assert len(regions.objects) == 0


def test_nothing_at_all() -> None:
    nothing = KNOWN[torch.zeros(0, dtype=torch.long)]
    regions = sample_proposals(PROPOSALS[:0], nothing, iou_threshold=0.5, count=3, background=K)
    assert regions.boxes.shape == (0, 4)

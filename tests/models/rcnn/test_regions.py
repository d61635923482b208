import torch

from attnkit.models.rcnn.regions import draw_regions
from tests.models.rcnn.nano import of_boxes

K = 7
OBJECTS = of_boxes(torch.tensor([[0.0, 0, 10, 10], [20, 0, 40, 20]]), torch.tensor([5, 3]), (50, 60))
PROPOSALS = torch.tensor([[0.0, 0, 10, 12], [20, 0, 40, 13], [40, 40, 50, 50], [0, 0, 5, 5], [50, 0, 60, 10]])
"""IoU 10/12 with the first object, 13/20 with the second; nothing; 1/4; nothing."""


def draw(*, iou_threshold: float = 0.6, count: int = 100):
    torch.manual_seed(1)
    return draw_regions(PROPOSALS, OBJECTS, iou_threshold=iou_threshold, count=count, background=K)


def rows(regions) -> set[tuple[tuple[float, ...], int, bool]]:
    return {
        (tuple(box), label, given)
        for box, label, given in zip(
            regions.boxes.tolist(), regions.labels.tolist(), regions.given.tolist(), strict=True
        )
    }


def test_objects_are_regions_too() -> None:
    regions = draw()
    first, second = (tuple(box) for box in OBJECTS.boxes.tolist())
    close, near, *others = (tuple(box) for box in PROPOSALS.tolist())
    assert rows(regions) == {
        (first, 5, True),
        (second, 3, True),
        (close, 5, False),
        (near, 3, False),
        *((box, K, False) for box in others),
    }


def test_those_on_objects_come_first_and_know_which() -> None:
    regions = draw()
    assert (regions.labels[:4] < K).all()
    assert (regions.labels[4:] == K).all()
    assert torch.equal(OBJECTS.labels[regions.objects], regions.labels[:4])


def test_the_threshold() -> None:
    assert (draw(iou_threshold=0.7).labels < K).sum() == 3
    assert (draw(iou_threshold=0.25).labels < K).sum() == 5


def test_a_quarter_is_on_objects() -> None:
    regions = draw(count=4)
    assert regions.labels.lt(K).tolist() == [True, False, False, False]
    assert len(regions.objects) == 1


def test_no_objects() -> None:
    nothing = OBJECTS[torch.zeros(0, dtype=torch.long)]
    regions = draw_regions(PROPOSALS, nothing, iou_threshold=0.5, count=3, background=K)
    assert regions.labels.tolist() == [K, K, K]
    assert not regions.given.any()
    assert len(regions.objects) == 0


def test_nothing_at_all() -> None:
    nothing = OBJECTS[torch.zeros(0, dtype=torch.long)]
    regions = draw_regions(PROPOSALS[:0], nothing, iou_threshold=0.5, count=3, background=K)
    assert regions.boxes.shape == (0, 4)

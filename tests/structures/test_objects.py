import torch

from attnkit.structures.masks import Masks
from attnkit.structures.objects import Objects


def objects(*, difficult: bool = True) -> Objects:
    maps = torch.zeros(3, 5, 7, dtype=torch.bool)
    for i in range(3):
        maps[i, i, i:] = True
    return Objects(
        boxes=torch.arange(12.0).view(3, 4),
        labels=torch.tensor([2, 0, 1]),
        areas=torch.tensor([7.0, 6.0, 5.0]),
        crowd=torch.tensor([False, True, False]),
        masks=Masks.from_bitmaps(maps),
        difficult=torch.tensor([True, False, False]) if difficult else None,
    )


def test_some_of_them() -> None:
    for index in ([2, 0], torch.tensor([2, 0])):
        some = objects()[index]
        assert len(some) == 2
        assert some.boxes.tolist() == [[8, 9, 10, 11], [0, 1, 2, 3]]
        assert some.labels.tolist() == [1, 2]
        assert some.areas.tolist() == [5, 7]
        assert some.masks is not None
        assert some.masks.areas().tolist() == [5, 7]
        assert some.difficult is not None
        assert some.difficult.tolist() == [False, True]
    assert objects()[objects().crowd].labels.tolist() == [0]


def test_boxes_alone() -> None:
    plain = Objects(torch.ones(1, 4), torch.tensor([3]), torch.ones(1), torch.tensor([False]))
    assert plain[[0]].masks is None
    assert plain[[0]].difficult is None


def test_none() -> None:
    none = Objects.none((5, 7))
    assert len(none) == 0
    assert none.masks is not None
    assert none.masks.size == (5, 7)
    assert len(none[torch.zeros(0, dtype=torch.bool)]) == 0
    assert Objects.none((5, 7), masks=False).masks is None


def test_on_another_device() -> None:
    there = objects().to("meta")
    assert there.masks is not None
    tensors = [there.boxes, there.labels, there.areas, there.crowd, there.masks.pixels, there.difficult]
    assert all(tensor is not None and tensor.is_meta for tensor in tensors)
    assert objects(difficult=False).to("cpu").difficult is None

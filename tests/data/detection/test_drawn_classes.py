import torch

from attnkit.data.detection.drawn_classes import drawn_classes
from attnkit.structures.arrays import IGNORE
from attnkit.structures.masks import Masks
from attnkit.structures.objects import Objects


def objects_of(bitmaps, labels, crowd) -> Objects:
    masks = Masks.from_bitmaps(torch.tensor(bitmaps, dtype=torch.bool))
    return Objects(masks.boxes(), torch.tensor(labels), masks.areas(), torch.tensor(crowd), masks)


def test_the_smallest_is_on_top_and_crowds_are_ignored() -> None:
    """Given smallest first, so that it is not their order that decides."""
    bitmaps = [
        [[0, 1, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0, 0, 0]],
        [[1, 1, 1, 0, 0], [1, 1, 1, 0, 0], [0, 0, 0, 0, 0]],
        [[0, 0, 0, 1, 0], [0, 0, 0, 1, 0], [0, 0, 0, 1, 0]],
    ]
    classes = drawn_classes(objects_of(bitmaps, [3, 0, 1], [False, False, True]), background=7)
    assert classes.dtype == torch.uint8
    assert classes.tolist() == [[0, 3, 0, IGNORE, 7], [0, 3, 0, IGNORE, 7], [7, 7, 7, IGNORE, 7]]


def test_nothing_on_an_image() -> None:
    assert drawn_classes(Objects.none((2, 3)), background=4).tolist() == [[4, 4, 4], [4, 4, 4]]

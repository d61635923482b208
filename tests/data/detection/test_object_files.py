import numpy as np
import pytest
import torch

from attnkit.data.detection.object_files import draw_classes
from attnkit.errors import DataError
from attnkit.structures.arrays import IGNORE
from attnkit.structures.masks import Masks
from attnkit.structures.objects import Objects
from tests.data.formats.coco_files import TRAIN, H, W, one_set
from tests.data.scene_files import mask


def values(*changes, size=(H, W)):
    labels = np.random.default_rng(3).integers(0, 5, size, dtype=np.uint8)
    for row, column, value in changes:
        labels[row, column] = value
    return labels


def data(tmp_path, labels, *, name="stuff/1.png", classes=5):
    files = {name: mask(labels)}
    return one_set(tmp_path, [], files=files, train=TRAIN | {"semantic": "stuff"}, semantic_classes=classes)


def test_a_class_per_pixel(tmp_path):
    labels = values((2, 3, 255))
    found = data(tmp_path, labels)
    assert found.semantic_classes == 5
    assert found.read_semantic(0).dtype == torch.uint8
    assert np.array_equal(found.read_semantic(0).numpy(), labels)
    assert found.select(np.array([0])).semantic_classes == 5


def test_without_a_number_of_classes_there_are_none(tmp_path):
    found = data(tmp_path, values(), classes=None)
    assert found.semantic_classes is None
    assert found.read_semantic(0) is None


@pytest.mark.parametrize(
    ("labels", "name", "what"),
    [
        (
            values((0, 0, 7)),
            "stuff/1.png",
            "stuff/1.png: pixel value 7 of no class; expected 0 to 4, or 255 for none; correct data.semantic_classes, "
            "or make it again",
        ),
        (
            values(size=(W, H)),
            "stuff/1.png",
            "stuff/1.png: values of 13 x 11; expected one for each of 11 x 13; make it again",
        ),
        (
            values(),
            "stuff/2.png",
            "stuff: has no 1.png; expected a map for each training image; copy it again, or correct "
            "data.train.semantic",
        ),
    ],
)
def test_maps_that_do_not_fit(labels, name, what, tmp_path):
    with pytest.raises(DataError, match=rf"^{tmp_path}/{what}$"):
        data(tmp_path, labels, name=name).read_semantic(0)


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
    classes = draw_classes(objects_of(bitmaps, [3, 0, 1], [False, False, True]), background=7)
    assert classes.dtype == torch.uint8
    assert classes.tolist() == [[0, 3, 0, IGNORE, 7], [0, 3, 0, IGNORE, 7], [7, 7, 7, IGNORE, 7]]


def test_nothing_on_an_image() -> None:
    assert draw_classes(Objects.none((2, 3)), background=4).tolist() == [[4, 4, 4], [4, 4, 4]]

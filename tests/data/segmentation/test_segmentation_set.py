import numpy as np
import pytest

from attnkit.data.segmentation.segmentation_set import check_classes, pixels_per_class
from attnkit.errors import DataError


def test_pixels_are_counted_without_the_ignored():
    labels = np.array([[0, 2, 255], [2, 2, 255]], dtype=np.uint8)
    assert pixels_per_class(labels, 5).tolist() == [1, 0, 3, 0, 0]
    assert pixels_per_class(labels[:0], 3).tolist() == [0, 0, 0]


def test_names_that_cannot_be():
    check_classes(tuple(map(str, range(255))), "x.json")
    for count in (0, 256):
        with pytest.raises(DataError, match=rf"^x.json: {count} classes; expected 1 to 255; correct data.classes, "):
            check_classes(tuple(map(str, range(count))), "x.json")
    with pytest.raises(DataError, match=r"^x.json: two classes are named sky; expected a name for each; rename one of"):
        check_classes(("sky", "road", "sky"), "x.json")
